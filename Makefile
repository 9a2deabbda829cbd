# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
PYTHON ?= python3
SETUP = PYTHONPATH=.pkg PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m openturret.lab.setup
WHEELS = $${XDG_CACHE_HOME:-$$HOME/.cache}/openturret/wheels

.PHONY: help demo stay bench test quick benchmark docs clean setup python

help:
	@echo "make demo       a TouchPro boots from the network, registers, calls, is recorded twice"
	@echo "make stay       the same, and the bench stays up with the panel in your browser"
	@echo "make test       every test, types, lint, the engine under sanitizers"
	@echo "make quick      the tests that take less than a minute in all"
	@echo "make benchmark  the measurements of benchmarks/, beside their peers"
	@echo "make bench      the data centres alone, until Ctrl-C"
	@echo "make setup      only what the others do first"
	@echo "make docs       docs/ports.md and docs/keys.md, generated from the code"
	@echo "make clean      takes everything back but the cache"

python:
	@command -v $(PYTHON) >/dev/null || [ $(PYTHON) != python3 ] || { \
	  echo "python3 is missing: installing it (it stays)"; \
	  if [ "$$(id -u)" = 0 ]; then s=; else s=sudo; fi; \
	  $$s apt-get update -qq && $$s apt-get install -y --no-install-recommends python3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing or older than Python 3.11"; \
	  echo "  remedy: make PYTHON=/path/to/python3.11 …"; exit 1; }

setup: python
	@echo "Setting up (the first time takes a few minutes)"
	@$(SETUP)

demo: setup
	@.venv/bin/turret demo

stay: setup
	@.venv/bin/turret demo --stay

bench: setup
	@.venv/bin/turret bench

test: setup
	@PIP_FIND_LINKS="$$PIP_FIND_LINKS $(WHEELS)" .venv/bin/tox run

quick: setup
	@.venv/bin/ruff check . && .venv/bin/python -m openturret.lab.isolated .venv/bin/pytest -q -m "not slow and not bench"

benchmark: setup
	@.venv/bin/python benchmarks/engine/run.py && .venv/bin/python benchmarks/unit.py

docs: setup
	@.venv/bin/python -m openturret.firmware.config.docs
	@PYTHONPATH=.pkg .venv/bin/python -m openturret.c_ext.engine_stub

clean: python
	@$(SETUP) --clean
