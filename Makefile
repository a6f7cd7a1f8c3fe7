# Every target says what it does after `##`; `make help` lists them.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
CARDS := examples/purchase_cards
TEXTS := $(wildcard rulesets cascades) examples engine/cli/templates
FUZZ ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fuzz reset bench bench-smoke clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: Python 3.11 or later is needed, and \`$(PYTHON)\` is $$($(PYTHON) -V 2>&1 || echo missing); name another: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.dev ## make the environment in .venv: the engine, all optional libraries, the tools

demo: $(VENV)/.demo ## decide the bundled real payments, 2014-04 to 2016-12, and draw a report: out/report.html
	@mkdir -p out
	$(BIN)/engine run $(CARDS)/cascades/audit.yaml --input '$(CARDS)/*.csv.gz' --history-from 2014-04-01 \
	  --output out/decisions.parquet --rejects out/rejects.csv --report out/report.html

test: $(VENV)/.dev ## run all tests, and those that stand beside the rules
	$(BIN)/python -m pytest -n 2
	$(BIN)/engine test $(TEXTS)

check: $(VENV)/.dev ## lint, format, types, layers, and every rule text in the project
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/engine check $(TEXTS)
	$(BIN)/engine fmt --check $(TEXTS)

fuzz: $(VENV)/.dev ## run the laws on many more random programs, and whole files, than `make test` does; long
	FUZZ=$(FUZZ) $(BIN)/python -m pytest -n 2 tests/properties tests/lang tests/examples

reset: $(VENV)/.dev ## write the expected texts of golden tests anew; review them with `git diff`
	RESET=1 $(BIN)/python -m pytest -n 2 tests/lang tests/cascade tests/examples/test_reuse.py

bench: $(VENV)/.dev ## measure loading, one event, a batch, imports, and the same rules against other engines; long
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.contest

bench-smoke: $(VENV)/.dev ## whether deciding one event is still fast, by ratios; seconds
	$(BIN)/python -m bench.smoke

clean: ## remove what was made: the environment, caches, out/
	rm -rf $(VENV) out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
