# make book | test | notebooks | serve | lab | check | bench     (README.md says what each installs)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
EXTRA = $(shell $(PYTHON) -c "import sys, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	print(*[repr(r) for e in sys.argv[1:] for r in p['optional-dependencies'][e]])" $(1))

.PHONY: help book test notebooks serve lab check bench clean
help:
	@head -1 Makefile

$(VENV)/pip:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
$(VENV)/book: $(VENV)/pip pyproject.toml constraints.txt
	@echo "== installing what the site needs: Jupyter Book (no torch)"
	$(PIP) $(call EXTRA,book)
	@touch $@
$(VENV)/test: $(VENV)/book
	@echo "== installing what the tests and notebooks need: torch, ipywidgets, pytest, nbval, Playwright, JupyterLab,"
	@echo "   TensorFlow, Transformers (600 MB)"
	$(PIP) -e '.[book,test,lab,tools]'
	@touch $@
$(VENV)/bench: $(VENV)/test
	@echo "== installing what the races need: Lightning, skorch, torch-lr-finder"
	$(PIP) -e '.[bench]'
	@touch $@

book: $(VENV)/book
	@rm -rf _build/html
	$(BIN)/jupyter-book build book --config _config.yml --toc '$(CURDIR)/_toc.yml' --path-output . --all -W -n --keep-going -q
	@echo "The book is at file://$(CURDIR)/_build/html/index.html ('make serve' shows it on localhost)."

test: $(VENV)/test
	$(BIN)/python tests/run.py

check: $(VENV)/test
	$(BIN)/python tests/run.py --fast

notebooks: $(VENV)/test
	$(BIN)/python book/_tools/notebooks.py

serve: book
	@echo "http://localhost:8000 (Ctrl-C stops it)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

lab: $(VENV)/test
	$(BIN)/jupyter lab book

bench: $(VENV)/bench
	@failed=0; for race in sweep trainer recommend; do $(BIN)/python tests/benchmarks/$$race.py || failed=1; done; exit $$failed

clean:
	rm -rf $(VENV) _build
