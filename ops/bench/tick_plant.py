"""One ledger with a fleet on trial and a history, and the controller that judges it.

Jobs are made by the database itself: a million of them are there in seconds, and what a tick costs
is not mixed up with what making them costs. Time is made up, too: `now` is handed to the services,
so that a minute of windows passes at once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
from sqlalchemy import func, insert, select, text

from ops.bench.cpu import Busy
from rollout import Runtime
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.pilot_tables import legacy_profile, path_watch, pilot
from rollout.adapters.sql.profile_rows import write_profiles
from rollout.adapters.sql.tables import job, sub_pipeline, to_microseconds
from rollout.evidence.buckets import Histogram
from rollout.pilot.profile import LegacyProfile
from rollout.routing.effects import Effects
from rollout.routing.stages import Stage

BEGAN = datetime(2026, 9, 1, tzinfo=UTC)
SETTLE = timedelta(seconds=3)
"""Windows are judged a moment after their end; thresholds of about a second ask for two."""
FOLD_BATCH = 2_000
"""As the controller folds."""
HISTORY_S = 30 * 86_400
SLICE = 1_000_000
"""Most jobs of the history that one statement makes."""
CYCLE_S_MIN, CYCLE_S_SPAN = 0.2, 1.0

_MAKE = """
INSERT INTO job (job_id, name, key, state, assigned_path, path, reason, revision, attempt,
                 fence_revision, deaths, accepted_at, sent_at, started_at, finished_at,
                 folded, way, envelope)
WITH RECURSIVE given AS (
    SELECT CAST(:first AS BIGINT) AS first, CAST(:jobs AS BIGINT) AS jobs,
           CAST(:names AS BIGINT) AS names, CAST(:begin_us AS BIGINT) AS begin_us,
           CAST(:span_us AS BIGINT) AS span_us, CAST(:took_us AS BIGINT) AS took_us,
           CAST(:more_us AS BIGINT) AS more_us
), counted(i) AS (
    SELECT first FROM given
    UNION ALL SELECT i + 1 FROM counted, given WHERE i + 1 < first + jobs
), drawn AS (
    SELECT i, i % names AS number, begin_us + (i - first) * (span_us / jobs) AS at,
           CASE WHEN (i / names) % 2 = 0 THEN 'legacy' ELSE 'concurrent' END AS path,
           took_us + (i * 7919) % more_us AS took
    FROM counted, given
)
SELECT 'job-' || i, 'pilot-' || number, 'customer-' || i, 'committed', path, path,
       CASE WHEN path = 'legacy' THEN 'out_of_scope' ELSE 'in_scope' END, 3, 1,
       0, 0, at, at, at, at + took, {folded}, '', '{{}}'
FROM drawn
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step took: seconds on the wall, and of the processors (ours and the database's)."""

    wall_s: float
    busy_s: float


class Plant:
    """A migrated ledger, its controller, and time in our hands.

    Args:
        runtime: On an empty ledger.
        server: Process of the database server; None when it runs in this one.
        names: Sub-pipelines on trial.
        history: Jobs that were folded before.
        began: When its trials begin.
        paint: Statements that change the history before it is indexed.
    """

    def __init__(
        self,
        runtime: Runtime,
        server: psutil.Process | None,
        names: int,
        history: int,
        began: datetime = BEGAN,
        paint: Sequence[str] = (),
    ) -> None:
        self.runtime, self.names, self.history = runtime, names, history
        self.ledger = SqlLedger(runtime.database)
        self._began = began
        self.now = began  # always at the edge of a window; judged a moment later
        self._busy = Busy(server)
        self._made = 0
        self._declare()
        self.runtime.pilots.lead(self.now)
        self.turn()  # the trials begin
        if history:
            self._fill(history, began - timedelta(seconds=HISTORY_S), HISTORY_S - 60, paint)
            if runtime.database.is_postgresql:
                with runtime.database.write() as connection:
                    connection.execute(text("ANALYZE job"))  # as autovacuum does after so many rows

    def _fill(self, history: int, begin: datetime, span_s: float, paint: Sequence[str]) -> None:
        """Make the history in slices, so that ten million jobs are no one transaction.

        To keep eight indexes up to date takes longer than to make the jobs without them.
        """
        slices = -(-history // SLICE)
        each = timedelta(seconds=span_s / slices)
        with self.runtime.database.write() as connection:
            for index in job.indexes:
                index.drop(connection)
        for number in range(slices):
            jobs = min(SLICE, history - number * SLICE)
            self._make(jobs, begin + number * each, each, self.names, folded=True)
        with self.runtime.database.write() as connection:
            for statement in paint:
                connection.execute(text(statement))
            for index in job.indexes:
                index.create(connection)

    def _declare(self) -> None:
        """Put the fleet in stage split at 50 %, each with a day of legacy behind it."""
        one = {
            "effects": Effects.NONE, "stage": Stage.SPLIT, "scope_bp": 5_000, "holdback_bp": 500,
            "killed": False, "frozen": False, "revision": 3, "fence_revision": 0, "salt": "bench",
            "changed_at": self._began,
        }  # fmt: skip
        names = [f"pilot-{number}" for number in range(self.names)]
        durations = [CYCLE_S_MIN + CYCLE_S_SPAN * part / 500 for part in range(500)]
        profile = LegacyProfile(today=Histogram().add(durations)).add([])
        with self.runtime.database.write() as connection:
            connection.execute(insert(sub_pipeline), [{"name": name, **one} for name in names])
            write_profiles(connection, self.ledger._insert, dict.fromkeys(names, profile))

    def admit(self, jobs: int, span: timedelta, names: int | None = None) -> None:
        """Let `span` pass, in which so many jobs are admitted and finished; all are new."""
        self._make(jobs, self.now, span, names or self.names, folded=False)
        self.now += span

    def _make(
        self, jobs: int, begin: datetime, span: timedelta, names: int, *, folded: bool
    ) -> None:
        values = {
            "first": self._made,
            "jobs": jobs,
            "names": names,
            "begin_us": to_microseconds(begin),
            "span_us": round(span.total_seconds() * 1e6),
            "took_us": round(CYCLE_S_MIN * 1e6),
            "more_us": round(CYCLE_S_SPAN * 1e6),
        }
        self._made += jobs
        made = text(_MAKE.format(folded="TRUE" if folded else "FALSE"))
        with self.runtime.database.write() as connection:
            connection.execute(made, values)

    # What is measured --------------------------------------------------------------------------

    def fold(self) -> int:
        """Fold all that is new, in the controller's batches; how many jobs."""
        folded = 0
        while (batch := self.ledger.fold(FOLD_BATCH)) > 0:
            folded += batch
        return folded

    def windows(self) -> int:
        """Read the windows that are ripe, as the turn will do again; how many rows."""
        return len(self.ledger.windows(self.now + SETTLE, 1_000_000))

    def turn(self) -> int:
        """Judge; how many windows were taken in."""
        report = self.runtime.pilots.turn(self.ledger.controls(), [], self.now + SETTLE)
        assert not report.errors, report.errors[:3]
        return report.windows

    def timed(self, step: Callable[[], int]) -> tuple[int, Cost]:
        """Carry out a step of the above; what it gives, and what it took."""
        busy, wall = self._busy_s(), time.perf_counter()
        count = step()
        return count, Cost(time.perf_counter() - wall, self._busy_s() - busy)

    def _busy_s(self) -> float:
        return self._busy.seconds()

    def bytes(self) -> dict[str, float]:
        """Bytes of evidence of one sub-pipeline, the mean of all."""
        found: dict[str, float] = {}
        with self.runtime.database.read() as connection:
            for table in (pilot, legacy_profile, path_watch):
                total = connection.execute(
                    select(func.coalesce(func.sum(func.length(table.c.payload)), 0))
                ).scalar_one()
                found[table.name] = round(float(total) / self.names)
        return found


def medians(costs: Mapping[str, list[Cost]], pick: Callable[[list[float]], float]) -> Any:
    """One number per step from its costs."""
    return {
        name: {
            "wall_s": round(pick([one.wall_s for one in many]), 4),
            "busy_s": round(pick([one.busy_s for one in many]), 4),
        }
        for name, many in costs.items()
    }
