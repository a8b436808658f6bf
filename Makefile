# `make demo` runs the main job on real images; `make test` runs every check. Both install what they
# need into .venv, at the versions of constraints.txt; neither touches anything outside this folder
# (but `make test` installs Debian's chromium and strace for some of the tests, where it may).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
EXTRAS := bench,demo,dev,label,openvino,train
INPUTS := pyproject.toml constraints.txt

.PHONY: demo test install check unit bench test-tools dist lock clean

demo: $(VENV)/.demo  ## Learn good solar cells, find cracked ones, write a report.
	$(BIN)/blemish demo --out demo

test: check unit  ## Every check.

check: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.all test-tools
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

install: $(VENV)/.all  ## .venv with every extra but `timm` (which needs torchvision).

dist: $(VENV)/bin/python  ## The wheel, into dist/.
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

bench: $(VENV)/.all  ## Measure the figures of docs/performance.md.
	$(BIN)/python benchmarks/run.py

test-tools:
	@sh scripts/install_test_tools.sh

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python $(INPUTS)
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.all: $(VENV)/bin/python $(INPUTS)
	$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@ $(VENV)/.demo

lock:  ## Write constraints.txt anew from the newest versions that pyproject.toml admits.
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet torch==2.13.0
	build/lock/bin/python -m pip install --quiet '.[$(EXTRAS)]'
	build/lock/bin/python -m pip freeze --exclude blemish | sed "s|+cpu||" > constraints.txt

clean:
	rm -rf $(VENV) build demo dist
