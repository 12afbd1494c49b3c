# `make repro` runs the whole pipeline, `make test` the tests; both install what they need first.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: repro test slow lint install clean

repro: install
	dvc repro
	@echo "report: $(CURDIR)/artifacts/report.html"

test: install
	pytest -n auto -m "not slow"

slow: install
	pytest -m slow

lint: install
	ruff check .
	ruff format --check .
	mypy

install: $(BIN)/.installed

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv .csdm
