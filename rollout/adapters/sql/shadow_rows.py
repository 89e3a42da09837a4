"""The account of shadows on a database; see `shadow.ports.Shadows`.

The account's row is locked first in each of its transactions, so that what is folded is folded
once and in one order. Shadow workers wait for each other there, legacy for none of them.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    RowMapping,
    delete,
    func,
    or_,
    select,
    text,
    type_coerce,
    update,
)
from xxhash import xxh3_64_hexdigest

from rollout.adapters.sql.control_rows import known_names
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.shadow_tables import (
    shadow_account,
    shadow_group,
    shadow_run,
    shadow_tally,
)
from rollout.adapters.sql.tables import sub_pipeline, to_microseconds, transition
from rollout.errors import UnknownSubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event, Stage
from rollout.shadow.copies import LIMIT_FACTOR, Trouble
from rollout.shadow.ports import (
    MismatchGroup,
    ShadowAccount,
    ShadowBegun,
    ShadowEnd,
    ShadowFold,
    ShadowRun,
)

GROUPS_MAX = 200
"""Groups that are told apart; mismatches of further causes are counted together."""
OTHER = "(other)"

_RUNNING = text("state = 'running'")


class ShadowRows:
    """The part of the ledger that holds what shadows showed."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert: Any = database.insert

    def begin_shadow(self, begun: ShadowBegun, shed: Mapping[str, int]) -> bool:
        """Record a run as running, and what was shed before it; False for a message seen before."""
        with self._db.write() as connection:
            self._account(connection, begun.name)
            added = connection.execute(
                self._insert(shadow_run)
                .values(
                    run_id=begun.run_id,
                    name=begun.name,
                    job_id=begun.job_id,
                    path=str(begun.path),
                    state="running",
                    legacy_s=begun.legacy_s,
                    began_at=begun.at,
                )
                .on_conflict_do_nothing(index_elements=["run_id"])
                .returning(shadow_run.c.run_id)
            )
            if added.first() is None:
                return False
            self._add(connection, begun.name, {f"shed:{why}": runs for why, runs in shed.items()})
        return True

    def end_shadow(self, end: ShadowEnd, fold: ShadowFold) -> bool:
        """Record how a run ended and fold it; False when it has ended before."""
        with self._db.write() as connection:
            evidence = self._account(connection, end.name)
            return self._end(connection, end, evidence, fold) is not None

    def settle_shadows(
        self, name: str, began_before: datetime, now: datetime, fold: ShadowFold, limit: int
    ) -> int:
        """End runs that began long ago and were never heard of again as lost; how many."""
        lost = (
            select(shadow_run.c.run_id)
            .where(
                _RUNNING,
                shadow_run.c.name == name,
                shadow_run.c.began_at < began_before,
                # A long job's shadow may run for long, see `copies.limit_of`.
                type_coerce(shadow_run.c.began_at, BigInteger)
                + shadow_run.c.legacy_s * (LIMIT_FACTOR * 1_000_000)
                < to_microseconds(now),
            )
            .order_by(shadow_run.c.began_at)
            .limit(limit)
        )
        with self._db.read() as connection:
            if connection.execute(lost).first() is None:
                return 0
        with self._db.write() as connection:
            evidence = self._account(connection, name)
            ids = list(connection.execute(lost).scalars())
            for run_id in ids:
                end = ShadowEnd(
                    run_id,
                    name,
                    now,
                    trouble=str(Trouble.LOST),
                    why="never heard of again",
                )
                evidence = self._end(connection, end, evidence, fold) or evidence
        return len(ids)

    def count_shadows(self, name: str, counts: Mapping[str, int], now: datetime) -> None:
        """Add to the counts, for what has no run."""
        with self._db.write() as connection:
            self._account(connection, name)
            self._add(connection, name, counts)

    def _account(self, connection: Connection, name: str) -> Any:
        """Lock the account, begun anew when the epoch has changed, and give its evidence."""
        connection.execute(
            self._insert(shadow_account)
            .values(name=name, epoch=_epoch(connection, name))
            .on_conflict_do_nothing(index_elements=["name"])
        )
        held = connection.execute(
            select(shadow_account.c.epoch, shadow_account.c.evidence)
            .where(shadow_account.c.name == name)
            .with_for_update()
        ).one()
        # Read under the lock: of two workers one would else hold an epoch of before for the new
        # one, wipe what the other has counted, and be wiped in turn.
        epoch = _epoch(connection, name)
        if held.epoch != epoch:
            connection.execute(
                update(shadow_account)
                .where(shadow_account.c.name == name)
                .values(epoch=epoch, evidence=None)
            )
            # Runs still under way belong to the epoch before: nothing of them is counted in this.
            for table in (shadow_tally, shadow_group, shadow_run):
                connection.execute(delete(table).where(table.c.name == name))
            return None
        return None if held.evidence is None else json.loads(held.evidence)

    def _end(self, connection: Connection, end: ShadowEnd, evidence: Any, fold: ShadowFold) -> Any:
        """End a running run; the next evidence, or None when it has ended before."""
        compared = "different" if end.signature else "equal"
        state = compared if end.trouble is None else "trouble"
        row = (
            connection.execute(
                update(shadow_run)
                .where(shadow_run.c.run_id == end.run_id, shadow_run.c.state == "running")
                .values(
                    state=state,
                    ended_at=end.at,
                    shadow_s=end.shadow_s,
                    trouble=end.trouble,
                    why=end.why or None,
                    signature=end.signature or None,
                )
                .returning(*shadow_run.c)
            )
            .mappings()
            .one_or_none()
        )
        if row is None:
            return None
        run = _run(row, end.fields)
        after = fold(evidence, run)
        connection.execute(
            update(shadow_account)
            .where(shadow_account.c.name == end.name)
            .values(evidence=json.dumps(after))
        )
        what = f"trouble:{run.path}:{end.trouble}" if end.trouble else f"{state}:{run.path}"
        self._add(connection, end.name, {what: 1})
        if end.signature:
            self._group(connection, run, end)
        return after

    def _add(self, connection: Connection, name: str, counts: Mapping[str, int]) -> None:
        for what, runs in sorted(counts.items()):
            added = self._insert(shadow_tally).values(name=name, what=what, runs=runs)
            connection.execute(
                added.on_conflict_do_update(
                    index_elements=["name", "what"],
                    set_={"runs": shadow_tally.c.runs + added.excluded.runs},
                )
            )

    def _group(self, connection: Connection, run: ShadowRun, end: ShadowEnd) -> None:
        signature = end.signature
        mine = (shadow_group.c.name == run.name, shadow_group.c.path == str(run.path))
        known = select(shadow_group.c.digest).where(
            *mine, shadow_group.c.digest == _hash(signature)
        )
        if connection.execute(known).first() is None:
            groups = select(func.count()).select_from(shadow_group).where(*mine)
            if connection.execute(groups).scalar_one() >= GROUPS_MAX:
                signature = OTHER
        added = self._insert(shadow_group).values(
            name=run.name,
            path=str(run.path),
            digest=_hash(signature),
            signature=signature,
            runs=1,
            first_at=end.at,
            last_at=end.at,
            example_job_id=run.job_id,
            example=end.diff,
        )
        connection.execute(
            added.on_conflict_do_update(
                index_elements=["name", "path", "digest"],
                set_={"runs": shadow_group.c.runs + 1, "last_at": added.excluded.last_at},
            )
        )

    def shadow_names(self) -> frozenset[str]:
        """Sub-pipelines that have an account; it may be one whose trial is over."""
        with self._db.read() as connection:
            return frozenset(connection.execute(select(shadow_account.c.name)).scalars())

    def shadow_account(self, name: str) -> ShadowAccount:
        """Read the account; one whose epoch is over is empty. Raises UnknownSubPipeline."""
        with self._db.read() as connection:
            held = connection.execute(
                select(shadow_account.c.epoch, shadow_account.c.evidence).where(
                    shadow_account.c.name == name
                )
            ).one_or_none()
            if held is None and not _is_declared(connection, name):
                raise UnknownSubPipeline(name, known_names(connection))
            if held is None or held.epoch != _epoch(connection, name):
                return ShadowAccount(name, None, {}, [])
            counts = select(shadow_tally.c.what, shadow_tally.c.runs).where(
                shadow_tally.c.name == name
            )
            groups = (
                select(shadow_group)
                .where(shadow_group.c.name == name)
                .order_by(shadow_group.c.runs.desc(), shadow_group.c.signature)
            )
            return ShadowAccount(
                name,
                None if held.evidence is None else json.loads(held.evidence),
                {what: runs for what, runs in connection.execute(counts)},
                [_group_of(row) for row in connection.execute(groups).mappings()],
            )

    def shadow_runs(self, name: str, limit: int) -> list[ShadowRun]:
        """List runs, newest first."""
        query = (
            select(shadow_run)
            .where(shadow_run.c.name == name)
            .order_by(shadow_run.c.began_at.desc(), shadow_run.c.run_id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [_run(row) for row in connection.execute(query).mappings()]

    def prune_shadows(self, name: str, ended_before: datetime, limit: int) -> int:
        """Delete runs that ended before then; how many."""
        old = (
            select(shadow_run.c.run_id)
            .where(shadow_run.c.name == name, shadow_run.c.ended_at < ended_before)
            .limit(limit)
        )
        with self._db.write() as connection:
            gone = delete(shadow_run).where(shadow_run.c.run_id.in_(old))
            return connection.execute(gone).rowcount


def _is_declared(connection: Connection, name: str) -> bool:
    query = select(sub_pipeline.c.name).where(sub_pipeline.c.name == name)
    return connection.execute(query).first() is not None


def _epoch(connection: Connection, name: str) -> str:
    """What a shadow's evidence holds for: this trial, and these builds of both paths."""
    began = connection.execute(
        select(transition.c.id, transition.c.event, transition.c.before)
        .where(
            transition.c.name == name,
            or_(transition.c.event == Event.SHADOW, transition.c.event == Event.START),
        )
        .order_by(transition.c.id.desc())
        .limit(2)
    ).all()
    trial = next(
        (
            row.id
            for row in began
            if row.event == Event.SHADOW or json.loads(row.before)["stage"] == Stage.LEGACY
        ),
        0,
    )
    builds = connection.execute(
        select(sub_pipeline.c.legacy_build, sub_pipeline.c.concurrent_build).where(
            sub_pipeline.c.name == name
        )
    ).one_or_none()
    return json.dumps([trial, *(builds or (None, None))])


def _hash(signature: str) -> str:
    return xxh3_64_hexdigest(signature.encode(errors="surrogatepass"))


def _run(row: RowMapping, fields: frozenset[str] = frozenset()) -> ShadowRun:
    values = dict(row)
    values["path"] = JobPath(values["path"])
    return ShadowRun(**values, fields=fields)


def _group_of(row: RowMapping) -> MismatchGroup:
    values = {key: value for key, value in row.items() if key not in ("name", "digest")}
    values["path"] = JobPath(values["path"])
    return MismatchGroup(**values)
