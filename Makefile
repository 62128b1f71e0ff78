# Everything here lives in .venv: the first call makes it, later calls start at once.
# PYTHON=/path/to/python3.12 chooses the interpreter, VENV=folder another place.
VENV ?= .venv
PYTHON ?=
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types bench peers clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/installed  ## train on real house prices and show the formulas
	@$(BIN)/chainrule demo

test: $(VENV)/installed-test  ## run the tests (ARGS='-k sigmoid' is handed to pytest)
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 $(ARGS)

lint: $(VENV)/installed-test  ## check style and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: $(VENV)/installed-test  ## mend style and formatting
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

types: $(VENV)/installed-test  ## check the types
	@$(BIN)/mypy

bench: $(VENV)/installed-test  ## time a training step beside the peers that are installed (ARGS='--help')
	@$(BIN)/python -m benchmarks $(ARGS)

peers: $(VENV)/installed-bench  ## install the peers of the benchmark: PyTorch, Keras, Optax (large)

clean:  ## remove .venv, builds and caches
	@if [ -f "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests scripts examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@sh scripts/make-venv.sh "$(VENV)" $(PYTHON)

# The installation is editable: a changed source file needs no new one, a changed pyproject.toml does.
$(VENV)/installed: EXTRA :=
$(VENV)/installed-test: EXTRA := [test]
$(VENV)/installed-bench: EXTRA := [bench]
$(VENV)/installed $(VENV)/installed-test $(VENV)/installed-bench: pyproject.toml | $(BIN)/python
	@echo "Installing chainrule$(EXTRA) into $(VENV) (once; a few minutes on a slow line) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRA)'
	@touch $@ $(VENV)/installed
