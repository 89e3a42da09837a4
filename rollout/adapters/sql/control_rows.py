"""Control rows, the fence and the log of changes, on a database."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from xxhash import xxh3_64_intdigest

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import OPEN, job, sub_pipeline, transition
from rollout.adapters.sql.waits import IDLE_MS
from rollout.control.latching import check_rearm, covered, is_known, lifted
from rollout.errors import UnknownSubPipeline
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.ports import MET_MAX, PATIENCE_S, Kill, Met, TransitionRecord, Waiting
from rollout.routing.stages import ALL, ControlState, Event, Stage, apply

_STATE_FIELDS = tuple(field.name for field in fields(ControlState))
_STATE_COLUMNS = tuple(sub_pipeline.c[name] for name in _STATE_FIELDS)
_ONE = select(*_STATE_COLUMNS).where(sub_pipeline.c.name == bindparam("b_name"))
_ONE_LOCKED = _ONE.with_for_update()
_EVERY = select(*_STATE_COLUMNS).where(sub_pipeline.c.name != ALL).order_by(sub_pipeline.c.name)
_EVERY_LOCKED = _EVERY.with_for_update()


class ControlRows:
    """The half of the ledger that holds what people and the controller decided."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        return self._db.url

    def ensure(self, name: str, effects: Effects, holdback_bp: int, now: datetime) -> ControlState:
        """Create the control row of a declared sub-pipeline, killed when all are.

        A row that is there keeps its holdback; its effects follow the declaration.
        """
        with self._db.read() as connection:
            row = _read(connection, name)
            same = effects_of(connection, [name]).get(name) is effects
        if row is not None:
            if not same:
                self._redeclare(name, effects)
            return row
        try:
            with self._db.write() as connection:
                lock_fence(self._db, connection, ALL, shared=True)
                latch = _read(connection, ALL)
                state = ControlState(name, holdback_bp=holdback_bp, salt=name, revision=1)
                if latch is not None and latch.killed:
                    state = replace(state, killed=True, fence_revision=1, kill_id=latch.kill_id)
                _insert(connection, state, effects, now)
            return state
        except IntegrityError:  # another process was first
            return self.control(name)

    def _redeclare(self, name: str, effects: Effects) -> None:
        """Follow a new release's declaration: sweeper and recall act on the row's effects."""
        with self._db.write() as connection:
            connection.execute(
                update(sub_pipeline).where(sub_pipeline.c.name == name).values(effects=str(effects))
            )

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline."""
        with self._db.read() as connection:
            return self._known(connection, name)

    def controls(self) -> list[ControlState]:
        """Read all control rows, by name."""
        with self._db.read() as connection:
            return [state_of(row) for row in connection.execute(_EVERY).mappings()]

    def all_latch(self) -> ControlState:
        """The row of `kill --all`; its name is '*'."""
        with self._db.read() as connection:
            return _read(connection, ALL) or ControlState(ALL)

    def effects(self, name: str) -> Effects:
        """What a sub-pipeline's paths do to the world. Raises UnknownSubPipeline."""
        with self._db.read() as connection:
            return effects_of(connection, [self._known(connection, name).name])[name]

    def change(
        self,
        name: str,
        event: Event,
        actor: str,
        reason: str,
        now: datetime,
        *,
        scope_bp: int | None = None,
        seen_revision: int | None = None,
    ) -> ControlState:
        """Apply an event of the stage table and log it, in one transaction."""
        # Without the fence's lock and a kill id these would not hold what they say.
        assert event not in (Event.KILL, Event.REARM), "kill and rearm have methods of their own"
        with self._db.write() as connection:
            before = self._known(connection, name, locked=True)
            after = apply(
                before,
                event,
                scope_bp=scope_bp,
                seen_revision=seen_revision,
                effects=effects_of(connection, [name])[name] if event is Event.SHADOW else None,
            )
            record_change(connection, before, after, event, actor, reason, now)
        return after

    def kill(
        self, kill: Kill, *, patience_s: float = PATIENCE_S, waiting: Waiting | None = None
    ) -> list[ControlState]:
        """Latch the kill and move the fence; see `routing.ports.ControlLedger.kill`."""
        with self._db.write_soon(patience_s, waiting) as connection:
            if kill.name is not None:
                name = self._known(connection, kill.name).name
                lock_fences(self._db, connection, [name])
                return [self._kill_one(connection, name, kill)]
            # Declarations and rearms wait, so that none slips in between listing and latch.
            lock_fence(self._db, connection, ALL, shared=False)
            lock_fences(self._db, connection, known_names(connection))
            latch = _ensure_latch(connection, kill.at)
            states = _every_locked(connection)
            names = [state.name for state in covered(latch, states)]
            killed = [self._kill_one(connection, name, kill) for name in [ALL, *names]]
            return killed + [state for state in states if state.name not in names]

    def _kill_one(self, connection: Connection, name: str, kill: Kill) -> ControlState:
        before = self._known(connection, name, locked=True, latch=True)
        if is_known(before, kill):
            return before
        after = apply(before, Event.KILL, kill_id=kill.kill_id)
        met = None if name == ALL else _met(connection, name)
        record_change(
            connection, before, after, Event.KILL, kill.actor, kill.reason, kill.at, met=met
        )
        return after

    def rearm(
        self,
        name: str | None,
        actor: str,
        reason: str,
        now: datetime,
        *,
        seen_revision: int | None = None,
    ) -> list[ControlState]:
        """Lift a latch; that of `kill --all` also on every sub-pipeline it killed."""
        with self._db.write() as connection:
            # Whether all are killed is asked under the lock that `kill --all` takes: else one that
            # has just read this sub-pipeline as killed by itself would return without its kill.
            lock_fence(self._db, connection, ALL, shared=name is not None)
            latch = _read(connection, ALL, locked=True) or ControlState(ALL)
            check_rearm(name, latch)
            if name is not None:
                before = self._known(connection, name, locked=True)
                return [_rearm_one(connection, before, actor, reason, now, seen_revision)]
            # Read once they are locked: a kill of one of them that has just returned is not ours.
            mine = lifted(latch, _every_locked(connection))
            return [_rearm_one(connection, one, actor, reason, now) for one in [latch, *mine]]

    def transitions(
        self, name: str, limit: int, before: int | None = None
    ) -> list[TransitionRecord]:
        """Read the log, newest first, from before a change on. Raises UnknownSubPipeline."""
        query = select(transition).where(transition.c.name == name)
        if before is not None:
            query = query.where(transition.c.id < before)
        with self._db.read() as connection:
            if name != ALL:
                self._known(connection, name)
            rows = connection.execute(
                query.order_by(transition.c.id.desc()).limit(limit)
            ).mappings()
            return [_transition_of(row) for row in rows]

    def last_changes(self) -> dict[str, TransitionRecord]:
        """Read the newest change of each sub-pipeline that has any."""
        newest = select(func.max(transition.c.id)).group_by(transition.c.name)
        query = select(transition).where(transition.c.id.in_(newest), transition.c.name != ALL)
        with self._db.read() as connection:
            rows = connection.execute(query).mappings()
            return {row["name"]: _transition_of(row) for row in rows}

    def read_locked(self, connection: Connection, name: str) -> ControlState:
        """Read one row and lock it until the transaction ends. Raises UnknownSubPipeline."""
        return self._known(connection, name, locked=True)

    def _known(
        self, connection: Connection, name: str, *, locked: bool = False, latch: bool = False
    ) -> ControlState:
        """Read one row; that of `kill --all` only with `latch`, because it is no sub-pipeline."""
        state = None if name == ALL and not latch else _read(connection, name, locked=locked)
        if state is None:
            raise UnknownSubPipeline(name, known_names(connection))
        return state


def _rearm_one(
    connection: Connection,
    before: ControlState,
    actor: str,
    reason: str,
    now: datetime,
    seen_revision: int | None = None,
) -> ControlState:
    """Lift the latch of a row that the caller has locked."""
    after = apply(before, Event.REARM, seen_revision=seen_revision)
    record_change(connection, before, after, Event.REARM, actor, reason, now)
    return after


def _every_locked(connection: Connection) -> list[ControlState]:
    """Read and lock every sub-pipeline's row, in order of name, so that nobody waits in a ring."""
    return [state_of(row) for row in connection.execute(_EVERY_LOCKED).mappings()]


def known_names(connection: Connection) -> list[str]:
    """Names of all sub-pipelines."""
    return [state_of(row).name for row in connection.execute(_EVERY).mappings()]


def fence_key(name: str) -> int:
    """Number of a sub-pipeline's advisory lock on PostgreSQL."""
    return xxh3_64_intdigest(f"rollout/fence/{name}".encode()) - 2**63


def lock_fence(database: Database, connection: Connection, name: str, *, shared: bool) -> None:
    """Take the fence until the transaction ends: shared to claim or commit, exclusive to kill.

    On SQLite the single writer's lock, which the transaction already holds, is the fence. On
    PostgreSQL the server ends a session that holds it and says nothing for five seconds, and a
    kill that waits ends it sooner (`waits.Lookout`).
    """
    if database.is_postgresql:
        connection.execute(FENCE_SHARED if shared else _FENCE, {"key": fence_key(name)})


def lock_fences(database: Database, connection: Connection, names: Sequence[str]) -> None:
    """Wait for commits in their last act and keep new ones out, until this transaction ends.

    In order of name, so that two kills cannot wait for each other; one statement, so that its
    bound is that of the whole wait.
    """
    if database.is_postgresql and names:
        connection.execute(_FENCES, {"keys": [fence_key(name) for name in sorted(names)]})


_BOUNDED = f"set_config('idle_in_transaction_session_timeout', '{IDLE_MS}', true)"
_FENCE = text(f"SELECT pg_advisory_xact_lock(:key), {_BOUNDED}")
_FENCES = text(
    "SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS given(key)"
)
FENCE_SHARED = text(f"SELECT pg_advisory_xact_lock_shared(:key), {_BOUNDED}")


def state_of(row: RowMapping | dict[str, Any]) -> ControlState:
    """Build the control state from a row that has its columns."""
    values = {name: row[name] for name in _STATE_FIELDS}
    return ControlState(**{**values, "stage": Stage(values["stage"])})


def _read(connection: Connection, name: str, *, locked: bool = False) -> ControlState | None:
    row = connection.execute(_ONE_LOCKED if locked else _ONE, {"b_name": name}).mappings().first()
    return None if row is None else state_of(row)


def _insert(connection: Connection, state: ControlState, effects: str, now: datetime) -> None:
    connection.execute(
        insert(sub_pipeline).values(**asdict(state), effects=str(effects), changed_at=now)
    )


def _ensure_latch(connection: Connection, now: datetime) -> ControlState:
    latch = _read(connection, ALL)
    if latch is None:
        latch = ControlState(ALL)
        _insert(connection, latch, "", now)
    return latch


def record_change(
    connection: Connection,
    before: ControlState,
    after: ControlState,
    event: Event,
    actor: str,
    reason: str,
    now: datetime,
    *,
    met: Met | None = None,
) -> None:
    """Write a control state and its line in the log."""
    connection.execute(
        update(sub_pipeline)
        .where(sub_pipeline.c.name == before.name)
        .values(**asdict(after), changed_at=now)
    )
    connection.execute(
        insert(transition).values(
            name=before.name,
            at=now,
            event=str(event),
            actor=actor,
            reason=reason,
            before=json.dumps(asdict(before)),
            after=json.dumps(asdict(after)),
            queued_met=met.queued if met else None,
            running_met=met.running if met else None,
        )
    )


def _met(connection: Connection, name: str) -> Met:
    """Count what is open on the concurrent path, up to MET_MAX; the caller holds the fence."""
    return Met(
        _count_open(connection, name, JobState.ACCEPTED),
        _count_open(connection, name, JobState.STARTED),
    )


def _count_open(connection: Connection, name: str, state: JobState) -> int:
    some = (
        select(job.c.job_id)
        .where(OPEN, job.c.name == name, job.c.state == state, job.c.path == JobPath.CONCURRENT)
        .limit(MET_MAX)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _transition_of(row: RowMapping) -> TransitionRecord:
    return TransitionRecord(
        name=row["name"],
        at=row["at"],
        event=Event(row["event"]),
        actor=row["actor"],
        reason=row["reason"],
        before=_state_from_json(row["before"]),
        after=_state_from_json(row["after"]),
        met=None if row["queued_met"] is None else Met(row["queued_met"], row["running_met"]),
        change_id=row["id"],
    )


def _state_from_json(line: str) -> ControlState:
    return state_of(json.loads(line))


def effects_of(connection: Connection, names: Iterable[str]) -> dict[str, Effects]:
    """Read the declared effects of these sub-pipelines."""
    rows = connection.execute(
        select(sub_pipeline.c.name, sub_pipeline.c.effects).where(
            sub_pipeline.c.name.in_(list(names))
        )
    )
    return {name: Effects(effects) for name, effects in rows}
