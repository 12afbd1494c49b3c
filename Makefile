# `make repro` runs the whole pipeline, `make test` the tests; both install what they need first.
PYTHON ?= python3
ENV := .venv
OUTER_PATH := $(PATH)
export PATH = $(CURDIR)/$(ENV)/bin:$(OUTER_PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Else every process of every run of the tests would compile them anew, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: repro test test-gpu hardship test-lowest test-newest slow lint install versions lock clean

repro: install
	dvc repro
	@echo "report: $(CURDIR)/artifacts/report.html"

test: install
	pytest -n auto --dist worksteal -m "not slow"

# What only a GPU can show, and the other tests do not look for.
test-gpu: install
	CSDM_TEST_GPU=1 pytest tests/gpu

slow: install
	pytest -m slow --ignore tests/hardship

# Some thousand trials of hard use, under 20 minutes on two idle cores; stopped and called again, it goes on.
hardship: install
	python -m tests.hardship -n 2

lint: install
	ruff check .
	ruff format --check .
	mypy

install: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --requirement requirements.lock
	python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

versions: install
	python --version
	python -m pip freeze --exclude-editable

# The tests with the lowest and the newest versions that pyproject.toml allows, each in an environment of its own.
test-lowest: ENV := .venv-lowest
test-lowest:
	$(PYTHON) -m venv $(ENV)
	sed -nE 's/^ *"([A-Za-z0-9._-]+)(\[[^]]*\])?>=([0-9.]+).*/\1==\3/p' pyproject.toml > $(ENV)/floors.txt
	python -m pip install --quiet --constraint $(ENV)/floors.txt --editable ".[dev]"
	pytest -n auto --dist worksteal -m "not slow"

test-newest: ENV := .venv-newest
test-newest:
	$(PYTHON) -m venv $(ENV)
	python -m pip install --quiet --upgrade --upgrade-strategy eager --editable ".[dev]"
	pytest -n auto --dist worksteal -m "not slow"

# Versions stay where the ranges still allow them; `make lock UPGRADE=--upgrade` takes the newest.
lock: ENV := .venv-lock
lock:
	$(PYTHON) -m venv $(ENV)
	python -m pip install --quiet "uv<1"
	uv pip compile --quiet --universal --python-version 3.11 --extra dev $(UPGRADE) \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-lock .csdm
