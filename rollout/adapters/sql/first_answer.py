"""Bounds how long a session of PostgreSQL waits for the first answer of a transaction.

A pooler takes what a client says and keeps it until the server has a session free. With the
database away that is pgbouncer's `query_wait_timeout`, two minutes, in which a producer hangs and a
kill says nothing; a link that swallows packets and acknowledges them keeps one for ever. No bound
of the server's own holds then, so this one is the client's. What comes first is the answer to
BEGIN; a statement of the short lane is a transaction by itself and may wait for a lock before it.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Timer
from time import monotonic
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.pq import TransactionStatus
from psycopg.waiting import Ready
from sqlalchemy import Engine, event

from rollout.adapters.sql.waits import LOOK_AFTER_S
from rollout.routing.ports import Waiting

BEGIN_S = 5.0
"""BEGIN needs nothing but a session."""
STATEMENT_S = 10.0
"""Two locks of `waits.LOCK_MS`, and a disk that is slow."""
_within: ContextVar[float | None] = ContextVar("rollout_first_answer", default=None)


class BoundedConnection(Connection[Any]):
    """A connection that is closed when a transaction's first answer does not come."""

    def wait(self, gen: Any, *options: Any, **named: Any) -> Any:
        """Consume what psycopg waits for; raises OperationalError when the bound is over."""
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            gen = self._first(gen, _within.get() or (STATEMENT_S if self.autocommit else BEGIN_S))
        return super().wait(gen, *options, **named)

    def _first(self, gen: Any, within_s: float) -> Generator[Any, int, Any]:
        ends = monotonic() + within_s
        answered = False
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                answered = answered or bool(ready & Ready.R)
                if not answered and monotonic() > ends:
                    self.close()  # what it has sent may be carried out yet: nothing follows it
                    raise OperationalError(f"no answer within {within_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as ended:
            return ended.value


def bound_first_answers(engine: Engine) -> None:
    """Let the engine's connections be bounded ones."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, options: Any) -> Any:
        return BoundedConnection.connect(*args, **options)


@contextmanager
def answered_within(seconds: float, waiting: Waiting | None) -> Iterator[Timer]:
    """Bound the first answer more closely, and say after a moment that it is waited for.

    Yields:
        What is to be cancelled when the database has answered.
    """
    words = "the database to answer: it is away, or its pooler has no session of it"
    silence = Timer(LOOK_AFTER_S, lambda: waiting(words) if waiting is not None else None)
    silence.daemon = True
    token = _within.set(seconds)
    silence.start()
    try:
        yield silence
    finally:
        silence.cancel()
        _within.reset(token)
