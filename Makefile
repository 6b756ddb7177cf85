# Each target makes the virtual environment that it needs: nothing has to be installed first but Python and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Most of the time to collect the tests goes into what pytest caches as bytecode, in each test process.
unexport PYTHONDONTWRITEBYTECODE

# Two cores: many a test waits, and a third or fourth process works meanwhile.
TESTS := -m pytest -n 4 --dist worksteal

.PHONY: demo quick test browser brokers lint docs matrix smoke canary conformance mutants dist clean

demo: $(STAMP)  ## the whole site on the private Valkey: a task, one of Django's own, a form, a failed task, a tick, a job; under 10 s once installed
	$(BIN)/python -m project.demo_run

quick: $(STAMP)  ## everything but tests/e2e
	$(BIN)/python $(TESTS) --ignore tests/e2e

test: $(STAMP)  ## the whole suite, with coverage
	$(BIN)/coverage erase
	$(BIN)/python $(TESTS) --cov --cov-report=

browser: $(STAMP)  ## the pages in the admin, in Debian's chromium: every button, and axe-core; it installs playwright
	$(BIN)/pip install -q playwright axe-playwright-python
	for part in browser buttons axe; do \
	  $(BIN)/python -m pytest -m browser tests/e2e/test_admin_$$part.py || exit 1; \
	done  # a process each: the browser leaves connections open, which another live server would warn of

brokers: $(STAMP)  ## one suite over every broker and pool, with real servers; writes the tables of docs/brokers.md
	mkdir -p build
	$(BIN)/python -m pytest tests/matrix -m matrix -n 2 --dist loadgroup --junitxml=build/brokers.xml -o junit_family=xunit2; \
	  ended=$$?; $(BIN)/python -m tests.matrix.table build/brokers.xml docs/brokers.md && exit $$ended

lint: $(STAMP)  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs  ## the documentation as a site in build/docs, with pictures of real runs; a warning or a dead link is an error
	$(BIN)/python -m docs.site

matrix: $(VENV)/.tox  ## the whole suite on every supported combination whose interpreter is found
	PATH="$(INTERPRETERS)$$PATH" $(BIN)/tox run

smoke: $(VENV)/.tox  ## a part of the suite on the oldest and the newest combination
	PATH="$(INTERPRETERS)$$PATH" $(BIN)/tox run -e py310-django52-celery55,py312-django61-celery57,py313-django61-celery57 -- -m smoke

canary:  ## whether the newest pre-releases of Celery and kombu still have what they do not promise
	rm -rf build/canary
	$(PYTHON) -m venv build/canary
	build/canary/bin/python -m pip install --quiet --disable-pip-version-check --pre celery kombu redis django django-extensions rich pytest pytest-django
	build/canary/bin/python -c 'import celery, kombu; print("celery", celery.__version__, "kombu", kombu.__version__)'
	build/canary/bin/python -m pytest -q -p no:cacheprovider tests/unit/test_celery_compat.py

conformance:  ## Django's own tests of the Tasks framework against our backend; takes a Python 3.12 or newer
	rm -rf build/conformance
	PATH="$(INTERPRETERS)$$PATH"; \
	  for python in $(PYTHON) python3.14 python3.13 python3.12; do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break; \
	    python=; \
	  done; \
	  test -n "$$python" || { echo 'make conformance needs a Python 3.12 or newer.' >&2; exit 1; }; \
	  $$python -m venv build/conformance
	build/conformance/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' 'django>=6.1'
	build/conformance/bin/python -m tests.conformance

ROOMS ?= worker beat publishing arguments discovery

mutants: $(VENV)/.mutmut  ## which changed lines of ROOMS no test of make quick notices; about an hour for all
	$(BIN)/python -m tests.mutants $(ROOMS)

dist: $(VENV)/.release  ## wheel and source distribution of the committed state, tried in a bare venv; URL=... makes the links of README absolute
	rm -rf build/source dist
	mkdir -p build/source
	git archive HEAD | tar -x -C build/source
ifdef URL
	sed -i -E 's|\]\(([A-Za-z][A-Za-z0-9_./-]*(#[^)]*)?)\)|]($(URL)/\1)|g' build/source/README.md build/source/CHANGELOG.md
	sed -i 's|^license = MIT$$|&\nurl = $(URL)\nproject_urls =\n    Documentation = $(URL)/README.md\n    Changelog = $(URL)/CHANGELOG.md|' build/source/setup.cfg
endif
	$(BIN)/python -m build --outdir dist build/source
	$(BIN)/twine check --strict dist/*
	WHEEL=$$(ls dist/*.whl) $(BIN)/python -m pytest -m wheel tests/e2e/test_wheel.py

clean:
	rm -rf $(VENV) .tox build dist *.egg-info

# pyenv keeps its interpreters off the PATH.
INTERPRETERS = $(shell for bin in $$(ls -d "$$(pyenv root 2>/dev/null)"/versions/3.1[0-9]*/bin 2>/dev/null); do printf '%s:' "$$bin"; done)

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,test,lint]'
	touch $@

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(VENV)/.release: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	touch $@

$(VENV)/.mutmut: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check mutmut
	touch $@

$(VENV)/.tox: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check tox
	touch $@
