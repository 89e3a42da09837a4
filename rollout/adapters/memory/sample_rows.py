"""What each path did in a window, from a ledger in memory."""

from collections import defaultdict
from datetime import datetime

from rollout.adapters.memory.evidence_rows import in_drill, outcome_so_far
from rollout.adapters.memory.rows import Rows
from rollout.evidence.sample import PathSample
from rollout.jobs.claims import JobRecord
from rollout.pilot.outcome import Outcome
from rollout.routing.decision import JobPath, Reason

_Key = tuple[str, JobPath]


class SampleRows:
    """`drills.ports.Samples`: the jobs that finished in the window, and the open ones."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def samples(self, since: datetime, until: datetime) -> dict[str, dict[JobPath, PathSample]]:
        """Say what both paths did after `since` and up to `until`, by assigned path."""
        finished: defaultdict[_Key, list[tuple[bool, float]]] = defaultdict(list)
        due_at: dict[_Key, datetime] = {}
        with self._rows as rows:
            for job in rows.jobs.values():
                if in_drill(rows, job) or not _counts(job):
                    continue
                key = (job.name, job.assigned_path)
                if job.finished_at is None:
                    due = max(job.accepted_at, job.not_before or job.accepted_at)
                    if due <= until:
                        due_at[key] = min(due, due_at.get(key, due))
                elif since < job.finished_at <= until:
                    outcome = outcome_so_far(job)
                    if outcome in (Outcome.GOOD, Outcome.FAILED):
                        took_s = (job.finished_at - job.accepted_at).total_seconds()
                        one = (outcome is Outcome.FAILED, took_s)
                        finished[key].append(one)
        return {
            name: {
                path: PathSample.of(until, finished.get((name, path), ()), due_at.get((name, path)))
                for path in JobPath
            }
            for name in sorted({name for name, _ in (*finished, *due_at)})
        }


def _counts(job: JobRecord) -> bool:
    return (
        job.reason is not Reason.OPTED_OUT  # it waits in a queue of its caller's choice
        # Its failure was counted when it failed.
        and job.moved_reason is not Reason.RETRIED_BY_HAND
    )
