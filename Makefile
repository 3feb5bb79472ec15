# What each target does is in README.md. All of them need Python >= 3.11 and make, and write only to .venv and out/.

VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
RUN := $(BIN)/python
STAMPS := $(VENV)/.installed

# A candidate must run, be new enough and bring venv: version-manager shims and bare system Pythons fail this.
USABLE := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	if $$p -c '$(USABLE)' >/dev/null 2>&1; then echo $$p; break; fi; done)

JOBS ?= 2
TEST_ARGS ?=
BENCH_ARGS ?= layers --peers torch,onnxruntime,openvino --threads 2
DEMO_LAYER ?= Conv2d(3, 1, 3)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help demo test bench docs lint types oracle clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make demo    install, then convolve a photograph and draw it before and after (out/demo.png)"
	@echo "make test    install with the test extras, then run every test (TEST_ARGS='tests/nn -k conv')"
	@echo "make bench   install the peers, then time every layer of the table (BENCH_ARGS='...')"
	@echo "make docs    install what the site needs, then build it into out/site (open out/site/index.html)"
	@echo "make lint    check style with ruff        make types   check types with pyright"
	@echo "make oracle  try again to install PyTorch, the tests' oracle"
	@echo "make clean   remove .venv, out and caches"
	@echo "PYTHON=...   the interpreter that .venv is made from (>= 3.11; found by name when not given)"

demo: $(STAMPS)/image
	@mkdir -p out
	@$(BIN)/convforge apply --demo --layer "$(DEMO_LAYER)" --seed 2 --init xavier_normal --out out/demo.png

test: $(STAMPS)/test $(STAMPS)/docs $(STAMPS)/counters
	@$(RUN) -m pytest -n $(JOBS) $(TEST_ARGS)

bench: $(STAMPS)/bench
	@$(RUN) -m benchmarks $(BENCH_ARGS)

# Not --quiet: what is not said is not counted, and so would not stop the strict build.
docs: $(STAMPS)/docs
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
	@echo "wrote out/site/index.html"

lint: $(STAMPS)/lint
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

types: $(STAMPS)/lint
	@$(RUN) -m pyright

oracle:
	@rm -f $(STAMPS)/oracle
	@$(MAKE) --no-print-directory $(STAMPS)/oracle

clean:
	rm -rf $(VENV) out build dist .pytest_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as new as the pyproject.toml that it was installed from, so that a second run calls no pip at all.
$(STAMPS)/venv:
	@if [ -z "$(PYTHON)" ]; then \
	echo "error: no Python >= 3.11 with venv found; install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; fi
	@$(PYTHON) -c '$(USABLE)' || { \
	echo "error: PYTHON=$(PYTHON) is no Python >= 3.11 with venv; name another: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/image $(STAMPS)/test $(STAMPS)/bench $(STAMPS)/docs $(STAMPS)/lint: pyproject.toml | $(STAMPS)/venv
	@echo "installing convforge[$(@F)] into $(VENV)"
	@$(RUN) -m pip install --quiet --editable ".[$(@F)]"
	@touch $@

# PyTorch has no wheel for every platform; the tests do not depend on it.
$(STAMPS)/oracle: pyproject.toml $(STAMPS)/test
	@echo "installing PyTorch, the tests' oracle, into $(VENV)"
	@$(RUN) -m pip install --quiet --editable ".[oracle]" || \
	echo "warning: PyTorch could not be installed: the tests compare with NumPy alone ('make oracle' tries again)" >&2
	@touch $@

# Where PyTorch is not there they would bring another release of it, with gigabytes.
$(STAMPS)/counters: pyproject.toml $(STAMPS)/oracle
	@if $(RUN) -c 'import torch' 2>/dev/null; then \
	echo "installing thop, ptflops, torchinfo and fvcore, whose counts are explained, into $(VENV)"; \
	$(RUN) -m pip install --quiet --editable ".[counters]" || \
	echo "warning: they could not be installed: tests that compare with their counts are skipped" >&2; fi
	@touch $@
