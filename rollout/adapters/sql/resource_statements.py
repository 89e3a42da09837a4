"""What a claim does at its resources, in its own transaction; see `jobs.resources`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    null,
    select,
    text,
    update,
)
from xxhash import xxh3_64_intdigest

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import Statement
from rollout.adapters.sql.resource_tables import resource_use
from rollout.adapters.sql.tables import job, to_microseconds
from rollout.jobs.claims import Claim, JobRecord, JobState
from rollout.jobs.order import NEVER
from rollout.jobs.resources import CALLED_FOR, Need, has_room
from rollout.jobs.way import step
from rollout.routing.decision import Reason

_LAST = 2**62
"""Behind every entry that there is."""
_OF_JOB = and_(job.c.name == resource_use.c.name, job.c.job_id == resource_use.c.job_id)
RUNS = (
    exists()
    .where(_OF_JOB, job.c.state == JobState.STARTED, job.c.nonce == resource_use.c.nonce)
    .correlate(resource_use)
)
"""The claim that took it is its job's newest, and runs."""
WAITS = exists().where(_OF_JOB, job.c.state == JobState.ACCEPTED).correlate(resource_use)
"""Its job has neither started nor ended."""
HOLDS = resource_use.c.nonce.is_not(None)
LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def lock_key(resource: str) -> int:
    """Number of a resource's advisory lock on PostgreSQL; SQLite has one writer."""
    return xxh3_64_intdigest(f"rollout/resource/{resource}".encode()) - 2**63


def reckoned(called_since: ColumnElement[Any]) -> ColumnElement[bool]:
    """Waiting jobs for which room is kept (`jobs.resources.keeps_room`)."""
    return and_(
        resource_use.c.nonce.is_(None),
        WAITS,
        (resource_use.c.called_at.is_(None)) | (resource_use.c.called_at >= called_since),
    )


def sum_taken(
    resource: ColumnElement[str],
    capacity: ColumnElement[int],
    name: ColumnElement[str],
    job_id: ColumnElement[str],
    called_since: ColumnElement[Any],
) -> Any:
    """What others hold of a resource, and those in front of this job want; stops at its capacity.

    A job that is in no line yet comes behind all who wait.
    """
    weight = case((resource_use.c.weight > capacity, capacity), else_=resource_use.c.weight)
    others = ~and_(resource_use.c.name == name, resource_use.c.job_id == job_id)
    held = select(weight.label("w")).where(resource_use.c.resource == resource, HOLDS, RUNS, others)
    mine = resource_use.alias()
    place = (
        select(func.coalesce(func.min(mine.c.id), _LAST))
        .where(mine.c.name == name, mine.c.job_id == job_id, mine.c.resource == resource)
        .scalar_subquery()
    )
    in_front = (
        select(weight.label("w"))
        .where(
            resource_use.c.resource == resource, reckoned(called_since), resource_use.c.id < place
        )
        .order_by(resource_use.c.id)
        .limit(capacity)  # each wants one at least
    )
    sums = [
        select(func.coalesce(func.sum(part.subquery().c.w), 0)).scalar_subquery()
        for part in (held, in_front)
    ]
    return select(sums[0] + sums[1])


_TEXT, _NUMBER = String(), Integer()
_OWN = (resource_use.c.name == bindparam("b_name"), resource_use.c.job_id == bindparam("b_job_id"))
_TAKEN = sum_taken(
    bindparam("b_resource", type_=_TEXT),
    bindparam("b_capacity", type_=_NUMBER),
    bindparam("b_name", type_=_TEXT),
    bindparam("b_job_id", type_=_TEXT),
    bindparam("b_called_since"),
)
_REFUSED = literal(str(Reason.LEDGER_UNREACHABLE))
_REST = (
    update(job)
    .where(job.c.name == bindparam("b_name"), job.c.job_id == bindparam("b_job_id"))
    .values(
        path=bindparam("b_path"),
        # Delivered on legacy while it stands on concurrent: the ledger refused its claim there.
        moved_reason=case(
            (job.c.path != bindparam("b_path"), func.coalesce(job.c.moved_reason, _REFUSED)),
            else_=job.c.moved_reason,
        ),
        renewed_at=null(),
        not_before=literal(to_microseconds(NEVER)),
        way=job.c.way + bindparam("b_step"),
    )
)


class Takings:
    """Takes what a claim needs, on the driver's cursor of its transaction."""

    def __init__(self, database: Database) -> None:
        dialect = database.engine.dialect
        insert: Any = database.insert
        made = insert(resource_use).values(
            {
                "resource": bindparam("b_resource"),
                "name": bindparam("b_name"),
                "job_id": bindparam("b_job_id"),
                "weight": bindparam("b_weight"),
                "capacity": bindparam("b_capacity"),
                "nonce": bindparam("b_nonce"),
                "since": bindparam("b_now"),
                "called_at": null(),
            }
        )
        new, waits_on = made.excluded, made.excluded.nonce.is_(None)
        enter = made.on_conflict_do_update(
            index_elements=["name", "job_id", "resource"],
            set_={
                "weight": new.weight,
                "capacity": new.capacity,
                "nonce": new.nonce,
                "called_at": null(),
                "since": case((waits_on, resource_use.c.since), else_=new.since),
            },
        )
        self._locked = database.is_postgresql
        self._lock = Statement(LOCK, dialect)
        self._enter = Statement(enter, dialect)
        self._taken = Statement(_TAKEN, dialect)
        self._rest = Statement(_REST, dialect)
        self._held = Statement(
            select(func.count()).where(*_OWN, resource_use.c.nonce == bindparam("b_nonce")), dialect
        )
        self._drop = Statement(delete(resource_use).where(*_OWN, HOLDS), dialect)

    def lock(self, cursor: Any, needs: Sequence[Need]) -> None:
        """Let nobody else take or call at these resources until this transaction ends."""
        if self._locked:  # in order, so that two who need several cannot wait for each other
            for key in sorted(lock_key(need.resource) for need in needs):
                self._lock.run(cursor, {"key": key})

    def inherits(self, cursor: Any, needs: Sequence[Need], record: JobRecord) -> bool:
        """Whether the attempt that this claim takes over from holds all of it."""
        mine = {"b_name": record.name, "b_job_id": record.job_id, "b_nonce": record.nonce}
        self._held.run(cursor, mine)
        return bool(cursor.fetchone()[0] >= len(needs))

    def lacking(
        self, cursor: Any, needs: Sequence[Need], record: JobRecord, now: datetime
    ) -> list[str]:
        """Resources without room for this job; what an earlier attempt held is forgotten."""
        mine: dict[str, Any] = {"b_name": record.name, "b_job_id": record.job_id}
        if record.attempt:
            self._drop.run(cursor, mine)
        lacking = []
        for need in needs:
            mine |= {"b_resource": need.resource, "b_capacity": need.capacity}
            self._taken.run(cursor, {**mine, "b_called_since": to_microseconds(now - CALLED_FOR)})
            if not has_room(int(cursor.fetchone()[0]), need.weight, need.capacity):
                lacking.append(need.resource)
        return lacking

    def take(self, cursor: Any, needs: Sequence[Need], claim: Claim, now: datetime) -> None:
        """Hold all of it, for this claim."""
        self._write(cursor, needs, (claim.name, claim.job_id), claim.nonce, now)

    def rest(
        self,
        cursor: Any,
        needs: Sequence[Need],
        claim: Claim,
        lacking: Sequence[str],
        now: datetime,
    ) -> None:
        """Put a job to rest that cannot have all of it; it has a place in each line."""
        self._write(cursor, needs, (claim.name, claim.job_id), None, now)
        values = {"b_name": claim.name, "b_job_id": claim.job_id, "b_path": claim.path}
        line = step(now, "waits", resource=", ".join(lacking))
        self._rest.run(cursor, {**values, "b_step": line})

    def _write(
        self,
        cursor: Any,
        needs: Sequence[Need],
        ref: tuple[str, str],
        nonce: str | None,
        now: datetime,
    ) -> None:
        for need in needs:
            self._enter.run(
                cursor,
                {
                    "b_resource": need.resource,
                    "b_name": ref[0],
                    "b_job_id": ref[1],
                    "b_weight": need.weight,
                    "b_capacity": need.capacity,
                    "b_nonce": nonce,
                    "b_now": to_microseconds(now),
                },
            )
