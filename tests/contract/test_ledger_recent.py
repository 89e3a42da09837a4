"""What has happened lately: counted by path and fate, listed by kind, the same on every ledger."""

from datetime import timedelta
from typing import Protocol

from rollout.jobs.ports import Ledger
from rollout.jobs.recent import Came, JobKind, RecentJobs
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.builders import NAME, NOW, filing
from tests.contract.ledger_acts import C, L, declared, started


class _Asked(Ledger, RecentJobs, Protocol):
    """A ledger that is asked about lately."""


def test_jobs_are_counted_by_path_and_fate_and_listed_by_kind(ledger: _Asked) -> None:
    """One that fell back belongs to the concurrent path; what was admitted before is left out."""
    declared(ledger)
    fell = started(ledger, "fell")
    ledger.hand_over(NAME, "fell", fell.attempt, Reason.FAILED, "ValueError: no address", NOW)
    kept = started(ledger, "kept", L)
    ledger.fail(NAME, "kept", kept.attempt, Reason.FAILED, "ValueError: x", NOW)
    started(ledger, "runs")
    done = started(ledger, "done", L)
    ledger.commit(done, Effects.COMMIT, lambda connect: "null", NOW)
    ledger.file([filing("waits", C), filing("old", C, at=NOW - timedelta(hours=1))])
    counts = {(one.path, one.came, one.drilled): one.jobs for one in ledger.recent_counts(NOW)}
    assert counts == {
        (C, Came.FELL_BACK, False): 1,
        (L, Came.FAILED, False): 1,
        (C, Came.OPEN, False): 2,
        (L, Came.COMMITTED, False): 1,
    }

    def ids(kind: JobKind, name: str | None = NAME) -> list[str]:
        return [one.job_id for one in ledger.recent_jobs(name, kind, NOW, 10)]

    assert ids(JobKind.FALLBACKS) == ["fell"]
    assert ids(JobKind.FAILED, None) == ["kept"]
    assert ids(JobKind.HURT) == ["fell", "kept"]
    assert ids(JobKind.RUNNING) == ["runs"]
    assert ids(JobKind.WAITING) == ["fell", "waits"]
    assert [one.job_id for one in ledger.recent_jobs(None, JobKind.WAITING, None, 10)][-1] == "old"
    assert ids(JobKind.WAITING, "nobody") == []
    (fallback,) = ledger.recent_jobs(NAME, JobKind.FALLBACKS, NOW, 1)
    assert (fallback.error, fallback.envelope) == ("ValueError: no address", "")
    assert fallback.path is JobPath.LEGACY
    assert ledger.ids_like("o", 5) == ["old"]
    assert ledger.ids_like("o", 5, NAME) == ["old"]
    assert ledger.ids_like("o", 5, "nobody") == []
    assert ledger.ids_like("%", 5) == []


def test_logs_go_on_where_a_page_ended(ledger: _Asked) -> None:
    """Changes before one, newest first; the newest of each sub-pipeline at once."""
    declared(ledger)
    declared(ledger, name="other")
    for _ in range(2):
        ledger.change(NAME, Event.FREEZE, "ada", "stocktaking", NOW)
    newest, *_ = first = ledger.transitions(NAME, 2)
    assert [one.event for one in first] == [Event.FREEZE, Event.FREEZE]
    (older,) = ledger.transitions(NAME, 2, first[-1].change_id)
    assert older.event is Event.START
    assert ledger.transitions(NAME, 2, older.change_id) == []
    assert ledger.transitions(NAME, 2, 0) == []
    last = ledger.last_changes()
    assert set(last) == {NAME, "other"}
    assert last[NAME] == newest
