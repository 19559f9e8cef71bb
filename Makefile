# Developer commands. `make demo` and `make test` set everything up on a fresh machine and install only into this folder.
#
# The environment is .venv. Its stamp files depend on the lock files, so it is built once and rebuilt when they change.
# The package directory is ./rexalgo, so the launcher cannot have that name; `make install` writes ./bin/rexalgo.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.PHONY: help demo test quick coverage lint format bench faults audit crash fuzz fuzz-http release seeded pictures shots serve install install-dev lock clean

VENV ?= .venv
ARGS ?=
# Three processes per core: one that computes and two that wait for servers (tests/conftest.py). The tests of a file stay together, because
# they share a server.
CORES := $(shell getconf _NPROCESSORS_ONLN)
PROCESSES ?= $(shell expr 3 \* $(CORES))
SPREAD := --dist loadfile --no-loadscope-reorder
PY := $(VENV)/bin/python
# The tests start hundreds of processes: compiled code is kept beside the environment, whatever the shell says, and the source stays clean.
export PYTHONPYCACHEPREFIX := $(abspath $(VENV))/pycache
unexport PYTHONDONTWRITEBYTECODE
PIP := $(PY) -m pip --disable-pip-version-check --quiet --no-input install --no-deps --no-compile
LOCK := UV_SYSTEM_CERTS=1 env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" requirements/build.in pyproject.toml

help:
	@echo "make demo      install and watch signals fan out on paper  (ARGS=\"--once --json\")"
	echo "make test      install and run every check"
	echo "make quick     format, lint, types, imports, and the tests that only compute"
	echo "make coverage  check that tests cover every branch of the code that decides, sends and keeps keys"
	echo "make crash     kill the real server at every commit and send boundary, and check by the simulator's record (ARGS=\"--kills 50\")"
	echo "make fuzz      send hostile requests to both doors of a served place  (ARGS=\"--seed 7 --minutes 10\", ARGS=\"--inputs 5000\")"
	echo "make fuzz-http feed a million hostile answers to the parser of order answers  (ARGS=\"--seed 7 --inputs 1000000\")"
	echo "make seeded    seed bugs into copies of adapters and sources and list what the kits catch  (ARGS=leverage)"
	echo "make audit     look up known faults and licences of the locked packages, write the bill of materials to build/"
	echo "make release   build dist/, and try it in an empty environment without this checkout  (ARGS=--snapshot)"
	echo "make install   install, and write the command ./bin/rexalgo"
	echo "make serve     run RexAlgo with the rexalgo.toml of this folder  (ARGS=\"--port 9000\")"
	echo "make bench     measure speed, an hour or two; a part of it: ARGS=\"fanout history --rounds 3\""
	echo "make lint      format, types and imports only"
	echo "make faults    run seeded stories of failing exchanges and crashing tasks  (ARGS=\"--seed 7\", ARGS=--mutants)"
	echo "make format    format the source               make lock   renew requirements/*.txt"
	echo "make pictures  take the pictures of README.md again"
	echo "make shots     take pictures of every page, light and dark, desktop and phone, to build/shots  (ARGS=--help, ARGS=\"--role trader --size phone --theme dark --only positions\")"

demo: install
	@exec ./bin/rexalgo demo $(ARGS)

serve: install
	@exec ./bin/rexalgo serve $(ARGS)

install: $(VENV)/.stamp-run bin/rexalgo

install-dev: $(VENV)/.stamp-dev bin/rexalgo

# The tests are compiled once, beside the types: each process would compile them all, and on a fresh machine all at the same time.
test: install-dev
	@$(VENV)/bin/pytest -q --collect-only >/dev/null 2>&1 & compiling=$$!
	$(MAKE) --no-print-directory lint
	wait $$compiling || true
	echo "== tests"
	$(VENV)/bin/pytest -q -n $(PROCESSES) $(SPREAD) $(ARGS)
	skipped=""
	command -v chromium chromium-browser google-chrome >/dev/null || skipped=" the browser tests (no Chromium: apt-get install chromium)"
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || skipped="$$skipped the ledger's statements on PostgreSQL (none: apt-get install postgresql)"
	for each in caddy nginx; do
		PATH=$$PATH:/usr/sbin command -v $$each >/dev/null || skipped="$$skipped the journey behind $$each (apt-get install $$each)"
	done
	command -v promtool >/dev/null || skipped="$$skipped the alert rules (no promtool: apt-get install prometheus)"
	echo "all checks passed$${skipped:+, SKIPPED:$$skipped}. Next: make demo"

quick: install-dev lint
	@echo "== tests that only compute"
	$(VENV)/bin/pytest -q -n $(CORES) $(SPREAD) tests/engine tests/house $(ARGS)

coverage: install-dev
	@$(VENV)/bin/coverage run -m pytest -q tests/engine $(ARGS)
	$(VENV)/bin/coverage report

lint: install-dev
	@echo "== format"
	$(VENV)/bin/ruff format --check --quiet .
	echo "== lint"
	$(VENV)/bin/ruff check --quiet .
	echo "== types"
	$(VENV)/bin/mypy
	echo "== imports"
	$(VENV)/bin/lint-imports

format: install-dev
	@$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: install-dev
	@$(PY) -m bench $(ARGS)

pictures: install-dev
	@REXALGO_PICTURES=docs/pictures $(VENV)/bin/pytest -q tests/browser/test_pictures.py

shots: install-dev
	@PYTHONPATH=. $(PY) tests/browser/shots.py $(ARGS)

faults: install-dev
	@$(PY) -m tests.faults $(ARGS)

crash: install-dev
	@$(PY) -m tests.faults.crash $(ARGS)

fuzz: install-dev
	@$(PY) -m tests.fuzz_doors $(ARGS)

fuzz-http: install-dev
	@$(PY) -m tests.fuzz_http $(ARGS)

audit: $(VENV)/.stamp-audit
	@$(PY) -m tests.supply audit --tools $(VENV)/audit $(ARGS)

release: $(VENV)/.stamp-audit
	@$(PY) -m tests.supply release --tools $(VENV)/audit $(ARGS)

seeded: install-dev
	@$(PY) -m tests.seeded $(ARGS)

# Renews the locks: with hashes, for 3.11 to 3.13, without the address of an index. Needs uv in the environment (pip install uv).
lock: install-dev
	@test -x $(VENV)/bin/uv || { echo "make lock needs uv: $(VENV)/bin/pip install uv" >&2; exit 2; }
	$(LOCK) --upgrade --output-file requirements/run.txt
	$(LOCK) --upgrade --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt
	$(subst pyproject.toml,,$(subst build.in,audit.in,$(LOCK))) --upgrade --output-file requirements/audit.txt

clean:
	@rm -rf $(VENV) bin build dist *.egg-info .coverage_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@chosen=""
	for candidate in "$${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
		if [ -n "$$candidate" ] && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then chosen="$$candidate"; break; fi
	done
	if [ -z "$$chosen" ]; then
		echo "RexAlgo needs Python 3.11 or newer, and none was found. Debian and Ubuntu: sudo apt install python3 python3-venv" >&2
		echo "If it has another name or path: make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3" >&2; exit 2
	fi
	if ! "$$chosen" -c 'import venv, ensurepip' 2>/dev/null; then
		echo "Python's venv is missing. Debian and Ubuntu: sudo apt install python3-venv   Fedora: it comes with python3" >&2; exit 2
	fi
	echo "== environment $(VENV) with $$("$$chosen" --version)" >&2
	rm -rf $(VENV)
	"$$chosen" -m venv $(VENV)

$(VENV)/.stamp-run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "== installing the runtime packages" >&2
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-build-isolation -e .
	touch $@

$(VENV)/.stamp-dev: requirements/dev.txt $(VENV)/.stamp-run
	@echo "== installing the development packages" >&2
	$(PIP) --require-hashes -r requirements/dev.txt
	touch $@

# The tools of `make audit` have an environment of their own: nothing of them is installed with RexAlgo or its tests.
$(VENV)/.stamp-audit: requirements/audit.txt $(VENV)/.stamp-dev
	@echo "== installing the tools that audit" >&2
	$(PY) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check --quiet --no-input install --no-deps --require-hashes -r requirements/audit.txt
	touch $@

bin/rexalgo: Makefile
	@mkdir -p bin
	printf '#!/bin/sh\n# Made by make install: runs RexAlgo from this checkout; the current folder stays yours.\nexec "%s/bin/rexalgo" "$$@"\n' "$(abspath $(VENV))" > $@
	chmod +x $@
	echo "installed. The command is ./bin/rexalgo (try: ./bin/rexalgo --help)" >&2
