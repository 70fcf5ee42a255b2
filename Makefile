# Everything a developer or CI runs. `make` alone lists the targets.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
# The locked versions and the system's Python 3.11; uv downloads no interpreter of its own.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := 3.11

BIN := .venv/bin
UV_HOME := .tools/uv
UV := $(or $(shell command -v uv 2>/dev/null),$(UV_HOME)/bin/uv)
ARGS ?=
# Processes that run tests, each file in one of them; a process needs up to 4 GB.
TEST_PROCESSES ?= 2

.PHONY: help setup demo test lint types fix check bench golden clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed  ## Install the locked dependencies into .venv

# uv comes from PyPI into a folder of the project; pip or venv, whichever this Python has.
$(UV_HOME)/bin/uv:
	@echo "fetching uv into $(UV_HOME)" >&2
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --target $(UV_HOME) uv \
	  || { rm -rf $(UV_HOME) && $(PYTHON) -m venv $(UV_HOME) && $(UV_HOME)/bin/pip install --quiet uv; } \
	  || { echo "make: cannot fetch uv. expected: Python 3.11 with pip or venv, and PyPI in reach." >&2; \
	       echo "  hint: apt-get install python3-venv, or install uv yourself" >&2; exit 1; }

.venv/.installed: pyproject.toml uv.lock | $(if $(findstring $(UV_HOME),$(UV)),$(UV_HOME)/bin/uv)
	$(UV) sync --locked
	@touch $@

demo: setup  ## Draw the sample set, run the pipeline on it, release what passes (ARGS="--set ...")
	$(BIN)/vww demo $(ARGS)

test: setup  ## Run all tests
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile $(ARGS)

lint: setup  ## Style, formatting and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup  ## Strict type check
	$(BIN)/mypy

fix: setup  ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types test  ## What CI runs

bench: setup  ## Measure the stages against plain loops, as ratios
	$(BIN)/python -m tests.bench $(ARGS)

golden: setup  ## Rewrite the golden files from what the code does now
	$(BIN)/pytest --update-golden $(ARGS)

clean:  ## Remove what was installed and built here, but no run
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
