"""What a person asks the ledger before a trial, on every ledger."""

from datetime import timedelta

from rollout.policy.ports import Arrived
from rollout.routing.decision import Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, filing
from tests.contract.conftest import ClosingLedger
from tests.contract.ledger_acts import C, L, commit, declared, started

DAY = timedelta(days=1)


def test_finished_jobs_are_counted_by_name_and_assigned_path(ledger: ClosingLedger) -> None:
    """Failures count for legacy only where routing sent the job there; open jobs do not count."""
    declared(ledger)
    declared(ledger, name="orders")
    for number in range(3):
        commit(ledger, started(ledger, f"legacy-{number}", L), now=NOW + number * DAY)
    commit(ledger, started(ledger, "concurrent", C), now=NOW + DAY)
    commit(ledger, started(ledger, "other", L, name="orders"), now=NOW)
    for job_id, path in (("failed-legacy", L), ("failed-concurrent", C)):
        started(ledger, job_id, path)
        ledger.fail(NAME, job_id, None, Reason.FAILED, "ValueError: no", NOW + DAY)
    ledger.file([filing("waiting", L)])
    started(ledger, "running", C)
    assert ledger.arrivals(NOW) == [
        Arrived(NAME, 6, 4, 1, NOW),
        Arrived("orders", 1, 1, 0, NOW),
    ]


def test_older_jobs_are_left_out(ledger: ClosingLedger) -> None:
    """Only what has finished since then is this week's traffic."""
    declared(ledger)
    for number in range(4):
        commit(ledger, started(ledger, f"job-{number}", L), now=NOW + number * DAY)
    assert ledger.arrivals(NOW + 2 * DAY) == [Arrived(NAME, 2, 2, 0, NOW + 2 * DAY)]
    assert ledger.arrivals(NOW + 4 * DAY) == []


def test_declared_effects(ledger: ClosingLedger) -> None:
    """Each sub-pipeline's own; the latch of all is none."""
    declared(ledger, Effects.UNSAFE)
    declared(ledger, Effects.NONE, name="orders")
    assert ledger.declared_effects() == {NAME: Effects.UNSAFE, "orders": Effects.NONE}
