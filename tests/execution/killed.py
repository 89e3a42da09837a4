"""Loads that a test kills: `python -m tests.execution.killed KIND FOLDER`.

Each goes on from its receipts, so that it can be started and killed until it ends with 0.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from rollout.execution import (
    Caps,
    Chain,
    ChainEngine,
    DeadLetter,
    FileReceipts,
    Graph,
    GraphEngine,
    Landing,
    Mapped,
    SqliteReceipts,
    Stage,
    Step,
    StepReceipts,
)

RECORDS = 2_000
SIZE = 10
ITEMS = 100


def slow(batch: list[int]) -> list[int]:
    """Take a moment, so that a kill finds something running."""
    time.sleep(0.004)
    return batch


def even_or_corrupt(record: int) -> int:
    """Every fiftieth record is corrupt."""
    if record % 50 == 7:
        raise ValueError(f"{record} is corrupt")
    return record


def chain() -> Chain:
    """Two stages with workers."""
    check = Stage("check", even_or_corrupt, 2, each=True, corrupt=ValueError)
    return Chain("killed", [check, Stage("slow", slow, 3)], size=SIZE)


def source(position: int) -> Iterator[int]:
    """The records from a position on."""
    yield from range(position, RECORDS)


def with_sqlite(folder: Path) -> None:
    """Rows and receipt in one transaction; a second row of a record would break the key."""
    file = folder / "rows.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS row (record INTEGER PRIMARY KEY)")

    def sink(rows: list[int], landing: Landing) -> None:
        assert landing.connection is not None
        landing.connection.executemany("INSERT INTO row VALUES (?)", [(row,) for row in rows])

    letter = DeadLetter(folder / "dead", Caps(None, None, None))
    ChainEngine(chain(), source, sink=sink, receipts=SqliteReceipts(file), dead_letter=letter).run()


def with_file(folder: Path) -> None:
    """Rows in a place of their own, by a key that makes a repeated write harmless."""
    rows_of = folder / "rows"
    rows_of.mkdir(exist_ok=True)

    def sink(rows: list[int], landing: Landing) -> None:
        file = rows_of / landing.key
        assert landing.again or not file.exists(), "a batch comes twice and does not say so"
        file.write_text(json.dumps(rows))

    ChainEngine(
        chain(),
        source,
        sink=sink,
        receipts=FileReceipts(folder / "receipts"),
        dead_letter=DeadLetter(folder / "dead", Caps(None, None, None)),
    ).run()


def note(folder: str, item: int) -> int:
    """A mapped step that leaves a line for each time that it ran to its end."""
    time.sleep(0.01)
    with (Path(folder) / "ran").open("a") as file:
        file.write(f"{item}\n")
    return item


def with_graph(folder: Path) -> None:
    """Mapped steps, and their sum."""
    steps: list[Step | Mapped] = [
        Mapped("note", note_in(folder), range(ITEMS)),
        Step("sum", sum, ["note"]),
    ]
    report = GraphEngine(
        Graph("killed", steps), workers=4, receipts=StepReceipts(folder / "receipts")
    ).run()
    (folder / "sum").write_text(str(report.results["sum"]))


class note_in:
    """`note` with its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(self, item: int) -> int:
        """Run."""
        return note(self.folder, item)


KINDS = {"sqlite": with_sqlite, "file": with_file, "graph": with_graph}

if __name__ == "__main__":
    KINDS[sys.argv[1]](Path(sys.argv[2]))
