"""What producers and workers import: nothing heavy, and nothing that starts by itself."""

import json
import subprocess
import sys

# A month of numpy, scipy and pandas costs each producer and each forked worker memory and start-up
# time; fastapi, alembic and typer belong to the shells.
HEAVY = ("numpy", "scipy", "pandas", "fastapi", "uvicorn", "alembic", "typer", "psycopg")

PROGRAM = """
import json, sys, threading, time
started = time.process_time()
import rollout
alone = sorted(name for name in sys.modules if name.startswith("rollout"))
from celery import Celery
app = Celery("shop", broker="memory://")
celery_s = time.process_time() - started
invoices = rollout.SubPipeline("invoices", app=app, effects="none", key="customer_id")

@invoices.legacy
def one_by_one(customer_id): ...

@invoices.concurrent
def overlapped(customer_id): ...

invoices.check()
print(json.dumps({
    "alone": alone,
    "modules": sorted(sys.modules),
    "threads": threading.active_count(),
    "rollout_s": time.process_time() - started - celery_s,
}))
"""


def declared() -> dict[str, object]:
    """Declare a sub-pipeline in a fresh interpreter and say what that has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_declaring_imports_nothing_heavy_and_starts_no_thread() -> None:
    """A producer pays for routing and filing, not for statistics, web page or migrations."""
    found = declared()
    assert found["alone"] == ["rollout"], "`import rollout` alone loads no module of it"
    modules = found["modules"]
    assert isinstance(modules, list)
    assert [name for name in HEAVY if name in modules] == []
    assert found["threads"] == 1


def test_declaring_is_quick() -> None:
    """CPU seconds above Celery's own import, with ample room for a loaded machine."""
    rollout_s = declared()["rollout_s"]
    assert isinstance(rollout_s, float)
    assert rollout_s < 5, "measured 0.6 s on an idle machine; something heavy has come in"
