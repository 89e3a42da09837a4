# Every target does its own set-up in .venv: with uv when it is installed, else venv and pip.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
REPORTS := reports
# Tests start hundreds of processes; with this set (as many containers do) each compiles every module anew.
export PYTHONDONTWRITEBYTECODE :=
export UV_COMPILE_BYTECODE := 1

# Of the tests with real workers, those of what the README promises; the others are `make test-workers`.
PROMISES := tests/acceptance/test_real_workers.py tests/acceptance/test_postgresql_stack.py \
  tests/acceptance/test_up.py tests/docs/test_readme.py
# Each process that runs tests collects all it is given: to name folders saves it ten seconds.
WORKERS := tests/acceptance tests/celery_conformance tests/crash tests/installed tests/scaling
ALONE := tests/acceptance tests/audit tests/scaling
# One more than two processors: real workers mostly wait, and logic for servers and for timeouts that it tests.
PROCESSES ?= 3
# `AGAIN=--last-failed` runs what failed before, and everything where nothing did.
AGAIN ?=
# Keeps the tests of one plant on one process.
BESIDE := --numprocesses $(PROCESSES) --dist loadgroup --no-loadscope-reorder

.PHONY: help test test-logic test-promises test-workers test-alone lint demo bench bench-execution evidence crash side-by-side drills simulation plants plants-quick test-browser clean
help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python -e '.[embedded,postgres,rehearsal,demo,web]' --group dev; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	  $(BIN)/python -m pip install --quiet -e '.[embedded,postgres,rehearsal,demo,web]' --group dev; \
	fi
	@touch $(STAMP)

test: lint test-logic test-promises ## proves the README: linters, types, all logic, a shop on real workers

test-logic: $(STAMP) ## what computes: every test without real workers
	$(BIN)/python -m pytest $(AGAIN) -m "not acceptance and not plants and not browser" --numprocesses $(PROCESSES) --dist worksteal

# A worker that gets no turn looks dead: nothing that computes runs beside these.
test-promises: $(STAMP) ## a shop on real workers, killed and fallen back, on SQLite and PostgreSQL; the README's commands
	$(BIN)/python -m pytest $(AGAIN) -m "acceptance and not alone" $(BESIDE) $(PROMISES)

test-workers: $(STAMP) ## the other tests with real workers: Celery's habits, a short crash run, drills, shadows, the wheel
	$(BIN)/python -m pytest $(AGAIN) -m "acceptance and not alone" $(BESIDE) $(PROMISES:%=--ignore=%) $(WORKERS)

test-alone: $(STAMP) ## what keeps time, on an idle machine only: bottlenecks that are measured, the whole demo
	$(BIN)/python -m pytest -m alone $(ALONE)

test-browser: $(STAMP) ## the page in a real browser, with scripts and without (about 3 minutes)
	@command -v chromium >/dev/null 2>&1 || (apt-get update -q && apt-get install -y -q chromium) || \
	  { echo "error: no chromium, and apt-get could not install it" >&2; \
	    echo "hint: install it as root, or put one called chromium in PATH, and run make test-browser again" >&2; exit 1; }
	$(BIN)/python -m pytest $(AGAIN) tests/browser

plants-quick: $(STAMP) ## RabbitMQ, Sentinel, pgbouncer: two plants through twelve acts (about 4 minutes; apt)
	$(BIN)/python -m pytest $(AGAIN) -m "plants and not whole" tests/plants

plants: $(STAMP) ## every plant: broker x control store x ledger x pool (about 30 minutes; apt)
	$(BIN)/python -m pytest -m plants tests/plants

lint: $(STAMP) ## ruff, mypy, import-linter, deptry
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .

demo: $(STAMP) ## a whole pilot in five minutes: 336,776 flights, weeks of twenty seconds, real failures
	$(BIN)/rollout demo

bench: $(STAMP) ## costs on the job's way, beside their peers (12 minutes, 8 without `web`; ONLY="steps tick" a part); writes reports/bench.json
	$(BIN)/python -m ops.bench $(ONLY)

bench-execution: $(STAMP) ## graphs and micro-batches beside their peers (about 4 minutes); writes reports/execution.json
	$(BIN)/python -m ops.bench.execution

evidence: $(STAMP) ## the table of docs/evidence.md, simulated anew (about 20 minutes); writes reports/evidence.json
	$(BIN)/python -m ops.evidence --jobs 2

crash: $(STAMP) ## real processes under seeded faults; SEED=1-20 JOBS=10000 FAULTS=50; writes reports/crash.json
	$(BIN)/python -m tests.crash $(if $(SEED),--seeds $(SEED)) $(if $(JOBS),--jobs $(JOBS)) $(if $(FAULTS),--faults $(FAULTS))

side-by-side: $(STAMP) ## the same jobs and faults on bare Celery and behind rollout (about 7 minutes)
	$(BIN)/python -m tests.crash.side_by_side

drills: $(STAMP) ## every fault on the demo's pipeline, both paths (about 3 minutes); writes reports/drills.json
	$(BIN)/python -m rollout.demo.drills

simulation: $(STAMP) ## weeks on a virtual clock; SEEDS=1-2000 WEEKS=50, SEED=7 prints one; writes reports/simulation.json
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(WEEKS),--weeks $(WEEKS))

clean: ## remove the virtual environment, reports and state
	rm -rf $(VENV) $(REPORTS) .rollout
