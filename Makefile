# To get started, run `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test lint types soak bench wheel constraints clean

demo: .venv/run          ## install, and run the main job on a bundled sample: demo/*/edition.html
	$(BIN)/newsletter demo --out demo

test: .venv/test         ## install the test tools, and run the tests
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test
	$(BIN)/mypy

soak: .venv/test         ## the long sizes of the checks: about an hour
	SOAK=1 $(BIN)/python -m pytest -n auto --dist worksteal --timeout 14400

bench: .venv/bench       ## ratios against peers and limits
	$(BIN)/python -m tests.benchmarks

wheel: .venv/test        ## the wheel does in a fresh venv what the checkout does
	bash tests/wheel.sh $(PYTHON)

.venv/run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "Python's venv is missing; on Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/test: .venv/run
	$(PIP) install -c constraints.txt -e '.[test,lint]'
	@touch $@

.venv/bench: .venv/test
	$(PIP) install -c constraints.txt -e '.[bench]'
	@touch $@

constraints:             ## pin what pyproject.toml asks for (maintainers; needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-header \
	  --no-annotate -q -o constraints.txt

clean:
	rm -rf .venv build dist demo out preview .mypy_cache .ruff_cache .hypothesis
