# Each target works on a fresh clone: it makes .venv first, with the exact versions of requirements.lock.
# make PYTHON=/path/to/python3.13 ...: another Python than the best one on PATH; make VENV=folder ...: another place.
PYTHON ?=
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Three workers keep two cores busy: some tests wait. A file stays with one worker, or each of its parts does (see
# tests/support/spread.py); the long ones come first.
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder
# What Python and pytest compile is kept, also where the environment says otherwise: each process would do it anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test runtimes quick lint release docs bench clean

help:            ## what there is
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@sh data_scripts/make_venv.sh "$(VENV)" "$(PYTHON)" "$(MAKECMDGOALS)"
	@echo "Installing the exact versions of requirements.lock into $(VENV) (a few minutes, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP)   ## the release, a small class graded, a report: all on built-in data
	@$(BIN)/fcoskit demo --out demo-out

test: $(STAMP) lint  ## everything CI runs
	@$(BIN)/python -m compileall -q autograder helpers tests  # sandboxes read the kit and cannot write what they compile
	@$(BIN)/python -m tests.support.runtimes
	@$(BIN)/python -m pytest $(SPREAD)

# FCOSKIT_RUNTIMES=laptop,oldest: those alone.
runtimes: export FCOSKIT_RUNTIMES ?= all
runtimes: $(STAMP) ## the notebook in every place of tests/runtimes, some 5 GB and minutes each
	@$(BIN)/python -m tests.support.runtimes
	@$(BIN)/python -m pytest -rs tests/journeys/test_runtimes.py

quick: $(STAMP)  ## the tests without the slow ones
	@$(BIN)/python -m compileall -q autograder helpers tests
	@$(BIN)/python -m pytest $(SPREAD) -m "not slow"

lint: $(STAMP)   ## formatter, linter, type checker
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy

release: $(STAMP) ## build release/ from assignment/
	@$(BIN)/fcoskit release ps7

docs: $(STAMP)   ## the guides as a site, in site/
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c requirements.lock -e ".[docs]"
	@$(BIN)/python data_scripts/make_commands.py --check
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "Open site/index.html; for the search, serve it: $(BIN)/python -m http.server -d site"

bench: $(STAMP)  ## timings, each as a ratio to a peer or a limit measured in the same run; kept in .fcoskit/bench
	@for bench in $(filter-out benchmarks/record.py benchmarks/classes.py,$(wildcard benchmarks/*.py)); do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

clean:           ## remove what make made; .fcoskit stays: grades and timings are kept there
	@rm -rf $(VENV) demo-out site build *.egg-info
