"""How long PostgreSQL may keep us waiting, and who does.

Every session of ours carries bounds of the server's own: a lock that somebody holds, a statement
that does not end and a client that was frozen in the middle of a transaction cost seconds, never
for ever. A kill waits shorter still, and asks meanwhile who is in its way: a session of rollout
that has sat in a transaction without a word is ended, anybody else's is named.
"""

from threading import Event, Lock, Thread
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from rollout.routing.ports import Waiting

OUR_NAME = "rollout"
"""`application_name` of our sessions, unless the URL gives another; then none is ever ended."""
LOCK_MS = 3_000
"""Ordinary transactions of ours hold a lock for milliseconds."""
STATEMENT_MS = 60_000
"""The longest statement of a tick, on ten million jobs, takes seconds (ops/bench)."""
IDLE_MS = 5_000
"""A client that says nothing in the middle of a transaction for this long was frozen or cut off."""
LOOK_AFTER_S = 0.3
"""A kill that waits longer than this says what it waits for."""
_LOOK_AGAIN_S = 0.4
_FROZEN_S = 1.0
"""Between two statements of ours lie microseconds; a session this long silent was frozen."""

_SET = {
    "lock_timeout": LOCK_MS,
    "statement_timeout": STATEMENT_MS,
    "idle_in_transaction_session_timeout": IDLE_MS,
}
TIMED_OUT = frozenset({"55P03", "57014", "40P01"})
"""SQLSTATEs: lock not available, statement timeout, deadlock. Trying again may help."""

_WHO = text(
    """
    WITH RECURSIVE chain(pid) AS (
        SELECT unnest(pg_blocking_pids(:pid))
        UNION
        SELECT unnest(pg_blocking_pids(chain.pid)) FROM chain WHERE chain.pid > 0
    ), seen AS (
        SELECT chain.pid,
               CASE WHEN chain.pid > 0 THEN cardinality(pg_blocking_pids(chain.pid)) = 0
                    ELSE true END AS root
        FROM chain WHERE chain.pid <> :pid
    )
    SELECT seen.pid, seen.root, coalesce(a.application_name, '') AS application,
           coalesce(a.usename, '') AS person, coalesce(host(a.client_addr), 'this host') AS host,
           coalesce(a.state, '') AS state, left(coalesce(a.query, ''), 80) AS query,
           coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0) AS silent_s
    FROM seen LEFT JOIN pg_stat_activity a ON a.pid = seen.pid
    ORDER BY seen.pid
    """
)


LOCAL_BOUNDS = "SELECT " + ", ".join(
    f"set_config('{name}', '{ms}', true)" for name, ms in _SET.items()
)
"""The same bounds for one transaction alone, in one statement."""


def bounds(*, local: bool = False) -> str:
    """Statements that bound a session: at its beginning, and again when a hook has had it.

    `local` bounds what is left of the transaction only.
    """
    verb = "SET LOCAL" if local else "SET"
    return "; ".join(f"{verb} {name} = {ms}" for name, ms in _SET.items())


def bound_session(connection: Any) -> None:
    """Set the bounds of a new session; `connection` is psycopg's."""
    with connection.cursor() as cursor:
        cursor.execute(bounds(), prepare=False)  # several statements cannot be prepared
    connection.commit()


def bound(connection: Connection, seconds: float) -> int:
    """Let no statement of this transaction wait, or run, longer; the server process it has."""
    _set_local(connection, lock_timeout=seconds * 1000, statement_timeout=seconds * 1000)
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def unbound(connection: Connection) -> None:
    """Lift the bounds for what is not ours: a user's hook, a migration of a large table."""
    _set_local(connection, **dict.fromkeys(_SET, 0.0))


def _set_local(connection: Connection, **values: float) -> None:
    sets = ", ".join(f"set_config('{name}', '{round(ms)}', true)" for name, ms in values.items())
    connection.exec_driver_sql(f"SELECT {sets}")


class Lookout:
    """Looks, beside a transaction that may be kept waiting, who keeps it.

    It has a thread, because the transaction's own is inside the statement that waits. Only kills
    have one: in commands and in the controller, never in a worker or producer.

    Args:
        engine: Gives the second connection.
        pid: Server process of the session that may be kept waiting.
        waiting: Told once who is in the way.
    """

    def __init__(self, engine: Engine, pid: int, waiting: Waiting | None) -> None:
        self._engine = engine
        self._pid = pid
        self._waiting = waiting
        self._over = Event()
        self._telling = Lock()
        self.blockers: tuple[str, ...] = ()
        self._thread = Thread(target=self._look, name="rollout-lookout", daemon=True)

    def __enter__(self) -> "Lookout":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._telling:  # nobody is told of a wait that is over
            self._over.set()
        self._thread.join(1.0)

    def _look(self) -> None:
        pause_s = LOOK_AFTER_S
        while not self._over.wait(pause_s):
            pause_s = _LOOK_AGAIN_S
            try:
                self._ask()
            except SQLAlchemyError:
                return  # then the wait ends by its own bound, and nobody is named

    def _ask(self) -> None:
        with self._engine.connect() as connection:
            rows = connection.execute(_WHO, {"pid": self._pid}).all()
            roots = [row for row in rows if row.root] or rows
            for row in roots:
                if _frozen(row) and not self._over.is_set():
                    connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": row.pid})
            connection.rollback()
        if not roots:
            return
        first = not self.blockers
        self.blockers = tuple(map(_sentence, roots))
        with self._telling:
            if first and self._waiting is not None and not self._over.is_set():
                self._waiting("; ".join(self.blockers))


def _frozen(row: Any) -> bool:
    return bool(
        row.application == OUR_NAME
        and row.state.startswith("idle in transaction")
        and row.silent_s > _FROZEN_S
    )


def _sentence(row: Any) -> str:
    if row.pid <= 0:
        return "a prepared transaction (pg_prepared_xacts lists it)"
    who = row.application or "no application_name"
    sentence = f": {' '.join(row.query.split())}" if row.query else ""
    return (
        f"session {row.pid} ({who}, user {row.person}, from {row.host}), "
        f"{row.state or 'unknown state'} for {row.silent_s:.0f} s{sentence}"
    )
