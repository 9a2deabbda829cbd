# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
PYTHON ?= python3
SECONDS ?= 60
SETUP = PYTHONPATH=.pkg PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m openturret.lab.setup
WORKER = .venv/bin/python -m openturret.lab.isolated .venv/bin/python
WHEELS = $${XDG_CACHE_HOME:-$$HOME/.cache}/openturret/wheels

.PHONY: help demo stay test quick kernel-test kernel-setup fuzz bench peers centres docs clean setup python

help:
	@echo "make demo       a TouchPro boots from the network, registers, calls, is recorded twice"
	@echo "make stay       the same, and the bench stays up with the panel in your browser"
	@echo "make test       every test, types, lint, the engine under sanitizers"
	@echo "make quick      the tests that take less than a minute in all"
	@echo "make kernel-test  the drivers of devices under Debian's own kernel, in a QEMU guest"
	@echo "make fuzz       looks for inputs that break the engine or a parser: SECONDS=60 for each"
	@echo "make bench      every measurement, written to docs/performance.md (about 20 minutes)"
	@echo "make peers      what the measurements are compared with, made ready (PJMEDIA, rtpengine)"
	@echo "make centres    the data centres alone, until Ctrl-C"
	@echo "make setup      only what the others do first"
	@echo "make docs       what is generated from the code: docs/ports.md, docs/keys.md, docs/errors.md, the engine's stub"
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

centres: setup
	@.venv/bin/turret bench

test: python
	@echo "Setting up (the first time takes a few minutes)"
	@$(SETUP) --tests
	@PIP_FIND_LINKS="$$PIP_FIND_LINKS $(WHEELS)" .venv/bin/tox run -e tests,sanitize,fuzz
	@PIP_FIND_LINKS="$$PIP_FIND_LINKS $(WHEELS)" .venv/bin/tox run-parallel --parallel-no-spinner -e fuzz-parsers,rig,check

quick: setup
	@.venv/bin/ruff check . && .venv/bin/pytest -q -m "not slow and not bench" --dist loadfile --tx '3*popen//python=$(WORKER)'

kernel-setup: python
	@echo "Setting up (the first time takes a few minutes)"
	@$(SETUP) --guest

kernel-test: kernel-setup
	@.venv/bin/python -m openturret.lab.guest -- .venv/bin/pytest -v -p no:cacheprovider --place guest tests/guest tests/contract
	@.venv/bin/python -m openturret.lab.guest.updatable -- .venv/bin/pytest -v -p no:cacheprovider tests/guest/flash

fuzz: setup
	@.venv/bin/python tests/fuzz/run.py --seconds $(SECONDS)
	@.venv/bin/python -m pip install --quiet --group fuzz
	@.venv/bin/python -m tests.fuzz.parsers --seconds $(SECONDS)

bench: setup
	@.venv/bin/python -m pip install --quiet --group measure
	@.venv/bin/python -m benchmarks

peers: setup
	@.venv/bin/python -m benchmarks.peers

docs: setup
	@.venv/bin/python -m openturret.firmware.config.docs
	@PYTHONPATH=.pkg .venv/bin/python -m openturret.boot.docs
	@PYTHONPATH=.pkg .venv/bin/python -m openturret.hal.board_schema
	@.venv/bin/python -m openturret.drivers.devices_page
	@PYTHONPATH=.pkg .venv/bin/python -m openturret.c_ext.engine_stub

clean: python
	@$(SETUP) --clean
