"""What a commit hook gets from a ledger in memory in the place of a database connection."""

from collections.abc import Callable
from typing import Any

from rollout.errors import NoConnection


class MemoryTransaction:
    """Collects a commit hook's acts; they happen if the commit counts, once, and before it shows.

    There is no database, so this is no SQLAlchemy connection: whoever uses it as one gets
    NoConnection.
    """

    def __init__(self) -> None:
        self._acts: list[Callable[[], object]] = []
        self._over = False

    def on_commit(self, act: Callable[[], object]) -> None:
        """Run `act` when the commit counts, with the ledger's lock held: short, and no ledger call.

        Raises:
            NoConnection: The commit is over.
        """
        if self._over:
            raise NoConnection("after it")
        self._acts.append(act)

    def end(self, *, counts: bool) -> None:
        """Run the acts if the commit counts; the ledger calls it."""
        self._over = True
        if counts:
            for act in self._acts:
                act()

    def __getattr__(self, name: str) -> Any:
        """Refuse what only a database connection has."""
        raise NoConnection(f"on a ledger in memory, which offers on_commit() and no {name!r}")
