"""Who leads, on a database: one row, whose token grows with each new leader; standbys beside it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update
from xxhash import xxh3_64_hexdigest

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.pilot_tables import leader_policy, lease
from rollout.adapters.sql.tables import from_microseconds
from rollout.errors import LeaseLost
from rollout.pilot.lease import LeaseWatch
from rollout.policy.in_force import PoliciesInForce

_LEADER = "controller"


class LeaseRows:
    """The part of the ledger that knows who leads."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert: Any = database.insert
        self._leases = LeaseWatch()

    def take_lease(self, owner: str, now: datetime, ttl: timedelta) -> int | None:
        """Lead, or go on leading, for `ttl`; None for a standby."""
        with self._db.write() as connection:
            held = connection.execute(
                select(lease).where(lease.c.name == _LEADER).with_for_update()
            ).first()
            if held is None:
                added = self._insert(lease).values(
                    name=_LEADER, owner=owner, token=1, until=now + ttl
                )
                added = added.on_conflict_do_nothing().returning(lease.c.token)
                return connection.execute(added).scalar_one_or_none()
            free = held.owner in (owner, "")
            if not free and not self._leases.may_take(owner, held.until, now, ttl):
                self._stand_by(connection, owner, now, now + ttl)
                return None
            token: int = held.token if held.owner == owner else held.token + 1
            connection.execute(
                update(lease)
                .where(lease.c.name == _LEADER)
                .values(owner=owner, token=token, until=now + ttl)
            )
            return token

    def _stand_by(self, connection: Connection, owner: str, now: datetime, until: datetime) -> None:
        """Leave word of a standby, and clear away those that were not heard of since."""
        gone = delete(lease).where(lease.c.name != _LEADER, lease.c.until <= now)
        connection.execute(gone)
        name = (
            f"standby-{xxh3_64_hexdigest(owner.encode())}"  # an owner may be longer than the column
        )
        added = self._insert(lease).values(name=name, owner=owner, token=0, until=until)
        connection.execute(
            added.on_conflict_do_update(index_elements=["name"], set_={"until": until})
        )

    def drop_lease(self, token: int) -> None:
        """Stop leading, so that a standby need not wait."""
        with self._db.write() as connection:
            connection.execute(
                update(lease)
                .where(lease.c.name == _LEADER, lease.c.token == token)
                .values(until=from_microseconds(0), owner="")
            )

    def leader(self) -> tuple[str, datetime] | None:
        """Who leads and until when; None when nobody ever did."""
        with self._db.read() as connection:
            row = connection.execute(select(lease).where(lease.c.name == _LEADER)).first()
        return None if row is None else (row.owner, row.until)

    def keep_policies(self, token: int, owner: str, text: str, now: datetime) -> None:
        """Keep what the leader judges by. Raises LeaseLost when another controller leads."""
        with self._db.write() as connection:
            must_lead(connection, token)
            added = self._insert(leader_policy).values(
                name=_LEADER, owner=owner, at=now, payload=text
            )
            kept = {"owner": owner, "at": now, "payload": text}
            connection.execute(added.on_conflict_do_update(index_elements=["name"], set_=kept))

    def kept_policies(self) -> PoliciesInForce | None:
        """What the last leader judges by; None before the first."""
        with self._db.read() as connection:
            row = connection.execute(select(leader_policy)).first()
        return None if row is None else PoliciesInForce(row.owner, row.at, row.payload)

    def standbys(self, now: datetime) -> list[str]:
        """Who asked for the lease lately and did not get it; who leads now stands by no more."""
        leads = select(lease.c.owner).where(lease.c.name == _LEADER).scalar_subquery()
        query = select(lease.c.owner).where(
            lease.c.name != _LEADER, lease.c.until > now, lease.c.owner != leads
        )
        with self._db.read() as connection:
            return list(connection.execute(query.order_by(lease.c.owner)).scalars())


def must_lead(connection: Connection, token: int) -> None:
    """Hold the lease until the transaction ends. Raises LeaseLost when somebody else has it."""
    query = select(lease.c.token).where(lease.c.name == _LEADER).with_for_update(read=True)
    if connection.execute(query).scalar_one_or_none() != token:
        raise LeaseLost(token)
