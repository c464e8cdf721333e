# lulc: `make` lists what can be made. Every target creates the virtual environment it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Two processes share two cores: with more than one thread each they would wait for one another.
ONE_THREAD := OMP_NUM_THREADS=1
PARALLEL := -m pytest --numprocesses 2 --dist loadfile
SERIAL = -m pytest -m serial $(shell grep -rl 'mark\.serial' --include='test_*.py' tests)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve quick test coverage check format docs bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/.runtime: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) install --editable '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install --editable '.[bench]'
	@touch $@

demo/scene.tif: pipelines/demo/fetch_scene.py | $(VENV)/.runtime
	$(BIN)/python pipelines/demo/fetch_scene.py $@

demo: $(VENV)/.runtime demo/scene.tif ## classify a real Sentinel-2 scene; leaves demo/map.tif and demo/map.png
	$(BIN)/lulc classify demo/scene.tif demo/map.tif --quicklook demo/map.png --overwrite
	@echo "open demo/map.png, or demo/map.tif in QGIS, or: $(BIN)/lulc serve --map demo/map.tif --base demo/scene.tif"

serve: $(VENV)/.runtime ## open a page where scenes and patches are dropped in and looked at
	$(BIN)/lulc serve --open

quick: $(VENV)/.dev ## run the tests that need neither torch nor processes, a browser, a cluster or the network
	$(ONE_THREAD) $(BIN)/python $(PARALLEL) --quick

test: $(VENV)/.dev ## run all tests, those that measure time after the others
	$(ONE_THREAD) $(BIN)/python $(PARALLEL) --durations=25 -m "not serial"
	$(BIN)/python $(SERIAL) --durations=25

coverage: $(VENV)/.dev ## measure the lines and branches that the tests reach, in all their processes but those they kill
	$(BIN)/coverage erase
	-$(ONE_THREAD) $(BIN)/coverage run $(PARALLEL) -m "not serial"
	-$(BIN)/coverage run $(SERIAL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(VENV)/.dev ## lint, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

format: $(VENV)/.dev ## format the sources
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## write docs/reference.md anew from the commands
	$(BIN)/python pipelines/reference.py docs/reference.md

bench: $(VENV)/.bench ## measure speed, memory and seams against other tools, and against the commit OLD (about 40 minutes)
	$(BIN)/python benchmarks/versions.py $(OLD) --tile
	$(BIN)/python benchmarks/classify.py
	$(BIN)/python benchmarks/gpu.py --paper
	$(BIN)/python benchmarks/many_scenes.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/patches.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/commands.py $(if $(OLD),--old $(OLD))

clean: ## remove the virtual environment and what demo and bench left
	rm -rf $(VENV) demo bench
