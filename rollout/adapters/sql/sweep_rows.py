"""The controller's view of the ledger: lost and silent jobs, counts, tallies, kept messages."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)

from rollout.adapters.sql.control_rows import effects_of
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.job_values import failed, moved
from rollout.adapters.sql.kept_rows import KeptRows
from rollout.adapters.sql.ledger_clock import LedgerClock
from rollout.adapters.sql.open_rows import OpenRows
from rollout.adapters.sql.pilot_fold import FOLDED_COLUMNS, fold_into_trials
from rollout.adapters.sql.tables import (
    FAILED,
    OPEN,
    UNFOLDED,
    cycle_tally,
    job,
    pruned,
    sub_pipeline,
    tally,
)
from rollout.adapters.sql.upserts import add_up
from rollout.jobs.claims import DEATHS_MAX, JobState
from rollout.jobs.cycle import bucket_of
from rollout.jobs.ports import LOST_MAX, CycleTally, Handed, Lost, Tally
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects

_REF = tuple_(job.c.job_id, job.c.name)
_HANDED = (job.c.job_id, job.c.name, job.c.envelope)
_OPEN_STATES = (JobState.ACCEPTED, JobState.STARTED)
_COMMITTED = text("state = 'committed'")
_A_DRILLS = and_(
    job.c.drill.is_not(None),
    job.c.fallback_reason.is_not(None),
    job.c.state == str(JobState.COMMITTED),
)
"""Legacy took it over because a drill had broken it: no fallback of the path's own."""
_WHY = case(
    (_A_DRILLS, str(Reason.DRILL)),
    else_=func.coalesce(job.c.fallback_reason, job.c.moved_reason, job.c.reason),
).label("why")
_SAID = func.coalesce(job.c.fallback_reason, job.c.moved_reason, job.c.reason).label("why")
_NAME = func.coalesce(job.c.name, "").label("of")
"""The name, told so that SQLite does not read all jobs by an index that is in its order: it holds
that for cheaper than the few of a partial index, and sorting them."""
_OUTCOME = (_NAME, job.c.assigned_path, job.c.path, job.c.state, _WHY)
_UNFOLDED_COUNT = select(*_OUTCOME, func.count()).where(UNFOLDED).group_by(*_OUTCOME)


class SweepRows(OpenRows, KeptRows):
    """What the controller asks of the jobs; each call does a bounded amount of work."""

    def __init__(self, database: Database, *, own_clock: bool = True) -> None:
        self._db = database
        self._clock = LedgerClock(database, own=own_clock)
        self._insert: Any = database.insert

    def recall(
        self, name: str, *, running: bool, reason: Reason, now: datetime, limit: int
    ) -> list[Handed]:
        """Move waiting (and with `running`, repeatable started) concurrent jobs to legacy."""
        on_concurrent = and_(
            OPEN,
            job.c.name == name,
            job.c.path == JobPath.CONCURRENT,
            job.c.envelope != "",  # a job that runs in its caller's process falls back there
        )
        if not self._any(and_(on_concurrent, job.c.state.in_(list(_OPEN_STATES)))):
            return []
        states = [JobState.ACCEPTED]
        with self._db.write() as connection:
            if running and self._repeatable(connection, name):
                states.append(JobState.STARTED)
            wanted = and_(on_concurrent, job.c.state.in_(states))
            return self._move(connection, wanted, reason, now, limit)

    def _any(self, wanted: ColumnElement[bool]) -> bool:
        """Look before writing: a writing transaction at each tick makes SQLite's workers wait."""
        with self._db.read() as connection:
            found = connection.execute(select(job.c.job_id).where(wanted).limit(1))
            return found.first() is not None

    def unsafe_running(self, names: Sequence[str]) -> int:
        """Count started concurrent jobs of those among these names whose effects are unsafe."""
        unsafe = select(sub_pipeline.c.name).where(
            sub_pipeline.c.effects.in_([one for one in Effects if not one.repeatable]),
            sub_pipeline.c.name.in_(names),
        )
        running = select(func.count()).where(
            OPEN,
            job.c.name.in_(unsafe),
            job.c.state == JobState.STARTED,
            job.c.path == JobPath.CONCURRENT,
        )
        with self._db.read() as connection:
            return connection.execute(running).scalar_one()

    def resend_lost(self, lost: Lost, now: datetime, limit: int) -> list[Handed]:
        """Move accepted jobs that no queue holds to legacy, oldest first."""
        with self._db.write() as connection:
            return self._move(connection, self._is_lost(lost), Reason.LOST_MESSAGE, now, limit)

    def resend_silent(
        self, name: str, silent_after: timedelta, now: datetime, limit: int
    ) -> list[Handed]:
        """Move started jobs of silent workers to legacy; unsafe and poison ones are failed."""
        silent = and_(
            OPEN,
            job.c.name == name,
            job.c.state == JobState.STARTED,
            func.coalesce(job.c.renewed_at, job.c.started_at) < self._clock.at(now, -silent_after),
            job.c.envelope != "",
        )
        if not self._any(silent):
            return []
        with self._db.write() as connection:
            if not self._repeatable(connection, name):
                error = "the worker of an unsafe job fell silent; look before you retry"
                self._keep(connection, silent, error, now)
                return []
            poison = and_(silent, job.c.deaths + 1 >= DEATHS_MAX)
            self._keep(connection, poison, f"{DEATHS_MAX} workers died under this job", now)
            return self._move(connection, silent, Reason.WORKER_LOST, now, limit)

    def _move(
        self,
        connection: Connection,
        wanted: ColumnElement[bool],
        reason: Reason,
        now: datetime,
        limit: int,
    ) -> list[Handed]:
        chosen = (
            select(job.c.job_id, job.c.name)
            .where(wanted)
            .order_by(job.c.sent_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        refs = [tuple(row) for row in connection.execute(chosen)]
        if not refs:
            return []
        died = int(reason is Reason.WORKER_LOST)
        rows = connection.execute(
            update(job)
            # By key alone: the rows are locked, and with the condition repeated PostgreSQL goes by
            # the index of what is open, through a million of them for each slice.
            .where(_among(refs))
            .values(**moved(reason, None, now), deaths=job.c.deaths + died)
            .returning(*_HANDED)
        )
        return [Handed(row.job_id, row.name, row.envelope, reason) for row in rows]

    def _keep(
        self, connection: Connection, wanted: ColumnElement[bool], error: str, now: datetime
    ) -> None:
        connection.execute(
            update(job).where(wanted).values(**failed(Reason.WORKER_LOST, error, now))
        )

    def _repeatable(self, connection: Connection, name: str) -> bool:
        return effects_of(connection, [name])[name].repeatable

    def count_lost(self, lost: Lost, limit: int = LOST_MAX) -> int:
        """Count accepted jobs that no queue holds, up to the limit."""
        with self._db.read() as connection:
            some = select(job.c.job_id).where(self._is_lost(lost)).limit(limit).subquery()
            return connection.execute(select(func.count()).select_from(some)).scalar_one()

    def _is_lost(self, lost: Lost) -> ColumnElement[bool]:
        receipt = job.c.renewed_at
        heard_of: list[ColumnElement[bool]] = [job.c.job_id.not_in(lost.spared)]
        if lost.now is not None:
            too_old = receipt < self._clock.at(lost.now, -lost.receipt_for)
            unheard = and_(receipt.is_(None), *heard_of)
            heard_of = [or_(unheard, too_old)]
        return and_(
            OPEN,
            job.c.name == lost.name,
            job.c.path == lost.path,
            job.c.state == JobState.ACCEPTED,
            job.c.sent_at < lost.sent_before,
            or_(job.c.not_before.is_(None), job.c.not_before < lost.sent_before),
            *heard_of,
            job.c.reason != Reason.OPTED_OUT,  # it waits in a queue of its caller's choice
            job.c.envelope != "",
        )

    def kept_counts(self) -> dict[str, int]:
        """Count the failures that are kept now, by sub-pipeline."""
        query = select(job.c.name, func.count()).where(FAILED).group_by(job.c.name)
        with self._db.read() as connection:
            return {name: jobs for name, jobs in connection.execute(query)}

    def fold(self, limit: int) -> int:
        """Count newly finished jobs into tallies, totals and profiles, each once."""
        chosen = (
            select(job.c.job_id, job.c.name)
            .where(UNFOLDED)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._db.write() as connection:
            refs = [tuple(row) for row in connection.execute(chosen)]
            if not refs:
                return 0
            rows = connection.execute(
                update(job)
                .where(_among(refs))
                .values(folded=True)
                .returning(
                    job.c.name,
                    job.c.assigned_path,
                    job.c.path,
                    job.c.state,
                    _SAID,
                    job.c.accepted_at,
                    job.c.finished_at,
                    *FOLDED_COLUMNS,
                )
            ).all()
            self._count(connection, rows)
            fold_into_trials(connection, self._insert, rows)
            return len(rows)

    def _count(self, connection: Connection, rows: Iterable[Any]) -> None:
        outcomes: Counter[tuple[str, ...]] = Counter()
        cycles: defaultdict[tuple[str, str, float], list[float]] = defaultdict(list)
        for row in rows:
            drills = row.drill and row.fallback_reason and row.state == JobState.COMMITTED
            why = str(Reason.DRILL) if drills else row.why
            outcomes[(row.name, row.assigned_path, row.path, row.state, why)] += 1
            if row.state == JobState.COMMITTED:
                seconds = max(0.0, (row.finished_at - row.accepted_at).total_seconds())
                cycles[(row.name, row.assigned_path, bucket_of(seconds))].append(seconds)
        keys = ("name", "assigned_path", "path", "outcome", "reason")
        # In one order, so that two folders cannot wait for each other's rows.
        counted = [
            dict(zip(keys, key, strict=True)) | {"jobs": jobs}
            for key, jobs in sorted(outcomes.items())
        ]
        add_up(connection, self._insert, tally, counted)
        timed = [
            {"name": name, "assigned_path": path, "le_s": le_s, "jobs": len(times)}
            | {"sum_s": sum(times)}
            for (name, path, le_s), times in sorted(cycles.items())
        ]
        add_up(connection, self._insert, cycle_tally, timed)

    def tallies(self) -> tuple[list[Tally], list[CycleTally]]:
        """Read the tallies; outcomes not folded yet are counted in, cycle times are not."""
        counted: Counter[tuple[str, ...]] = Counter()
        with self._db.read() as connection:
            for *key, jobs in connection.execute(select(tally)):
                counted[tuple(key)] += jobs
            for *key, jobs in connection.execute(_UNFOLDED_COUNT):
                counted[tuple(key)] += jobs
            outcomes = [
                Tally(key[0], JobPath(key[1]), JobPath(key[2]), key[3], Reason(key[4]), jobs)
                for key, jobs in counted.items()
            ]
            cycles = [
                CycleTally(name, JobPath(path), le_s, jobs, sum_s)
                for name, path, le_s, jobs, sum_s in connection.execute(
                    select(cycle_tally).order_by(cycle_tally.c.le_s)
                )
            ]
        return outcomes, cycles

    def newest_commit(self) -> datetime | None:
        """When the newest committed job finished; None without one."""
        newest = select(job.c.finished_at).where(_COMMITTED).order_by(job.c.finished_at.desc())
        with self._db.read() as connection:
            return connection.execute(newest.limit(1)).scalar_one_or_none()

    def prune(self, finished_before: datetime, limit: int) -> int:
        """Delete old jobs that were committed or called off, once they are counted; how many."""
        old = (
            select(job.c.job_id, job.c.name)
            .where(_COMMITTED, job.c.folded, job.c.finished_at < finished_before)
            .order_by(job.c.finished_at)
            .limit(limit)
        )
        with self._db.write() as connection:
            gone = connection.execute(delete(job).where(_REF.in_(old))).rowcount
            # Few: they are looked for by their admission, of which there is an index.
            called_off = (
                select(job.c.job_id, job.c.name)
                .where(
                    job.c.name.in_(select(sub_pipeline.c.name)),
                    job.c.accepted_at < finished_before,
                    job.c.finished_at < finished_before,
                    job.c.state.in_([state for state in JobState if state.called_off]),
                )
                .limit(max(0, limit - gone))
            )
            gone += connection.execute(delete(job).where(_REF.in_(called_off))).rowcount
            if gone:
                row = {"what": "job", "before": finished_before}
                latest = self._insert(pruned).values(row)
                connection.execute(
                    latest.on_conflict_do_update(
                        index_elements=["what"],
                        set_={"before": finished_before},
                        where=pruned.c.before < finished_before,
                    )
                )
            return gone


def _among(keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    """The jobs of these ids and names; by id as well, because SQLite has no index for a pair."""
    ids = [key[0] for key in keys]
    return and_(job.c.job_id.in_(ids), _REF.in_(keys))
