# Two commands do everything on a fresh machine: `make app` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
# Where pip looks for torch besides its usual index; see "Installing torch" in README.md.
TORCH_INDEX ?=
PORT ?= 8501
PROCESSES ?= 1
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help app test lint types bench docs samples format chromium bubblewrap clean

help:  ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

app: $(VENV)/app.stamp  ## install what is needed and serve the dashboard and run its jobs (PORT=8501 PROCESSES=1)
	$(BIN)/python -m ntkviz serve --port $(PORT) --processes $(PROCESSES)

test: $(VENV)/dev.stamp chromium bubblewrap lint types  ## install what tests need and run all of them (WORKERS=2)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: $(VENV)/dev.stamp  ## format and lint checks, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python docs/tables.py --check

format: $(VENV)/dev.stamp  ## bring the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/dev.stamp  ## pyright
	$(BIN)/pyright

bench: $(VENV)/app.stamp  ## the figures of the README: every sample with every surrogate, every kernel (about half an hour)
	$(BIN)/python benchmarks/studies.py

docs: $(VENV)/app.stamp  ## write the tables and the chart that docs/ takes from the registries and the benchmarks
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/growth.py

samples: $(VENV)/app.stamp  ## train the bundled models again (needs the full data sets: DATA=folder)
	$(BIN)/python sample_models/train.py $(if $(DATA),--data $(DATA))

chromium:
	@command -v chromium > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium > /dev/null; } \
	  || { echo "The browser tests need Debian's chromium: apt-get install chromium"; exit 1; }

bubblewrap:  # tests of this layer are skipped without it
	@command -v bwrap > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends bubblewrap; } > /dev/null 2>&1 || true

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache test-artifacts

$(VENV)/app.stamp: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements.txt requirements-cluster.txt requirements-dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements-dev.txt
	@touch $(VENV)/app.stamp $@
