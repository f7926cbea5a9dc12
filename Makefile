# Two commands: `make book` builds the book, `make test` checks everything.
# They need Python 3.11 or newer with venv, and make; the tests also need Chromium and npm.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV ?= $(BIN)/uv
PORT ?= 8000
MATHJAX_VERSION := 3.2.2

BUILD := book/_build
HTML := $(BUILD)/html/index.html
PYODIDE := .pyodide/pyodide-lock.json

# LITE=local puts Pyodide, the Python of the browser, beside the pages; else it comes from its CDN.
export LITE

# One BLAS thread: the matrices of the chapters are small.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

.PHONY: help book exercises pyodide test lint serve bench lock mathjax codemirror clean
.DELETE_ON_ERROR:

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# ---- set-up: the locked packages, then the library itself ----

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "Python 3.11 or newer is needed, and $(PYTHON) is %d.%d: try make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import matplotlib.font_manager' # makes its font list now, not in a chapter
	@touch $@

# ---- the book ----

# Jupyter Book knows the cells of a chapter, not the library and the data that they use: when these
# change (or the page extensions, or the list of pages), what was built before is dropped.
book: $(READY) $(if $(filter local,$(LITE)),$(PYODIDE)) ## execute every chapter and write the pages to book/_build/html
	@inputs=$$(find lessons_src data book/_ext book/_toc.yml requirements.lock -type f ! -path '*/__pycache__/*' \
	    | LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum | sha256sum); \
	if [ "$$inputs" != "$$(cat $(BUILD)/inputs.sha256 2>/dev/null)" ]; then \
	    rm -rf $(BUILD); mkdir -p $(BUILD); echo "$$inputs" > $(BUILD)/inputs.sha256; \
	fi
	@# after a failure the pages are read again: else a second run would not see its warnings
	@$(BIN)/jupyter-book build book -q -n -W --keep-going > $(BUILD)/build.log 2>&1 \
	    || { cat $(BUILD)/build.log; rm -rf $(BUILD)/.doctrees; exit 1; }
	@echo "The book is in $(HTML): open it in a browser, or run make serve."

exercises: book ## write the notebooks: for students, with solutions, for nbgrader; and a zip of all
	@echo "The notebooks are in $(BUILD)/html/exercises:"
	@echo "  *.ipynb       for students"
	@echo "  solutions/    the same with solutions"
	@echo "  instructor/   an nbgrader course; see its README.md"
	@echo "  shrinking-and-smoothing-exercises.zip: all of these, and the library"

pyodide: $(PYODIDE) ## gather a Pyodide for make book LITE=local (needs npm)

$(PYODIDE): book/_ext/lite/pyodide.py $(wildcard book/_ext/lite/pins/*) | $(READY)
	@$(BIN)/python book/_ext/lite/pyodide.py

serve: ## show the built book at a local address (PORT=8000)
	@$(BIN)/python book/_ext/serve.py $(PORT)

# ---- checks ----

lint: $(READY) ## check style and types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy

# Without a local Pyodide the tests of what runs in the browser are skipped; in CI they fail.
test: lint ## lint, build the book, run all tests (library, examples, pages in Chromium)
	@lite=local; $(MAKE) --no-print-directory pyodide || lite=; \
	    $(MAKE) --no-print-directory book LITE=$$lite
	@$(BIN)/python -m pytest -q -n auto --dist loadfile

# ---- speed, beside other programs; they have an environment of their own ----

.venv-bench/.ready: bench/requirements.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt -e .
	@touch $@

bench: .venv-bench/.ready ## measure the engine beside lme4, mixedlm and statsmodels
	@.venv-bench/bin/python bench/bench.py $(ARGS)
	@.venv-bench/bin/python bench/inference.py
	@.venv-bench/bin/python bench/fields.py

# ---- upkeep ----

lock: $(READY) ## choose the versions in requirements.lock anew
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-emit-index-url \
	    --no-emit-find-links --upgrade --quiet --output-file requirements.lock

mathjax: $(READY) ## renew the MathJax files in book/_static (needs npm)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
	    && npm pack --silent --pack-destination "$$folder" mathjax@$(MATHJAX_VERSION) \
	    && tar -xzf "$$folder"/mathjax-*.tgz -C "$$folder" \
	    && $(BIN)/python book/_ext/vendor_mathjax.py "$$folder/package"

codemirror: $(READY) ## renew the editor of the live cells in book/_static (needs npm)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
	    && cp book/_ext/codemirror/* "$$folder" \
	    && npm --prefix "$$folder" ci --silent --ignore-scripts \
	    && npm --prefix "$$folder" run --silent build \
	    && $(BIN)/python book/_ext/vendor_codemirror.py "$$folder"

clean: ## remove what was built, and the environment
	rm -rf $(BUILD) $(VENV) .venv-bench .pyodide .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
