# Everything a newcomer needs: `make demo` and `make test`. Both set up what is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup demo test check fix bench soak proof interop lock docs clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml tools/setup.sh
	@PYTHON=$(PYTHON) sh tools/setup.sh

demo: $(STAMP)        ## generate, audit, export and show a small data set
	@$(BIN)/synthstudio demo

test: $(STAMP)        ## all tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP)       ## lint, types, import contracts, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python tools/docs.py --check

fix: $(STAMP)         ## what can be mended by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/docs.py

lock: $(STAMP)        ## write the versions that .venv holds now into requirements.lock
	@{ echo "# Exact versions of everything that setup installs (Python 3.11). Made by: make lock"; \
	   $(BIN)/pip freeze --all | grep -v '^pip==\|^-e\|synthstudio' | sed 's/+cpu$$//' | sort -f; } > requirements.lock

docs: $(STAMP)        ## regenerate docs/cli.md and scenes/schema.json
	$(BIN)/python tools/docs.py

bench: $(STAMP)       ## speed, as ratios in one run
	$(BIN)/python -m benchmarks.bench

soak: $(STAMP)        ## the Done-when lines at their full size (an hour or more)
	$(BIN)/python -m benchmarks.soak

proof: $(STAMP)       ## does ORN help? five seeds an arm (about two hours)
	$(BIN)/python -m benchmarks.proof

interop: $(STAMP)     ## other people's software reads our exports; needs PyPI once, about 2 GB
	$(BIN)/python -m benchmarks.interop

clean:
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
