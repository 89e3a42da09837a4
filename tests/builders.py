"""Short ways to build the values that most tests need."""

from datetime import datetime, timedelta
from typing import Any

from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.ports import Filing, Running
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import Kill
from rollout.routing.stages import ControlState, Stage
from tests.hand_clock import START

NOW = START
NAME = "invoices"
SILENT_AFTER = timedelta(seconds=30)


def split(scope_bp: int = 9_500, **values: Any) -> ControlState:
    """A control state that sends `scope_bp` of the jobs to the concurrent path."""
    given = {"stage": Stage.SPLIT, "salt": NAME, "revision": 3, **values}
    return ControlState(NAME, scope_bp=scope_bp, **given)


def record(**values: Any) -> JobRecord:
    """A job that waits on the concurrent path."""
    given: dict[str, Any] = {
        "job_id": "job-1",
        "name": NAME,
        "key": "7",
        "state": JobState.ACCEPTED,
        "assigned_path": JobPath.CONCURRENT,
        "path": JobPath.CONCURRENT,
        "reason": Reason.IN_SCOPE,
        "revision": 3,
        "attempt": 0,
        "fence_revision": 0,
        "deaths": 0,
        "accepted_at": NOW,
        "sent_at": NOW,
        "started_at": None,
        "renewed_at": None,
        "finished_at": None,
        "not_before": None,
        "fallback_reason": None,
        "moved_reason": None,
        "error": None,
        "result": None,
        "worker": None,
    }
    return JobRecord(**{**given, **values})


def filing(
    job_id: str = "job-1",
    path: JobPath = JobPath.CONCURRENT,
    *,
    name: str = NAME,
    key: str = "7",
    envelope: str = '{"headers": {}}',
    at: datetime = NOW,
    not_before: datetime | None = None,
) -> Filing:
    """A job on its way into the ledger."""
    reason = Reason.IN_SCOPE if path is JobPath.CONCURRENT else Reason.OUT_OF_SCOPE
    return Filing(job_id, name, key, path, reason, 3, envelope, at, not_before)


def running(
    job_id: str = "job-1",
    worker: str = "w1",
    path: JobPath = JobPath.CONCURRENT,
    *,
    name: str = NAME,
) -> Running:
    """A start that its worker vouches for."""
    return Running(name, job_id, worker, path)


def kill_of(name: str | None = NAME, kill_id: str = "kill-1", at: datetime = NOW) -> Kill:
    """One pull of the kill switch."""
    return Kill(kill_id, name, "ada", "too many errors", at)
