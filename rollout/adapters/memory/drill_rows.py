"""Drills in memory: marks on jobs, spans, the journal."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rollout.adapters.memory.rows import Rows, Span
from rollout.drills.ports import DrillEvent
from rollout.drills.score import FROM_OUTSIDE, has_failed
from rollout.evidence.sample import PathSample
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.way import step
from rollout.routing.decision import JobPath

_LOCK_NAP_S = 0.05
_FIRST, _LAST = "declared", "ended"


class DrillRows:
    """`drill_ports.DrillLedger`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    # What a worker does ------------------------------------------------------------------

    def mark_drilled(
        self, name: str, job_id: str, drill_id: str, fault: str, now: datetime
    ) -> bool:
        """Note that a drill hurts this job; False when it is not filed, or was hurt before."""
        with self._rows as rows:
            record = rows.jobs.get((name, job_id))
            if record is None or record.drill is not None:
                return False
            line = step(now, "drilled", drill=drill_id, fault=fault)
            rows.jobs[record.ref] = replace(record, drill=drill_id, way=record.way + line)
            return True

    def hold_lock(self, seconds: float, goes_on: Callable[[], bool]) -> None:
        """Keep every other caller out for so long, or until `goes_on` says no."""
        deadline = time.monotonic() + seconds
        with self._rows:
            while time.monotonic() < deadline and goes_on():
                time.sleep(_LOCK_NAP_S)

    # What the runner asks ----------------------------------------------------------------

    def drilled_jobs(self, drill_id: str) -> list[JobRecord]:
        """Read the jobs that a drill hurt, with their ways, without their envelopes."""
        with self._rows as rows:
            hurt = [job for job in rows.jobs.values() if job.drill == drill_id]
        hurt.sort(key=lambda job: job.accepted_at)
        return [replace(job, envelope="") for job in hurt]

    def mark_victims(
        self, name: str, path: JobPath, drill_id: str, since: datetime, now: datetime
    ) -> int:
        """Mark jobs that a path has failed since then, and that no worker marked; how many."""
        line = step(now, "drilled", drill=drill_id, fault=FROM_OUTSIDE)
        with self._rows as rows:
            victims = [
                job
                for job in rows.jobs.values()
                if (job.name, job.assigned_path, job.drill) == (name, path, None)
                and _failed_since(job, since)
            ]
            for job in victims:
                rows.jobs[job.ref] = replace(job, drill=drill_id, way=job.way + line)
        return len(victims)

    def jobs_since(self, name: str, since: datetime) -> list[JobRecord]:
        """Read the jobs admitted since an hour before then, without their envelopes."""
        first = since - timedelta(hours=1)
        with self._rows as rows:
            found = [
                job for job in rows.jobs.values() if job.name == name and job.accepted_at >= first
            ]
        found.sort(key=lambda job: job.accepted_at)
        return [replace(job, envelope="") for job in found]

    def window(self, name: str, since: datetime, until: datetime) -> Mapping[JobPath, PathSample]:
        """Say what each path did in a window, jobs of drills included."""
        with self._rows as rows:
            finished = [
                (job.assigned_path, _timed(job, job.finished_at))
                for job in rows.jobs.values()
                if job.name == name and job.finished_at and since < job.finished_at <= until
            ]
            waiting = [
                (job.assigned_path, job.accepted_at)
                for job in rows.open_jobs(name)
                if job.not_before is None or job.not_before <= until
            ]
        return {
            path: PathSample.of(
                until,
                (timed for assigned, timed in finished if assigned is path),
                min((at for assigned, at in waiting if assigned is path), default=None),
            )
            for path in JobPath
        }

    def begin_span(self, name: str, drill_id: str, began_at: datetime, ends_at: datetime) -> None:
        """Note that jobs admitted from now on, at the latest to `ends_at`, are nobody's sample."""
        with self._rows as rows:
            rows.spans[name].append(Span(drill_id, began_at, ends_at))

    def end_span(self, drill_id: str, ended_at: datetime) -> None:
        """Note when that ended."""
        with self._rows as rows:
            for spans in rows.spans.values():
                spans[:] = [
                    span._replace(ended_at=min(span.ended_at, ended_at))
                    if span.drill_id == drill_id
                    else span
                    for span in spans
                ]

    # The journal -------------------------------------------------------------------------

    def append_drill(self, events: Sequence[DrillEvent]) -> None:
        """Append to the journal of drills; nothing in it is ever changed."""
        with self._rows as rows:
            rows.journal += events

    def drill_events(self, drill_id: str) -> list[DrillEvent]:
        """Read one drill's journal, oldest first."""
        with self._rows as rows:
            return [event for event in rows.journal if event.drill_id == drill_id]

    def drills(self, name: str | None, limit: int) -> list[DrillEvent]:
        """Read the first and the last line of each drill, newest drill first."""
        with self._rows as rows:
            journal = list(rows.journal)
        begun = [
            event.drill_id
            for event in reversed(journal)
            if event.what == _FIRST and name in (None, event.name)
        ][:limit]
        ends = [event for event in journal if event.what in (_FIRST, _LAST)]
        return [event for one in begun for event in ends if event.drill_id == one]


def _timed(job: JobRecord, finished_at: datetime) -> tuple[bool, float]:
    """Whether a path failed this job, and its cycle time in seconds."""
    failed = has_failed(job.state, job.fallback_reason, job.moved_reason, job.drill)
    return failed, (finished_at - job.accepted_at).total_seconds()


def _failed_since(job: JobRecord, since: datetime) -> bool:
    moved = job.moved_reason is not None and job.sent_at >= since
    ended = job.finished_at is not None and job.finished_at >= since
    return moved or (job.state is JobState.FAILED and ended)
