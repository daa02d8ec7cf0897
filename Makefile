# Everything on a fresh machine with Python 3.11 and make. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help train test check ui grid bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# The stamp depends on what decides the environment, so that a second `make` installs nothing.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# WORLD, a vocoder of dataset=vocoded, is compiled: where that fails its tests are skipped.
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[vocoders]'
	touch $@

train: $(VENV)/.installed  ## install, and train the default detector on the demo corpus (ARGS='model=lcnn feature=logmel')
	$(BIN)/python -m dfx.train $(ARGS)

test: $(VENV)/.installed  ## every check and every test, the slow ones too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/.installed  ## the same without the slow tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m 'not slow' $(ARGS)

ui: $(VENV)/.installed  ## open the runs in the browser: http://127.0.0.1:5000
	$(BIN)/mlflow ui $(ARGS)

grid: $(VENV)/.installed  ## the feature x model x seed grid (narrow it: ARGS='model=lcnn seed=0')
	$(BIN)/python -m dfx.train experiment=feature_model_grid $(ARGS)

bench: $(VENV)/.installed  ## measure speed against the alternatives, as ratios
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/training.py

clean:  ## remove the virtual environment and caches, never runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
