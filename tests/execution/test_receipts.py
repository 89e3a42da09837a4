"""Going on from receipts: after a failure, and after kill -9 at any moment."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.execution import (
    Barrier,
    Chain,
    ChainEngine,
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
from rollout.execution.errors import BatchFailed, ReceiptsInUse, ReceiptsUnusable, StepsFailed
from rollout.execution.landing import Position
from tests.execution.killed import ITEMS, RECORDS
from tests.execution.test_dead_letter import letters
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CORRUPT = [record for record in range(RECORDS) if record % 50 == 7]


def kill_until_done(kind: str, folder: Path, progress: Any, seed: int) -> int:
    """Start a load, kill it once it has come further, and again until it ends; give the kills."""
    chance, kills = random.Random(seed), 0
    while True:
        before = progress()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.execution.killed", kind, str(folder)], cwd=ROOT
        )
        try:
            if kills < 4:
                wait_until(
                    lambda: process.poll() is not None or progress() > before,  # noqa: B023
                    "the load comes further",
                    30,
                )
                time.sleep(chance.uniform(0, 0.02))
            else:
                process.wait(60)
        finally:
            process.kill()
            process.wait()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0
            return kills
        kills += 1


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_with_receipts_in_the_sinks_transaction(tmp_path: Path, seed: int) -> None:
    """Each record lands exactly once, and each corrupt one is in the dead letter once."""
    file = tmp_path / "rows.db"

    def rows() -> list[int]:
        if not file.exists():
            return []
        with closing(sqlite3.connect(file)) as connection:
            try:
                found = connection.execute("SELECT record FROM row ORDER BY rowid").fetchall()
            except sqlite3.OperationalError:
                return []
        return [row for (row,) in found]

    kills = kill_until_done("sqlite", tmp_path, lambda: len(rows()), seed)
    assert kills >= 2
    assert rows() == [record for record in range(RECORDS) if record not in CORRUPT]
    assert [one["position"] for one in letters(tmp_path / "dead")] == CORRUPT


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_with_receipts_in_a_file(tmp_path: Path, seed: int) -> None:
    """A batch in doubt comes again whole and says so; by its key nothing is there twice."""
    folder = tmp_path / "rows"

    def files() -> int:
        return len(list(folder.glob("*"))) if folder.exists() else 0

    kills = kill_until_done("file", tmp_path, files, seed)
    assert kills >= 2
    rows = [row for file in folder.glob("*") for row in json.loads(file.read_text())]
    assert sorted(rows) == [record for record in range(RECORDS) if record not in CORRUPT]
    assert [one["position"] for one in letters(tmp_path / "dead")] == CORRUPT


def test_kill_9_of_a_graph_skips_no_mapped_step(tmp_path: Path) -> None:
    """What has a receipt does not run again; what has none runs, whatever the crash left."""
    ran = tmp_path / "ran"

    def lines() -> list[str]:
        return ran.read_text().splitlines() if ran.exists() else []

    kills = kill_until_done("graph", tmp_path, lambda: len(lines()), 3)
    assert kills >= 2
    assert (tmp_path / "sum").read_text() == str(sum(range(ITEMS)))
    times = Counter(lines())
    assert set(times) == {str(item) for item in range(ITEMS)}
    # A step that ended without its receipt runs again: at most one per worker and kill.
    assert sum(times.values()) <= ITEMS + 4 * kills
    receipts = (tmp_path / "receipts").read_text().splitlines()[1:]
    assert len(receipts) == ITEMS + 1


def test_a_graph_goes_on_from_its_receipts(tmp_path: Path) -> None:
    """After a failure only what has no receipt runs, and it gets the results that were kept."""
    ran: list[str] = []
    broken = True

    def work(name: str) -> Any:
        def run(*args: Any) -> Any:
            ran.append(name)
            if name == "c" and broken:
                raise ValueError("broken")
            return [name, *args]

        return run

    def graph() -> Graph:
        return Graph(
            "g",
            [
                Step("a", work("a")),
                Barrier("gate", lambda before: True, after=["a"]),
                Step("b", work("b"), ["a"], after=["gate"]),
                Step("c", work("c"), ["b"]),
                Step("d", work("d"), ["c", "a"]),
            ],
        )

    receipts = tmp_path / "receipts"
    with pytest.raises(StepsFailed):
        GraphEngine(graph(), receipts=StepReceipts(receipts)).run()
    assert ran == ["a", "b", "c"]
    ran.clear()
    broken = False
    report = GraphEngine(graph(), receipts=StepReceipts(receipts)).run()
    assert ran == ["c", "d"]
    assert report.results["d"] == ["d", ["c", ["b", ["a"]]], ["a"]]
    assert report.kept == {"a", "b", "gate"}
    ran.clear()
    engine = GraphEngine(graph(), receipts=StepReceipts(receipts))
    assert engine.why("a").sentence == "has a receipt of an earlier run"
    assert engine.run().ok
    assert ran == []


def test_a_mapped_step_that_never_started_is_not_skipped(tmp_path: Path) -> None:
    """Without a receipt it runs: "not failed" is no receipt."""
    ran: list[int] = []

    def work(item: int) -> int:
        ran.append(item)
        return item

    receipts = StepReceipts(tmp_path / "receipts")
    graph = Graph("g", [Mapped("m", work, range(6)), Step("sum", sum, ["m"])])
    answers = iter([True, True, True])
    engine = GraphEngine(
        graph, workers=1, receipts=receipts, may_go_on=lambda: next(answers, False)
    )
    engine.run(check=False)
    assert ran == [0, 1, 2]
    report = GraphEngine(graph, receipts=StepReceipts(tmp_path / "receipts")).run()
    assert sorted(ran) == [0, 1, 2, 3, 4, 5]
    assert report.results["sum"] == 15


def test_a_torn_line_is_no_receipt(tmp_path: Path) -> None:
    """What a kill left of a line is cut off, and its step runs again."""
    path = tmp_path / "receipts"
    graph = Graph("g", [Step("a", lambda: 1), Step("b", lambda: 2)])
    GraphEngine(graph, workers=1, receipts=StepReceipts(path)).run()
    whole = path.read_text()
    path.write_text(whole[:-4])
    report = GraphEngine(graph, receipts=StepReceipts(path)).run()
    assert report.kept == {"a"}
    assert path.read_text() == whole


@pytest.mark.parametrize(
    ("content", "says"),
    [('{"graph": "other"}\n', "must be of"), ("no json\n", "must hold lines of JSON")],
)
def test_receipts_of_something_else(tmp_path: Path, content: str, says: str) -> None:
    """Another graph's receipts, or other edges, are refused before anything starts."""
    path = tmp_path / "receipts"
    path.write_text(content)
    with pytest.raises(ReceiptsUnusable, match=says):
        GraphEngine(Graph("g", [Step("a", lambda: 1)]), receipts=StepReceipts(path))
    assert path.read_text() == content


def test_receipts_have_one_run_at_a_time(tmp_path: Path) -> None:
    """The second is told; after the first has ended it may."""
    graph = Graph("g", [Step("a", lambda: 1)])
    first = GraphEngine(graph, receipts=StepReceipts(tmp_path / "receipts"))
    with pytest.raises(ReceiptsInUse, match="another run holds"):
        GraphEngine(graph, receipts=StepReceipts(tmp_path / "receipts"))
    first.run()
    assert GraphEngine(graph, receipts=StepReceipts(tmp_path / "receipts")).run().kept == {"a"}


@pytest.mark.parametrize("result", [object(), (1, 2), {1: 2}, float("nan")])
def test_a_result_that_no_receipt_can_keep(tmp_path: Path, result: Any) -> None:
    """It would be another one after a crash, so the step fails at once instead."""
    graph = Graph("g", [Step("a", lambda: result)])
    report = GraphEngine(graph, receipts=StepReceipts(tmp_path / "receipts")).run(check=False)
    assert isinstance(report.failures["a"].error, ReceiptsUnusable)


class Fails:
    """A sink that fails at one batch, until it is mended."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.rows: list[int] = []
        self.again: list[int] = []

    def __call__(self, rows: list[int], landing: Landing) -> None:
        """Land."""
        if landing.batch == self.at:
            raise OSError("disk full")
        if landing.again:
            self.again.append(landing.batch)
        self.rows += rows


@pytest.mark.parametrize("kind", [FileReceipts, SqliteReceipts])
def test_a_chain_goes_on_behind_what_landed(tmp_path: Path, kind: Any) -> None:
    """The second run begins with the batch that failed; nothing lands twice, nothing is missing."""
    chain = Chain("c", [Stage("a", list, 3), Stage("b", list, 2)], size=4)
    sink = Fails(5)
    with pytest.raises(BatchFailed, match=r"batch 5 failed in 'sink': OSError: disk full; 5 batch"):
        ChainEngine(chain, range(50), sink=sink, receipts=kind(tmp_path / "receipts")).run()
    assert sink.rows == list(range(20))
    sink.at = None
    report = ChainEngine(chain, range(50), sink=sink, receipts=kind(tmp_path / "receipts")).run()
    assert sink.rows == list(range(50))
    assert (report.from_batch, report.from_record, report.records) == (5, 20, 30)
    assert sink.again == ([5] if kind is FileReceipts else [])
    again = ChainEngine(chain, range(50), sink=sink, receipts=kind(tmp_path / "receipts")).run()
    assert again.batches == 0
    assert sink.rows == list(range(50))


def test_a_batch_in_doubt_is_cut_as_before(tmp_path: Path) -> None:
    """Also when the declared size is another one by then; so its key means the same records."""
    path = tmp_path / "receipts"
    sink = Fails(2)
    with pytest.raises(BatchFailed):
        ChainEngine(
            Chain("c", [Stage("a", list)], size=4),
            range(20),
            sink=sink,
            receipts=FileReceipts(path),
        ).run()
    receipts = FileReceipts(path)
    assert receipts.open_for("c") == Position(2, 8, 4)
    receipts.close()
    seen: list[tuple[str, int, bool]] = []

    def note(rows: list[int], landing: Landing) -> None:
        seen.append((landing.key, len(rows), landing.again))

    chain = Chain("c", [Stage("a", list)], size=7)
    ChainEngine(chain, range(20), sink=note, receipts=FileReceipts(path)).run()
    assert seen == [("c:8", 4, True), ("c:12", 7, False), ("c:19", 1, False)]


def test_two_runs_on_one_database_land_nothing_twice(tmp_path: Path) -> None:
    """The second one's transaction finds another position, writes nothing and says so."""
    path = tmp_path / "rows.db"
    first, second = SqliteReceipts(path), SqliteReceipts(path)
    first.open_for("c")
    second.open_for("c")
    with first.landing(Landing(0, 0, 4, "c:0")):
        pass
    with pytest.raises(ReceiptsInUse), second.landing(Landing(0, 0, 4, "c:0")):
        raise AssertionError("the sink must not be called")
    assert second._position() == Position(1, 4)
    first.close()
    second.close()


def test_a_failed_sink_leaves_no_half_receipt(tmp_path: Path) -> None:
    """Its writes are rolled back with the receipt."""
    receipts = SqliteReceipts(tmp_path / "rows.db")
    receipts.open_for("c")

    def fail() -> None:
        with receipts.landing(Landing(0, 0, 4, "c:0")) as landing:
            assert landing.connection is not None
            landing.connection.execute("CREATE TABLE half (x)")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert receipts._position() == Position()
    receipts.close()
    with closing(sqlite3.connect(tmp_path / "rows.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall()
    assert tables == []


def test_receipts_are_of_the_same_items(tmp_path: Path) -> None:
    """In another order one item would be loaded twice, and another one never."""
    loaded: list[str] = []

    def load(item: str) -> str:
        if item == "c":
            raise OSError("not yet")
        loaded.append(item)
        return item

    def nightly(items: list[str]) -> GraphEngine:
        graph = Graph("nightly", [Mapped("load", load, items)])
        return GraphEngine(graph, receipts=StepReceipts(tmp_path / "receipts"))

    nightly(["a", "b", "c"]).run(check=False)
    with pytest.raises(ReceiptsUnusable, match="use another file, or delete it"):
        nightly(["c", "a", "b"])
    assert nightly(["a", "b", "c"]).run(check=False).kept == {"load[0]", "load[1]"}
    assert sorted(loaded) == ["a", "b"]
