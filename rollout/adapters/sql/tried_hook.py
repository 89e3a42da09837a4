"""A commit hook's writes in a transaction that never commits: what a preflight tries hooks on."""

from collections.abc import Callable

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import LazyTransaction
from rollout.jobs.ports import ConnectionSource


def try_hook(database: Database, write: Callable[[ConnectionSource], object]) -> None:
    """Call it with the connection that a commit would give it, and roll back.

    On SQLite it holds the single writer's lock while it runs.

    Raises:
        LedgerUnreachable: The database does not answer.
        CommitHookError: It ended the transaction, or swallowed an error that spoils it.
        Exception: What it raised.
    """
    with LazyTransaction(database) as transaction:
        write(transaction.connection)
        transaction.leave_hook()
