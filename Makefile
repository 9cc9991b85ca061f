# make book | test | check | notebooks [ONLY=path] | serve | lab | course | grade HANDED_IN=folder | slides | pdf | links | bench | gpu [SMOKE=1] | clean     (README.md says what each installs)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
EXTRA = $(shell $(PYTHON) -c "import sys, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	print(*[repr(r) for e in sys.argv[1:] for r in p['optional-dependencies'][e]])" $(1))
ONLY ?=
HANDED_IN ?=
LAB ?=

.PHONY: help book test check notebooks serve as_somebody lab course grade slides pdf links bench gpu clean
help:
	@head -1 Makefile

# A file in .venv marks what is installed. Paths are relative, so that the folder may be called anything.
$(VENV)/pip:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
$(VENV)/book: $(VENV)/pip pyproject.toml constraints.txt
	@echo "== installing what the site needs: Jupyter Book (0.3 GB)"
	$(PIP) $(call EXTRA,book)
	@touch $@
$(VENV)/lab: $(VENV)/pip pyproject.toml constraints.txt
	@echo "== installing the library, JupyterLab and nbval: 1.4 GB, of which torch 0.8 (and more where torch comes with CUDA)"
	$(PIP) -e '.[lab]'
	@touch $@
$(VENV)/test: $(VENV)/book $(VENV)/lab
	@echo "== installing what the tests and all notebooks need: TensorFlow (1.9 GB), Transformers, Playwright: 4.8 GB in all"
	$(PIP) -e '.[book,test,lab,tools]'
	@touch $@
$(VENV)/bench: $(VENV)/test
	@echo "== installing what the races need: Lightning, skorch, torch-lr-finder"
	$(PIP) -e '.[bench]'
	@touch $@

book: $(VENV)/book
	@rm -rf _build/html _build/made
	$(BIN)/jupyter-book build book --config _config.yml --toc "$$PWD/_toc.yml" --path-output . --all -W -n --keep-going -q
	@touch _build/made
	@echo "The book is at $$($(BIN)/python -c "import pathlib; print(pathlib.Path('_build/html/index.html').resolve().as_uri())") ('make serve' shows it on localhost)."

test: $(VENV)/test
	$(BIN)/python tests/run.py

check: $(VENV)/test
	$(BIN)/python tests/run.py --fast

notebooks: $(VENV)/test
	$(BIN)/python book/_tools/notebooks.py $(if $(ONLY),"$(ONLY)")

serve: $(VENV)/book
	@if [ ! -f _build/made ] || [ -n "$$(find book gdlib _config.yml _toc.yml -type f -newer _build/made ! -path '*/__pycache__/*' ! -path '*/.*' -print -quit)" ]; \
		then $(MAKE) --no-print-directory book; fi
	@echo "http://localhost:8000 (Ctrl-C stops it)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

as_somebody:
	@case "$$(id -u) $(LAB)" in "0 "*--allow-root*) ;; "0 "*) \
		echo "JupyterLab does not run as root. Run 'make lab' as another user or, in a container of your own, 'make lab LAB=--allow-root'."; exit 1;; esac
lab: as_somebody $(VENV)/lab
	@[ -f $(VENV)/test ] || echo "The chapters on TensorFlow and Transformers (6.2 to 6.4) need more: $(BIN)/pip install -c constraints.txt -e '.[tools]' (3 GB)"
	$(BIN)/python -m jupyter lab $(LAB) --config=book/_tools/lab.py book

course: book
	$(BIN)/python book/_tools/course.py

grade: $(VENV)/lab
	@[ -n "$(HANDED_IN)" ] || { echo "Say which folder: make grade HANDED_IN=folder"; exit 1; }
	@[ -d _build/course ] || $(MAKE) --no-print-directory course
	$(BIN)/python book/_tools/grade.py "$(HANDED_IN)"

slides: book
	$(BIN)/python book/_tools/slides.py

bench: $(VENV)/bench book
	@failed=0; for race in library sweep trainer pages slow_line recommend; do $(BIN)/python tests/benchmarks/$$race.py || failed=1; done; exit $$failed

gpu:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) tests/gpu/record.py $(if $(SMOKE),--smoke)

pdf: book
	$(BIN)/python book/_tools/pdf.py

links: $(VENV)/book
	$(BIN)/jupyter-book build book --config _config.yml --toc "$$PWD/_toc.yml" --path-output _build/links --all --builder linkcheck -q

clean:
	rm -rf $(VENV) _build
