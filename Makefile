# make demo    installs into .venv and runs the whole way on the embedded task
# make test    the test suite            make check   lint, types, floors and doors, size law
# make test-slow / test-gpu              the long tests / the tests that need a CUDA device
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# a file's tests stay in one worker, as they share what is dear to make; memory bounds the workers
PARALLEL := --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-slow test-gpu check install clean

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

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/size_law.py

clean:
	rm -rf $(VENV) build *.egg-info
