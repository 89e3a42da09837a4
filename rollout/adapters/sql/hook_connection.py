"""The ledger transaction's connection as a commit hook gets it: it writes, and cannot end it.

A hook that commits would make its writes count before the fence has been asked, one that rolls back
would take the ledger's own words along. So both are refused, the hook runs inside a savepoint, and
the savepoint's release afterwards proves that the transaction is still the same one: it fails when
a statement in text, or the driver's own connection, has ended it all the same.

An error that a hook swallows leaves PostgreSQL's transaction unfit to commit. The release tells of
that, too, and the words of the error that was swallowed become the job's error.
"""

import re
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, event

from rollout.adapters.sql.sessions import POOLED
from rollout.adapters.sql.waits import bounds, unbound
from rollout.errors import CommitHookError, words_of

SAVEPOINT = "rollout_hook"
_AFTER = {
    "sqlite": f"RELEASE SAVEPOINT {SAVEPOINT}",
    # Deferred constraints are checked here, where they hold up no kill. What the hook has set is
    # taken back in the transaction itself, which costs no round trip of its own: else the next job
    # on this connection would look for the ledger's tables elsewhere.
    "postgresql": f"SET CONSTRAINTS ALL IMMEDIATE; RELEASE SAVEPOINT {SAVEPOINT}; "
    "RESET SESSION AUTHORIZATION; RESET ALL; DISCARD TEMP; ",
}
_ENDS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|;)*"
    r"(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE | re.DOTALL,
)
_DO = "write through job.connection and return; rollout commits, or rolls back when you raise"
_CUT_OFF = frozenset({"57014", "25P03", "25P04", "55P03"})
"""SQL states of an administrator's timeouts: a statement, idle, the transaction, a lock."""


class HookConnection(Connection):
    """SQLAlchemy's connection inside a hook; a Session on it works in savepoints.

    Attributes:
        swallowed: The last error that a statement of the hook has met.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.swallowed: Exception | None = None
        self._in_hook = False

    def enter_hook(self) -> None:
        """Begin the transaction, and a savepoint that only `leave_hook` releases."""
        super().begin()
        if self.dialect.name == "postgresql":
            unbound(self)  # a hook may wait, and work, as long as it needs
        self.exec_driver_sql(f"SAVEPOINT {SAVEPOINT}")
        event.listen(self, "before_cursor_execute", _refuse_ending)
        self._in_hook = True

    def leave_hook(self) -> None:
        """Take the connection back; raises what the driver says when it is not as it was given."""
        self._in_hook = False
        cursor: Any = self.connection.cursor()
        if self.dialect.name == "postgresql":
            # Several statements in one round trip: they cannot be prepared.
            cursor.execute(_AFTER["postgresql"] + self._after_reset(), prepare=False)
        else:
            cursor.execute(_AFTER["sqlite"])

    def _after_reset(self) -> str:
        """What makes the session ours again; of a lent one, what its pooler keeps for clients."""
        application = self.info.get(POOLED)
        if application is None:
            return bounds()
        name = "'" + application.replace("'", "''") + "'"
        return f"SET application_name = {name}; SET client_encoding = 'UTF8'; {bounds(local=True)}"

    def forsake_hook(self) -> None:
        """Take the connection back after an error, to be rolled back."""
        self._in_hook = False

    def in_nested_transaction(self) -> bool:
        """Whether a savepoint is open: always in a hook, so that a Session opens one of its own."""
        return self._in_hook or super().in_nested_transaction()

    def _or_refuse(self, what: str) -> None:
        if self._in_hook:
            refuse(f"{what} was called on job.connection")

    def begin(self) -> Any:
        """Refused in a hook: the transaction is open."""
        self._or_refuse("begin()")
        return super().begin()

    def begin_twophase(self, xid: Any = None) -> Any:
        """Refused in a hook."""
        self._or_refuse("begin_twophase()")
        return super().begin_twophase(xid)

    def get_transaction(self) -> Any:
        """Refused in a hook: it could be ended by what this gives."""
        self._or_refuse("get_transaction()")
        return super().get_transaction()

    def commit(self) -> None:
        """Refused in a hook."""
        self._or_refuse("commit()")
        super().commit()

    def rollback(self) -> None:
        """Refused in a hook."""
        self._or_refuse("rollback()")
        super().rollback()

    def close(self) -> None:
        """Refused in a hook."""
        self._or_refuse("close()")
        super().close()

    def detach(self) -> None:
        """Refused in a hook."""
        self._or_refuse("detach()")
        super().detach()


def refuse(came: str) -> NoReturn:
    """Raise the error of a hook that wants to end the transaction."""
    raise CommitHookError(came, _DO)


def _refuse_ending(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    if connection._in_hook and _ENDS.match(statement):
        refuse(f"it ran {statement.strip().split(None, 1)[0].upper()}")


def note_error(context: Any) -> None:
    """Remember what a hook's statement met: a listener to the engine's `handle_error`."""
    if isinstance(context.connection, HookConnection):
        context.connection.swallowed = context.sqlalchemy_exception or context.original_exception


def is_cut_off(error: BaseException | None) -> bool:
    """Whether an administrator's timeout ended a statement or session of the hook's making."""
    driver: Any = getattr(error, "orig", None) or error
    # A server that ends a session says why, and the driver may have only the words of it.
    said = words_of(driver)
    return getattr(driver, "sqlstate", None) in _CUT_OFF or any(
        words in said for words in ("idle-in-transaction timeout", "transaction timeout")
    )


def spoiled(connection: HookConnection, error: Exception) -> CommitHookError | None:
    """What a hook did, when `error` says that its savepoint has gone or cannot be released."""
    state = getattr(error, "sqlstate", None)
    if state == "25P02":  # in_failed_sql_transaction
        met = connection.swallowed
        words = "an error" if met is None else f"{type(met).__name__}: {getattr(met, 'orig', met)}"
        return CommitHookError(
            f"it went on after {words}",
            "let the error out, or run the statement in `with job.connection.begin_nested():`",
        )
    if state in ("3B001", "25P01") or "no such savepoint" in str(error):
        return CommitHookError(
            "it was ended, so what the hook wrote before may be there for good", _DO
        )
    return None
