# Needs Python 3.11 or later, pip and make; uv is used where it is installed.
#   make demo                      the whole way on drawn birds, in minutes
#   make test                      the tests (make test-slow: those that take minutes each)
#   make test-elsewhere            the quick ones as on another machine: processor, locale, time zone, umask, terminal
#   make test-without-torch        exported models in a fresh installation of fieldmark[serve] alone
#   make test-serving              the server under load, in the short forms of benchmarks/serving.py
#   make check                     what must pass before a change is merged: ruff, pyright and the tests
#   make clean                     removes what these made
#   make test PYTHON=python3.12    with another Python
#   make test ARGS="tests/data"    some of the tests; ARGS is handed to pytest (or to fieldmark demo)
# FIELDMARK_VENV=DIR takes a virtual environment that is there already; nothing is installed into it.

PYTHON ?= python3
ARGS ?=
VENV := $(if $(FIELDMARK_VENV),$(FIELDMARK_VENV),.venv)
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-elsewhere test-without-torch test-serving lint types check clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

# One virtual environment; a stamp for each extra, made again when pyproject.toml changes.
ifdef FIELDMARK_VENV
DEMO_READY :=
DEV_READY :=
else
DEMO_READY := $(VENV)/.installed-demo
DEV_READY := $(VENV)/.installed-dev
endif

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "fieldmark needs Python 3.11 or later, and $(PYTHON) is not: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@echo "making $(VENV)"
	@if command -v uv >/dev/null; then uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV); \
	  else $(PYTHON) -m venv $(VENV); fi

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "installing fieldmark[$*] into $(VENV); the first time PyTorch is fetched, which may take some minutes"
	@if command -v uv >/dev/null; then uv pip install --quiet --compile-bytecode --python $(BIN)/python -e ".[$*]"; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$*]"; fi
	@touch $@

demo: $(DEMO_READY)
	@$(BIN)/fieldmark demo $(ARGS)

test: $(DEV_READY)
	@$(BIN)/python -m pytest $(ARGS)

test-slow: $(DEV_READY)
	@$(BIN)/python -m pytest -m slow $(ARGS)

ELSEWHERE := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem \
  LC_ALL=C TZ=America/St_Johns COLUMNS=40 NO_COLOR=1 RANK=1
QUICK := tests/papers tests/images tests/data tests/runs tests/test_figures.py tests/test_listing.py -k "not contract and not compiled"

test-elsewhere: $(DEV_READY)
	@umask 077; folder=$$(mktemp -d)/"with space"; mkdir "$$folder"; \
	  env $(ELSEWHERE) TMPDIR="$$folder" $(BIN)/python -m pytest $(or $(ARGS),$(QUICK)); status=$$?; \
	  rm -rf "$${folder%/*}"; exit $$status

test-without-torch: $(DEV_READY)
	@.ci/without-torch $(abspath $(BIN))/python

test-serving: $(DEV_READY)
	@$(BIN)/python -m pytest -m slow tests/test_serving_figures.py $(ARGS)

lint: $(DEV_READY)
	@$(BIN)/ruff check .

types: $(DEV_READY)
	@$(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
