"""The controller's view of a ledger in memory: lost and silent jobs, counts, tallies, messages."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rollout.adapters.memory.evidence_rows import fold_into_trials
from rollout.adapters.memory.job_values import failed, moved, outcome_of
from rollout.adapters.memory.rows import Rows
from rollout.jobs.claims import DEATHS_MAX, JobRecord, JobState
from rollout.jobs.cycle import bucket_of
from rollout.jobs.ports import LOST_MAX, CycleTally, Handed, Lost, OpenCount, Tally
from rollout.routing.decision import JobPath, Reason


class SweepRows:
    """What the controller asks of the jobs; each call does a bounded amount of work."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def recall(
        self, name: str, *, running: bool, reason: Reason, now: datetime, limit: int
    ) -> list[Handed]:
        """Move waiting (and with `running`, repeatable started) concurrent jobs to legacy."""
        with self._rows as rows:
            started = running and rows.effects[name].repeatable

            def wanted(job: JobRecord) -> bool:
                return (
                    job.path is JobPath.CONCURRENT
                    and (started or job.state is JobState.ACCEPTED)
                    # A job that runs in its caller's process falls back there.
                    and job.envelope != ""
                )

            return _move(rows, name, wanted, reason, now, limit)

    def unsafe_running(self, names: Sequence[str]) -> int:
        """Count started concurrent jobs of those among these names whose effects are unsafe."""
        with self._rows as rows:
            unsafe = [
                name for name in names if name in rows.effects and not rows.effects[name].repeatable
            ]
            return sum(
                job.state is JobState.STARTED and job.path is JobPath.CONCURRENT
                for name in unsafe
                for job in rows.open_jobs(name)
            )

    def resend_lost(self, lost: Lost, now: datetime, limit: int) -> list[Handed]:
        """Move accepted jobs that no queue holds to legacy, oldest first."""
        with self._rows as rows:
            return _move(
                rows,
                lost.name,
                lambda job: _is_lost(job, lost, rows.clock),
                Reason.LOST_MESSAGE,
                now,
                limit,
            )

    def resend_silent(
        self, name: str, silent_after: timedelta, now: datetime, limit: int
    ) -> list[Handed]:
        """Move started jobs of silent workers to legacy; unsafe and poison ones are failed."""
        heard_before = self._rows.clock(now) - silent_after

        def silent(job: JobRecord) -> bool:
            heard = job.renewed_at or job.started_at
            return (
                job.state is JobState.STARTED
                and heard is not None
                and heard < heard_before
                and job.envelope != ""
            )

        def poison(job: JobRecord) -> bool:
            return silent(job) and job.deaths + 1 >= DEATHS_MAX

        with self._rows as rows:
            if not rows.effects[name].repeatable:
                sentence = "the worker of an unsafe job fell silent; look before you retry"
                _keep(rows, name, silent, sentence, now)
                return []
            _keep(rows, name, poison, f"{DEATHS_MAX} workers died under this job", now)
            return _move(rows, name, silent, Reason.WORKER_LOST, now, limit)

    def silent_names(
        self, names: Sequence[str], silent_after: timedelta, now: datetime
    ) -> list[str]:
        """Those of these sub-pipelines that have started jobs of silent workers, in order."""
        heard_before = self._rows.clock(now) - silent_after

        def silent(job: JobRecord) -> bool:
            heard = job.renewed_at or job.started_at
            started = job.state is JobState.STARTED and job.envelope != ""
            return started and heard is not None and heard < heard_before

        with self._rows as rows:
            return sorted(name for name in names if any(map(silent, rows.open_jobs(name))))

    def redate(
        self, names: Sequence[str], sent_ahead: timedelta, heard_ahead: timedelta, now: datetime
    ) -> int:
        """Date accepted jobs sent, and started ones heard of, so far ahead of now as of now."""
        dated = 0
        with self._rows as rows:
            here = rows.clock(now)
            for job in [job for name in names for job in rows.open_jobs(name)]:
                heard = job.renewed_at or job.started_at
                if job.state is JobState.ACCEPTED and job.sent_at > now + sent_ahead:
                    rows.put(replace(job, sent_at=now))
                elif (
                    job.state is JobState.STARTED
                    and heard is not None
                    and heard > here + heard_ahead
                ):
                    rows.put(replace(job, renewed_at=here))
                else:
                    continue
                dated += 1
        return dated

    def count_lost(self, lost: Lost, limit: int = LOST_MAX) -> int:
        """Count accepted jobs that no queue holds, up to the limit."""
        with self._rows as rows:
            lost_jobs = (_is_lost(job, lost, rows.clock) for job in rows.open_jobs(lost.name))
            return min(limit, sum(lost_jobs))

    def open_counts(self) -> list[OpenCount]:
        """Count unfinished jobs."""
        counts: dict[tuple[str, JobPath, JobState], tuple[int, datetime]] = {}
        with self._rows as rows:
            for name in rows.open_names():
                for job in rows.open_jobs(name):
                    key = (name, job.path, job.state)
                    jobs, oldest = counts.get(key, (0, job.accepted_at))
                    counts[key] = (jobs + 1, min(oldest, job.accepted_at))
        return [OpenCount(*key, jobs, oldest) for key, (jobs, oldest) in counts.items()]

    def kept_counts(self) -> dict[str, int]:
        """Count the failures that are kept now, by sub-pipeline."""
        with self._rows as rows:
            return dict(Counter(job.name for job in rows.failed_jobs()))

    def fold(self, limit: int) -> int:
        """Count newly finished jobs into tallies, totals and profiles, each once."""
        with self._rows as rows:
            chosen = rows.unfolded_jobs()[:limit]
            if chosen:
                fold_into_trials(rows, chosen)
            for job in chosen:
                rows.outcomes[outcome_of(job)] += 1
                if job.state is JobState.COMMITTED and job.finished_at is not None:
                    seconds = max(0.0, (job.finished_at - job.accepted_at).total_seconds())
                    key = (job.name, job.assigned_path, bucket_of(seconds))
                    jobs, sum_s = rows.cycles.get(key, (0, 0.0))
                    rows.cycles[key] = (jobs + 1, sum_s + seconds)
                rows.folded(job)
            return len(chosen)

    def tallies(self, name: str | None = None) -> tuple[list[Tally], list[CycleTally]]:
        """Read the tallies; outcomes not folded yet are counted in, cycle times are not."""
        with self._rows as rows:
            counted = rows.outcomes + Counter(map(outcome_of, rows.unfolded_jobs()))
            cycles = sorted(rows.cycles.items(), key=lambda cycle: cycle[0][2])
        return [
            Tally(whose, JobPath(assigned), JobPath(path), outcome, Reason(why), jobs)
            for (whose, assigned, path, outcome, why), jobs in counted.items()
            if name in (None, whose)
        ], [
            CycleTally(whose, JobPath(path), le_s, jobs, sum_s)
            for (whose, path, le_s), (jobs, sum_s) in cycles
            if name in (None, whose)
        ]

    def newest_commit(self) -> datetime | None:
        """When the newest committed job finished; None without one."""
        with self._rows as rows:
            return rows.newest_commit

    def prune(self, finished_before: datetime, limit: int) -> int:
        """Delete old committed jobs that were folded; how many."""
        with self._rows as rows:
            return rows.forget(finished_before, limit)

    def pruned_before(self) -> datetime | None:
        """The newest `finished_before` that deleted a job; None when none ever was."""
        with self._rows as rows:
            return rows.pruned_before

    def keep_message(self, queue: str, why: str, headers: str, body: str, now: datetime) -> None:
        """Keep a message that was refused on one of our queues."""
        with self._rows as rows:
            rows.messages.append({
                "id": len(rows.messages) + 1, "at": now, "queue": queue, "why": why,
                "headers": headers, "body": body,
            })  # fmt: skip

    def kept_messages(self, limit: int) -> list[Mapping[str, Any]]:
        """List refused messages, newest first."""
        with self._rows as rows:
            return rows.messages[::-1][:limit]


def _move(
    rows: Rows,
    name: str,
    wanted: Callable[[JobRecord], bool],
    reason: Reason,
    now: datetime,
    limit: int,
) -> list[Handed]:
    chosen = sorted(filter(wanted, rows.open_jobs(name)), key=lambda job: job.sent_at)[:limit]
    for job in chosen:
        rows.put(moved(job, reason, None, now))
    return [Handed(job.job_id, name, job.envelope, reason) for job in chosen]


def _keep(
    rows: Rows, name: str, wanted: Callable[[JobRecord], bool], error: str, now: datetime
) -> None:
    for job in filter(wanted, rows.open_jobs(name)):
        rows.put(failed(job, Reason.WORKER_LOST, error, now))


def _in_hands(job: JobRecord, lost: Lost, clock: Callable[[datetime], datetime]) -> bool:
    if lost.now is None or job.renewed_at is None:
        return job.job_id in lost.spared
    return job.renewed_at >= clock(lost.now) - lost.receipt_for


def _is_lost(job: JobRecord, lost: Lost, clock: Callable[[datetime], datetime]) -> bool:
    return (
        job.state is JobState.ACCEPTED
        and job.path is lost.path
        and job.sent_at < lost.sent_before
        and (job.not_before is None or job.not_before < lost.sent_before)
        and not _in_hands(job, lost, clock)
        and job.reason is not Reason.OPTED_OUT  # it waits in a queue of its caller's choice
        and job.envelope != ""
    )
