"""What a declaration makes a worker load, by names of modules: seconds depend on the machine."""

import json
import subprocess
import sys
from pathlib import Path

_DECLARE = """
import json, sys
from celery import Celery
import celery.bin.worker, celery.concurrency.prefork, kombu.transport.redis
before = set(sys.modules)
from rollout import SubPipeline
pipeline = SubPipeline("invoices", app=Celery("shop", broker="redis://"), effects="none")

@pipeline.legacy
def old(n): return n

@pipeline.concurrent
def new(n): return n
"""
_SHOW = "print(json.dumps(sorted(set(sys.modules) - before)))"
_RUN = """
declared = set(sys.modules)
from rollout.wiring import build
from rollout.adapters.sql.migrate import migrate
runtime = build(ledger_url="sqlite:///ledger.db", control_url="redis://127.0.0.1:1")
runtime.database.begin_file()
migrate(runtime.database)
migrated = set(sys.modules) - declared
pipeline = SubPipeline("bills", effects="none", runtime=runtime)
pipeline.legacy(old), pipeline.concurrent(new)
assert pipeline.run(n=7) == 7
before |= declared | migrated
"""


def loaded(program: str, folder: Path) -> set[str]:
    """Names of the modules that a program loads beside those of bare Celery."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def within(modules: set[str], *rooms: str) -> set[str]:
    """Those of these packages."""
    return {one for one in modules for room in rooms if one == room or one.startswith(f"{room}.")}


def test_a_declaration_loads_a_jobs_way_and_nothing_of_the_controller(no_settings: Path) -> None:
    """No screens, no judgement, no second ledger."""
    modules = loaded(_DECLARE + _SHOW, no_settings)
    assert not within(
        modules,
        "rich", "pygments", "structlog", "numpy", "scipy", "fastapi", "alembic", "typer",
        "sqlalchemy.orm",
        "rollout.adapters.memory", "rollout.evidence", "rollout.policy", "rollout.policies",
        "rollout.desk", "rollout.controller", "rollout.rehearsal", "rollout.audit",
    )  # fmt: skip
    assert within(modules, "rollout.control") == {"rollout.control", "rollout.control.latching"}
    pilot = {"", ".builds", ".ports"}
    drills = {"", ".errors", ".fault", ".interference", ".plans", ".ports"}
    assert within(modules, "rollout.pilot") == {f"rollout.pilot{one}" for one in pilot}
    assert within(modules, "rollout.drills") == {f"rollout.drills{one}" for one in drills}


def test_a_first_job_loads_no_module_of_ours(no_settings: Path) -> None:
    """What a job needs was there before a worker forks, or each child would load it again."""
    assert not within(loaded(_DECLARE + _RUN + _SHOW, no_settings), "rollout")
