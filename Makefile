# Every verb sets up .venv by itself.  Needs Python 3.11+ and make.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Detector and pose networks for cameras.  Where they cannot be had (no network) the reason was just said, and everything else works.
FETCH = @$(BIN)/gaitstream models fetch || echo "gaitstream: going on without the networks above; 'make setup' tries again" >&2

.PHONY: help setup demo test lint bench soak audit sbom
help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "gaitstream needs Python 3.11 or newer; say make PYTHON=python3.11"'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	@touch $@

setup: $(STAMP)  ## make the virtual environment in .venv, fetch the networks of the cameras
	$(FETCH)

demo: $(STAMP)  ## watch simulated people being recognised by their gait
	$(FETCH)
	$(BIN)/gaitstream demo

test: $(STAMP)  ## all tests (real Kafka too when KAFKA_HOME is set)
	$(FETCH)
	$(BIN)/python -m pytest -m 'not soak'

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## speed, as ratios measured in one run
	$(BIN)/gaitstream bench

soak: $(STAMP)  ## long fault and load tests
	$(BIN)/python -m pytest -m soak --timeout 3600

audit: $(STAMP)  ## pins, licences, changed files, advisories where pip-audit is there
	$(BIN)/python deploy/audit.py check --files

sbom: $(STAMP)  ## what it consists of, as CycloneDX JSON in build/
	$(BIN)/python deploy/audit.py sbom build/gaitstream.cdx.json
