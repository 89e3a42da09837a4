"""Receipts of batches: what has landed, so that a second run goes on there.

Two ways, by who is authoritative:

- `SqliteReceipts`: the sink writes in the receipts' own transaction. What a kill leaves is both or
  neither: exactly once.
- `FileReceipts`: the sink writes elsewhere. A kill between its write and the receipt leaves one
  batch in doubt; the next run cuts the same batch again and says so (`Landing.again`), and the sink
  must be able to take it twice, by `Landing.key`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rollout.execution.errors import ReceiptsInUse
from rollout.execution.journal import Journal


@dataclass(frozen=True)
class Position:
    """Where a run goes on.

    Attributes:
        batches, records: Landed so far; records are counted in the source.
        in_doubt: Records of the batch that may or may not have landed; None when that is known.
    """

    batches: int = 0
    records: int = 0
    in_doubt: int | None = None


@dataclass(frozen=True)
class Landing:
    """What a sink is told about its batch.

    Attributes:
        batch: Number from 0, over all runs.
        first: Position of its first record in the source, from 0.
        records: How many source records it covers, corrupt ones included.
        key: The same for the same batch in every run: what makes a repeated write harmless.
        again: Whether an earlier run may have written it already.
        connection: The receipts' open transaction, with `SqliteReceipts`.
    """

    batch: int
    first: int
    records: int
    key: str
    again: bool = False
    connection: sqlite3.Connection | None = None


Sink = Callable[[list[Any], Landing], object]


class BatchReceipts(Protocol):
    """What a chain needs of its receipts; one thread at a time, not always the same one."""

    def open_for(self, chain: str) -> Position:
        """Say where to go on."""
        ...

    def landing(self, landing: Landing) -> AbstractContextManager[Landing]:
        """Hold a batch's landing: it counts when the block ends without an error."""
        ...

    def close(self) -> None:
        """Let others have them."""
        ...


class FileReceipts:
    """Receipts as JSON lines in a file.

    Args:
        path: One file per load that should happen once; delete it to begin anew.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._journal: Journal | None = None

    def open_for(self, chain: str) -> Position:
        """Read how far the last run came.

        Raises:
            ReceiptsInUse, ReceiptsUnusable: As of `Journal`.
        """
        self._journal = Journal(self.path, {"chain": chain})
        begun: dict[str, Any] | None = None
        landed = Position()
        for line in self._journal.lines():
            if "begun" in line:
                begun = line
            else:
                landed = Position(line["landed"] + 1, line["first"] + line["records"])
                begun = None
        return Position(landed.batches, landed.records, begun["records"] if begun else None)

    @contextmanager
    def landing(self, landing: Landing) -> Iterator[Landing]:
        """Write that the batch begins, and, after the sink, that it landed."""
        assert self._journal is not None, "open_for comes first"
        where = {"first": landing.first, "records": landing.records}
        self._journal.append({"begun": landing.batch, **where})
        yield landing
        self._journal.append({"landed": landing.batch, **where})

    def close(self) -> None:
        """Let others have the file."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


class SqliteReceipts:
    """Receipts in the database that the sink writes to, in the same transaction.

    The sink uses `landing.connection` and neither commits nor rolls back.

    Args:
        path: SQLite file; the table `execution_receipt` is made in it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None
        self._chain = ""

    def open_for(self, chain: str) -> Position:
        """Read how far the last run came.

        Raises:
            ReceiptsInUse: Another run writes to the database.
        """
        # Transactions are begun and ended here, and by one thread at a time.
        self._connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=5
        )
        self._chain = chain
        try:
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS execution_receipt"
                " (chain TEXT PRIMARY KEY, batches INTEGER NOT NULL, records INTEGER NOT NULL)"
            )
        except sqlite3.OperationalError as error:
            self.close()
            raise ReceiptsInUse(self.path) from error
        return self._position()

    def _position(self) -> Position:
        assert self._connection is not None, "open_for comes first"
        query = "SELECT batches, records FROM execution_receipt WHERE chain = ?"
        row = self._connection.execute(query, (self._chain,)).fetchone()
        return Position(*row) if row else Position()

    @contextmanager
    def landing(self, landing: Landing) -> Iterator[Landing]:
        """Open a transaction, and commit the sink's writes with the receipt.

        Raises:
            ReceiptsInUse: Another run landed this batch meanwhile; nothing of ours is written.
        """
        connection = self._connection
        assert connection is not None, "open_for comes first"
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._position().batches != landing.batch:
                raise ReceiptsInUse(self.path)
            yield Landing(**{**vars(landing), "connection": connection})
            connection.execute(
                "INSERT INTO execution_receipt VALUES (?, ?, ?) ON CONFLICT (chain) DO UPDATE"
                " SET batches = excluded.batches, records = excluded.records",
                (self._chain, landing.batch + 1, landing.first + landing.records),
            )
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
