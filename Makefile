# Every target sets itself up: the virtual environment is made once and again only when the lock changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One stamp for each way of installing: with another one every file is looked at anew.
INSTALLED := $(VENV)/.installed$(if $(HASHES),-hashes)$(if $(CUDA),-cuda)

# HASHES=1: every file that is installed must have a sha256 of the hashed locks; CUDA=1 with it takes torch's build with CUDA.
HASHED := requirements.hashed.lock requirements.torch-$(if $(CUDA),cuda,cpu).hashed.lock
LOCKS := $(if $(HASHES),$(HASHED),requirements.lock)
REQUIREMENTS := $(if $(HASHES),--require-hashes --force-reinstall) $(foreach lock,$(LOCKS),-r $(lock))

.DEFAULT_GOAL := help
.PHONY: help install quick run test slow torture honesty lint format bench docs lock hashes clean


help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## make .venv from requirements.lock (nothing is repeated when it is there); HASHES=1 holds every file against its sha256

$(INSTALLED): $(LOCKS) pyproject.toml
	@$(if $(CUDA),$(if $(HASHES),,echo "expected HASHES=1 beside CUDA=1; found none: make install HASHES=1 CUDA=1"; exit 1))
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "quantlab needs Python >= 3.11, found " + sys.version.split()[0] + ": call make PYTHON=python3.11 (or newer)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off $(REQUIREMENTS)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps --no-build-isolation -e .
	@touch $@

quick: $(INSTALLED) ## the smallest whole run, under a minute (the first time it compiles for another): data, features, learned members, verdict, page
	$(BIN)/python -m quantlab experiment=quick
	@echo
	@echo "Open this page in a browser:"
	@echo "  $$(ls -d runs/quick/*/report.html | tail -n 1)"
	@echo "Then type, for example:"
	@echo "  $(BIN)/python -m quantlab experiment=quick data.edge=0          # the same market without its planted edge"
	@echo "  $(BIN)/python -m quantlab job=new name=mine kind=strategy       # a strategy of your own, with its test"
	@echo "  $(BIN)/python -m quantlab --help                               # jobs, experiments, overrides"

run: $(INSTALLED) ## the main job on the embedded synthetic market
	$(BIN)/python -m quantlab experiment=ensemble_v2

test: $(INSTALLED) ## every test but the slow ones
	$(BIN)/python -m pytest -n auto -m "not slow"

slow: $(INSTALLED) ## the long tests
	$(BIN)/python -m pytest -m slow

KILLS ?= 200
BARS ?= 5000
torture: $(INSTALLED) ## kill -9 a paper session KILLS times and compare with the uninterrupted one
	$(BIN)/python tests/execution/torture.py --kills $(KILLS) --bars $(BARS)

honesty: $(INSTALLED) ## the share of verdicts "edge" in synthetic markets with and without one (hours; goes on where it stopped)
	$(BIN)/python -m quantlab experiment=honesty job=honesty

lint: $(INSTALLED) ## style, security rules, types, floors
	$(BIN)/ruff check quantlab tests
	$(BIN)/ruff format --check quantlab tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix quantlab tests
	$(BIN)/ruff format quantlab tests

bench: $(INSTALLED) ## speed as ratios against a peer or a bare loop in the same run; writes runs/bench.json
	$(BIN)/python tests/bench/run.py

docs: $(INSTALLED) ## write docs/features.md from the catalogue, and docs/rooms.svg from the layer contracts
	$(BIN)/python tests/tools/write_feature_docs.py
	$(BIN)/python tests/tools/write_rooms.py

lock: $(INSTALLED) ## write requirements.lock from what is installed
	$(BIN)/python tests/tools/write_lock.py

hashes: $(INSTALLED) ## write the hashed locks from requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet uv
	$(BIN)/python tests/tools/write_hashed_lock.py

clean: ## remove caches of the tools (not .venv, not runs)
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
