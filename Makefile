# Needs Python 3.11, 3.12 or 3.13 and make; everything else is installed into a virtual environment.
# Another interpreter gets an environment of its own: make test PYTHON=python3.12

PYTHON ?= python3
WORKERS ?= 2

ifeq ($(origin PYTHON),file)
VENV := .venv
else
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-quick lint learn stability variance bench performance clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED)  ## make the virtual environment; repeated only when the dependencies change

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	# its own pins would exclude gymnax (docs/decisions/0007)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps neurogym==2.2.0
	@touch $@

demo: $(INSTALLED)  ## train two agents on two tasks: a table and curves, three minutes
	$(BIN)/python -m rtrrl.experiments.demo

test: $(INSTALLED)  ## all tests, and the examples in docstrings
	$(BIN)/python -m pytest -n $(WORKERS)

test-quick: $(INSTALLED)  ## contracts and theorems, each with its first parameters: for every day
	$(BIN)/python -m pytest -n $(WORKERS) --quick tests/contracts tests/theorems tests/gradients

lint: $(INSTALLED)  ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

learn: $(INSTALLED)  ## the learning targets: docs/results.md
	$(BIN)/python -m rtrrl.experiments.learning

variance: $(INSTALLED)  ## the variance of the updates: docs/variance.md
	$(BIN)/python -m rtrrl.experiments.variance

stability: $(INSTALLED)  ## how stable learning is: docs/stability.md; hours
	$(BIN)/python -m rtrrl.experiments.stability

bench: $(INSTALLED)  ## the speed targets, each beside its floor timed in the same run
	$(BIN)/python benchmarks/targets.py

performance: $(INSTALLED)  ## targets and scaling: docs/performance.md
	$(BIN)/python benchmarks/targets.py --json docs/performance/targets.json
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/report.py

clean:  ## remove virtual environments, caches and builds, but no runs
	rm -rf .venv .venv-* build dist src/*.egg-info
	rm -rf .pytest_cache .ruff_cache .import_linter_cache .grimp_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
