# Everything a newcomer needs: `make demo` and `make test`. Both set up what is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
EXAMPLES := .cache/examples_env
# Two more than there are cores, at most 4: some tests wait more than they compute.
PROCESSES ?= $(shell n=$$(nproc); echo $$((n < 2 ? n + 2 : 4)))

# Every process would compile all that it imports anew: half of a short run's time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo train-demo test nightly steady mutants check fix bench soak golden attack faults fuzz finetune model pages interop
.PHONY: bench-against scenes cluster lock docs site cases wheel wheel-test dependencies clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml tools/setup.sh
	@PYTHON=$(PYTHON) sh tools/setup.sh

demo: $(STAMP)        ## generate, audit, export and show a small data set
	@$(BIN)/synthstudio demo

train-demo: $(STAMP)  ## generate people, train a small network on them, judge it (about ten minutes)
	@$(BIN)/synthstudio train-demo

# Each process takes whole files, slowest first (tests/seconds.json): what a file's tests share is
# then made once, and no file is long enough to be waited for at the end.
test: $(STAMP)        ## the tests of every change; slow ones run in `make nightly`
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Other programs of which the examples make use need another PyTorch than the lock's.
$(EXAMPLES)/.ready: $(STAMP) requirements.lock examples/requirements.txt
	$(BIN)/python -m venv --clear $(EXAMPLES)
	grep -v '^torch==' requirements.lock > $(EXAMPLES)/lock.txt
	$(EXAMPLES)/bin/pip install -q torch==2.14.1 torchvision==0.29.1 matplotlib==3.11.2 -r $(EXAMPLES)/lock.txt
	$(EXAMPLES)/bin/pip install -q --no-deps --no-build-isolation -r examples/requirements.txt -e .
	touch $@

nightly: $(EXAMPLES)/.ready  ## the slow tests, part by part (hours); goes on where it was stopped
	@$(BIN)/python tools/nightly.py $(NIGHTLY_ARGS)

steady: $(STAMP)      ## make test ten times, five of them beside busy loops: none may fail (two hours; goes on)
	@$(BIN)/python tools/steady.py $(STEADY_ARGS)

mutants: $(STAMP)     ## 300 seeded faults in the package: which do the tests catch? (hours; goes on)
	$(BIN)/python -m tools.mutants $(MUTANTS_ARGS)

check: $(STAMP)       ## lint, types, import contracts, generated docs, budget of lines, names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy -n 2
	$(BIN)/python tools/docs.py --check
	$(BIN)/python tools/budget.py
	$(BIN)/python tools/words.py

fix: $(STAMP)         ## what can be mended by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/docs.py

lock: $(STAMP)        ## write the versions that .venv holds now into requirements.lock
	@{ echo "# Exact versions of everything that setup installs (Python 3.11). Made by: make lock"; \
	   $(BIN)/pip freeze --all | grep -v '^pip==\|^-e\|synthstudio' | sed 's/+cpu$$//' | sort -f; } > requirements.lock

docs: $(STAMP)        ## regenerate docs/cli.md and scenes/schema.json
	$(BIN)/python tools/docs.py

bench: $(STAMP)       ## speed, as ratios in one run; the table of people and the editor at size
	$(BIN)/python -m benchmarks.bench
	$(BIN)/python -m benchmarks.scale --people 20000 --only table,cached,opened,queries,risks
	$(BIN)/python -m benchmarks.studio --people 20000 --steps 300 --edits 50

bench-against: $(STAMP) ## is anything slower than at BASE?
	$(BIN)/python -m benchmarks.against --base $(BASE)

soak: $(STAMP)        ## the Done-when lines at their full size (an hour or more)
	$(BIN)/python -m benchmarks.soak

scenes: $(STAMP)      ## bytes, labels and bodies of every scene (an hour)
	$(BIN)/python -m benchmarks.every_scene

BASE ?= a8a9d48a
golden: $(STAMP)      ## nothing changed since BASE: bytes, labels, exports, --json, weights
	$(BIN)/python -m benchmarks.golden --base $(BASE) $(GOLDEN_ARGS)

faults: $(STAMP)      ## every writing command killed, on full disks, twice at once, ... (an hour or more)
	$(BIN)/python -m benchmarks.faults $(FAULTS_ARGS)

cluster: $(STAMP)     ## 200 frames on a Ray cluster of this machine while workers and nodes are killed
	$(BIN)/python -m benchmarks.killed_cluster $(CLUSTER_ARGS)

CASES ?= 20000
fuzz: $(STAMP)        ## damaged and hostile inputs of every kind; goes on where it was stopped
	$(BIN)/python -m benchmarks.fuzz --cases $(CASES) $(FUZZ_ARGS)

attack: $(STAMP)      ## 400 seeded attacks on the studio (half a minute)
	$(BIN)/python -m pytest -q -n0 -m '' tests/studio/test_attack*.py

finetune: $(STAMP)    ## a pretrained backbone on the photos of FOLDER: pastes, generated people (hours; goes on)
	$(BIN)/python -m benchmarks.finetune $(FOLDER) $(FINETUNE_ARGS)

GENERATED ?= exports
model: $(STAMP)       ## train and install the networks that come with the package (hours)
	$(BIN)/python -m tools.model --generated "$(GENERATED)" $(MODEL_ARGS)

pages: $(STAMP)       ## every command of README and docs at its full size, page by page (hours)
	SYNTHSTUDIO_PAGES=full $(BIN)/python -m pytest -m nightly -n0 --timeout 0 tests/test_pages.py $(PYTEST_ARGS)

cases: $(STAMP)       ## run.sh of each folder of FOLDER: files that were read wrongly, with the right result
	@failed=""; for case in "$(FOLDER)"/*/run.sh; do \
	    SYNTHSTUDIO="$(CURDIR)/$(BIN)/synthstudio" bash "$$case" >/dev/null 2>&1 || failed="$$failed $$case"; \
	 done; if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi; echo "all passed"

interop: $(STAMP)     ## other people's software reads our exports; needs PyPI and GitHub once, about 6 GB
	$(BIN)/python -m benchmarks.interop

dependencies: $(STAMP) ## licences of all locked packages, known vulnerabilities where they can be had
	$(BIN)/python tools/dependencies.py licences
	$(BIN)/python tools/dependencies.py advisories

wheel: $(STAMP)       ## build the wheel with its SBOM into dist/
	$(BIN)/python tools/dependencies.py wheel

wheel-test: $(STAMP)  ## build the wheel, install it without extras into an empty environment, use it
	$(BIN)/python tools/wheel_test.py --log docs/evidence/wheel.log

site: $(STAMP)        ## docs/ as a site with the API reference, in site/ (no network to view it)
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .cache .tools dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
