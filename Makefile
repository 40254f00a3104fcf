# Every target works first, alone, on a machine with Python >= 3.10, make and a package index.
#   make demo     set up the core and watch a GPT learn          make test    set up all, run the tests
#   make lint     style and types                                make bench   compare with other libraries
#   make lab      open the notebooks            make notebooks  build them again from their scripts
#   make docs     the site, build/docs/html      make test-docs  the site in a browser
#   make test-weights   download published weights into build/weights, test that they run
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
ARGS ?=

.PHONY: help demo test test-weights weights lint notebooks lab docs docs-gettext test-docs bench clean

help:
	@echo "make demo | test | test-weights | lint | bench | notebooks | lab | docs | test-docs | clean"

demo: $(VENV)/core
	@$(PY) -m minillm demo $(ARGS)

test: $(VENV)/full
	$(PY) -m pytest -m "not weights and not site" $(ARGS)

weights: $(VENV)/core
	@$(PY) -m minillm weights

test-weights: $(VENV)/full
	@$(PY) -m minillm weights smollm2 minilm
	@$(PY) -m minillm weights textgenrnn || echo "Without textgenrnn its tests are skipped."
	@$(PY) -c "import gguf, h5py" 2>/dev/null || $(PIP) install -e '.[gguf,hdf5]'
	$(PY) -m pytest -m weights -rs tests/weights $(ARGS)

lint: $(VENV)/full
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(VENV)/full
	@$(PY) -c "import torch" 2>/dev/null || $(PIP) install -e '.[bench]'
	$(PY) tests/benchmarks/run.py $(ARGS)

notebooks: $(VENV)/full
	$(PY) notebooks/tools/build.py $(ARGS)

lab: $(VENV)/full
	$(PY) -m jupyter lab notebooks $(ARGS)

docs: $(VENV)/docs
	$(PY) docs/build.py html $(ARGS)

docs-gettext: $(VENV)/docs
	$(PY) docs/build.py gettext $(ARGS)

test-docs: docs docs-gettext | $(VENV)/full
	@$(PY) -c "import playwright" 2>/dev/null || $(PIP) install -e '.[browser]'
	$(PY) -m pytest -m site -rs tests/site

clean:
	rm -rf $(VENV) .venv-bootstrap .pytest_cache .mypy_cache .ruff_cache .hypothesis build

# ---- setting up: seconds for the core, under a minute for everything -----------------------------

$(VENV)/core: pyproject.toml | $(PY)
	@echo "Installing minillm and matplotlib into $(VENV) (once) ..."
	@$(PIP) install -e '.[plot]'
	@touch $@

$(VENV)/full: pyproject.toml requirements.txt | $(PY)
	@echo "Installing everything in requirements.txt into $(VENV) (once, about a minute) ..."
	@$(PIP) install -r requirements.txt
	@touch $@ $(VENV)/core

$(VENV)/docs: pyproject.toml | $(PY)
	@echo "Installing Sphinx into $(VENV) (once) ..."
	@$(PIP) install -e '.[plot,docs]'
	@touch $@ $(VENV)/core

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "minillm needs Python 3.10 or newer; choose one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  rm -rf $(VENV); \
	  echo "This Python has no working venv module; on Debian or Ubuntu this line adds it:"; \
	  echo "    sudo apt-get install python3-venv"; \
	  echo "Trying virtualenv instead ..."; \
	  $(PYTHON) -m virtualenv -q $(VENV) 2>/dev/null || { \
	    $(PYTHON) -m pip install -q --target .venv-bootstrap virtualenv && \
	    PYTHONPATH=.venv-bootstrap $(PYTHON) -m virtualenv -q $(VENV); } || { \
	    echo "That did not work either: install python3-venv (or pip), then try again." >&2; exit 1; }; }
