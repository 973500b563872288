# `make` on its own tells what there is. Two targets matter: `make run` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# A container that forbids byte code would compile the whole house anew at every `idp` that a test or the demo starts.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test fuzz bench check format lock messages browser clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("idp needs Python 3.11 or newer; try `make PYTHON=python3.12 run`" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into $(VENV); this takes a minute or two the first time …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) ## a virtual environment in .venv, everything pinned by hash

run: $(STAMP) ## the identity provider and two demo services on loopback (Ctrl-C stops everything)
	@$(BIN)/idp demo

check: $(STAMP) ## style, types, import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

browser: ## a Chromium for the browser tests (uses apt-get where there is none)
	@sh tests/browser.sh

test: check browser ## check, then every test: rooms, races, journeys; SQLite and PostgreSQL
	@# every server that a test starts would compile the whole house again
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist loadgroup

fuzz: $(STAMP) ## 20,000 requests that no test sent before (FUZZ=… for another number)
	FUZZ=$(or $(FUZZ),20000) $(BIN)/pytest -n 2 tests/oauth/test_fuzz.py

bench: $(STAMP) ## what a request costs here and at peers, with wrk on a quiet machine; QUICK=1 in two minutes
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

format: $(STAMP) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## resolve the dependencies anew into the two lock files (needs uv on the PATH or in .venv)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url --no-header --quiet -o requirements-dev.lock

messages: $(STAMP) ## collect the sentences of code and templates into the catalogs, for translators
	$(BIN)/pybabel --quiet extract -F pyproject.toml -k lazy_gettext -k marked --add-location file --sort-output --omit-header -o var/idp.pot .
	$(BIN)/pybabel --quiet update -i var/idp.pot -d idp/locale -D idp --no-fuzzy-matching --ignore-obsolete --omit-header

clean: ## forget the demo's state and the caches (keeps .venv)
	rm -rf var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
