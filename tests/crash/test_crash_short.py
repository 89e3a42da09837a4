"""One short real run: every kind of fault once, no promise broken, no process left."""

from pathlib import Path

import psutil
import pytest

from tests.crash.checker import check
from tests.crash.faults import KINDS
from tests.crash.run import Order, run

JOBS = 1500
FAULTS = 12


@pytest.mark.acceptance
@pytest.mark.timeout(400)
def test_short_run_keeps_all_promises(tmp_path: Path) -> None:
    """1,500 jobs under twelve faults of twelve kinds on real servers."""
    # pytest's folders are closed to others, and PostgreSQL would run as another user.
    order = Order(seed=7, jobs=JOBS, faults=FAULTS, ledger="sqlite", deadline_s=350)
    result = run(order, tmp_path / "plant")
    found = check(result.evidence)
    assert found == [], f"seed {order.seed}, kept in {tmp_path}"
    assert result.came_to_rest
    events = result.evidence.events
    submitted = sum(len(event["jobs"]) for event in events if event["what"] == "submitted")
    assert submitted >= JOBS
    begun = {event["kind"] for event in events if event["what"] == "fault begun"}
    assert len(begun) == FAULTS
    assert begun <= {kind.name for kind in KINDS}
    left = [one.pid for one in psutil.process_iter() if _belongs_to(one, tmp_path)]
    assert left == []


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        return str(folder) in str(process.environ().get("CRASH_HISTORY", ""))
    except psutil.Error:
        return False
