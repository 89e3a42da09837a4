"""The jobs of a stream written into a real ledger as time passes, for comparison."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, update

from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.tables import job
from rollout.jobs.claims import JobState
from rollout.rehearsal.job_stream import JobStream, time_of, us_of
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.ports import TransitionRecord
from rollout.routing.rule import Reading, RouteTable
from rollout.routing.stages import ControlState, Event


class SqlStream:
    """`rehearsal.rehearse.Rehearsable` over a database: rows as workers would have left them.

    Args:
        ledger: Migrated and empty.
        stream: The jobs.
        keys: Their routing keys, from which the real rule decides.
        begin: When the sub-pipeline is declared.
    """

    def __init__(
        self, ledger: SqlLedger, stream: JobStream, keys: Sequence[str], begin: datetime
    ) -> None:
        self._ledger = ledger
        self._stream = stream
        self._keys = keys
        self.wider = timedelta(0)
        self._next = 0
        self._unfinished: set[int] = set()
        self._assigned: dict[int, JobPath] = {}
        ledger.ensure(stream.name, Effects.COMMIT, 500, begin)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    @property
    def log(self) -> list[TransitionRecord]:
        """All changes, oldest first."""
        return self._ledger.transitions(self._stream.name, 1000)[::-1]

    def change(
        self, event: Event, actor: str, reason: str, now: datetime, *, scope_bp: int | None = None
    ) -> ControlState:
        """What came before `now` is routed first."""
        self.admit(now)
        name = self._stream.name
        return self._ledger.change(name, event, actor, reason, now, scope_bp=scope_bp)

    def admit(self, now: datetime) -> None:
        """Submit what came, and bring on its way what was there."""
        self._submit(us_of(now))
        changed = [self._row(number, us_of(now)) for number in sorted(self._unfinished)]
        if changed:
            values: dict[str, Any] = {
                key: bindparam(f"new_{key}") for key in changed[0] if key != "job_id"
            }
            with self._ledger.database.write() as connection:
                connection.execute(
                    update(job).where(job.c.job_id == bindparam("of_job")).values(values),
                    [
                        {"of_job" if key == "job_id" else f"new_{key}": row[key] for key in row}
                        for row in changed
                    ],
                )
        done = {row["job_id"] for row in changed if row["finished_at"] is not None}
        self._unfinished -= {number for number in self._unfinished if f"job-{number}" in done}

    def _submit(self, now_us: int) -> None:
        state = self._ledger.control(self._stream.name)
        table = RouteTable(Reading(state, supervised=True))
        rows = []
        while self._next < self._stream.jobs and self._stream.at_us[self._next] < now_us:
            made = table.decide(self._keys[self._next])
            self._assigned[self._next] = made.path
            self._unfinished.add(self._next)
            at = time_of(int(self._stream.at_us[self._next]))
            rows.append(
                {
                    "job_id": f"job-{self._next}",
                    "name": self._stream.name,
                    "key": self._keys[self._next],
                    "state": JobState.STARTED,
                    "assigned_path": made.path,
                    "path": made.path,
                    "reason": made.reason,
                    "revision": made.revision,
                    "attempt": 1,
                    "fence_revision": 0,
                    "deaths": 0,
                    "accepted_at": at,
                    "sent_at": at,
                    "started_at": at,
                    "renewed_at": at,
                    "folded": False,
                    "way": "",
                    "envelope": "{}",
                }
            )
            self._next += 1
        if rows:
            with self._ledger.database.write() as connection:
                connection.execute(insert(job), rows)

    def _row(self, number: int, now_us: int) -> dict[str, Any]:
        """How a job's row stands now."""
        stream, path = self._stream, self._assigned[number]
        at_us = int(stream.at_us[number])
        end_us, started_us = at_us + int(stream.legacy_us[number]), at_us
        failed, fallback = bool(stream.legacy_failed[number]), None
        if path is JobPath.CONCURRENT:
            end_us = at_us + int(stream.concurrent_us[number])
            failed = False
            if stream.concurrent_failed[number] and end_us <= now_us:
                fallback, path, started_us = Reason.FAILED, JobPath.LEGACY, end_us
                end_us += int(stream.legacy_us[number])
                failed = bool(stream.legacy_failed[number])
            elif stream.concurrent_failed[number]:
                end_us = now_us + 1
        finished = end_us <= now_us
        done = JobState.FAILED if failed else JobState.COMMITTED
        return {
            "job_id": f"job-{number}",
            "state": done if finished else JobState.STARTED,
            "path": path,
            "started_at": time_of(started_us),
            "finished_at": time_of(end_us) if finished else None,
            "fallback_reason": fallback,
            "moved_reason": fallback,
        }
