"""Runs of chains on real threads."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.execution import (
    Chain,
    ChainEngine,
    FileReceipts,
    Landing,
    Stage,
    current,
)
from rollout.execution.errors import BatchFailed, StepTimedOut, Stopped
from rollout.execution.landing import Position
from rollout.execution.stage_work import WrongBatch
from tests.execution.threads import execution_threads
from tests.waiting import wait_until


def same(records: list[Any]) -> list[Any]:
    """A stage that does nothing."""
    return records


def three(work: Any = same, size: Any = 5, buffer: int = 2) -> Chain:
    """Three stages with workers of their own; the middle one does what is given."""
    stages = [Stage("read", same), Stage("middle", work, workers=3), Stage("end", same, workers=2)]
    return Chain("three", stages, size=size, buffer=buffer)


@settings(max_examples=20)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 3), st.integers())
def test_nothing_is_lost_and_nothing_overtakes(
    records: int, size: int, buffer: int, seed: int
) -> None:
    """Under a jitter of 90 % in each stage, every record lands once and in order."""
    chance = random.Random(seed)
    pauses = [0.0005 * chance.uniform(0.1, 1.9) for _ in range(100)]

    def work(batch: list[int]) -> list[int]:
        time.sleep(pauses[batch[0] % 100])
        return [record * 2 for record in batch]

    landed: list[int] = []
    batches: list[int] = []

    def sink(rows: list[int], landing: Landing) -> None:
        landed.extend(rows)
        batches.append(landing.batch)

    report = ChainEngine(three(work, size, buffer), range(records), sink=sink).run()
    assert landed == [record * 2 for record in range(records)]
    assert batches == list(range(-(-records // size)))
    assert (report.batches, report.records, report.rows) == (len(batches), records, records)


@settings(max_examples=20)
@given(st.integers(0, 11), st.sampled_from(["source", "read", "middle", "end", "sink"]))
def test_the_prefix_rule(failing: int, where: str) -> None:
    """When a batch fails, wherever: those before it land, none after it, and the run is loud."""

    def fails(name: str) -> Any:
        def work(batch: list[int]) -> list[int]:
            time.sleep(0.0004 * (batch[0] % 4))
            if name == where and batch[0] == failing * 2:
                raise ValueError("broken on purpose")
            return batch

        return work

    def source() -> Iterator[int]:
        for record in range(24):
            if where == "source" and record == failing * 2:
                raise ValueError("broken on purpose")
            yield record

    landed: list[int] = []

    def sink(rows: list[int], landing: Landing) -> None:
        fails("sink")(rows)
        landed.extend(rows)

    stages = [
        Stage("read", fails("read")),
        Stage("middle", fails("middle"), workers=3),
        Stage("end", fails("end"), workers=2),
    ]
    with pytest.raises(BatchFailed, match="broken on purpose") as caught:
        ChainEngine(Chain("c", stages, size=2), source(), sink=sink).run()
    assert landed == list(range(failing * 2))
    assert (caught.value.batch, caught.value.stage) == (failing, where)
    assert caught.value.report.batches == failing
    assert isinstance(caught.value.error, ValueError)


def test_stages_overlap() -> None:
    """Three stages of one pace run at the same time, not in lockstep."""

    def work(batch: list[int]) -> list[int]:
        time.sleep(0.01)
        return batch

    chain = Chain("overlap", [Stage(name, work) for name in "abc"], size=1)
    report = ChainEngine(chain, range(20)).run()
    assert report.speedup > 1.8, "at most 3.0 with one worker each"
    assert report.speedup <= report.speedup_bound + 0.01
    assert report.output == list(range(20))


def test_a_batch_is_tried_again() -> None:
    """In its stage, with the records as they came there; later batches do not overtake it."""
    attempts: list[int] = []

    def flaky(batch: list[int]) -> list[int]:
        running = current()
        assert running is not None
        if batch[0] == 10:
            attempts.append(running.attempt)
            if running.attempt < 3:
                raise OSError("not yet")
        return batch

    chain = Chain("c", [Stage("flaky", flaky, 3, retries=2, retry_wait_s=0.003)], size=5)
    assert ChainEngine(chain, range(40)).run().output == list(range(40))
    assert attempts == [1, 2, 3]


def test_a_batch_over_its_limit_fails() -> None:
    """What is before it lands, though its thread still runs for a while."""
    gate = threading.Event()

    def slow(batch: list[int]) -> list[int]:
        if batch[0] == 6:
            gate.wait(10)
        return batch

    landed: list[int] = []

    def sink(rows: list[int], landing: Landing) -> None:
        landed.extend(rows)

    chain = Chain("c", [Stage("slow", slow, 2, timeout_s=0.1)], size=2)
    engine = ChainEngine(chain, range(40), sink=sink)
    engine.start()
    wait_until(lambda: engine.why(3).state == "failed", "batch 3 has failed")
    gate.set()
    with pytest.raises(BatchFailed) as caught:
        engine.wait()
    assert isinstance(caught.value.error, StepTimedOut)
    assert landed == list(range(6))


def test_work_far_over_its_limit_keeps_no_earlier_batch_from_landing() -> None:
    """Its limit passes a second time; the batch counts as ended once, and who waits is awaited."""
    tried: list[int] = []

    def late(batch: list[int]) -> list[int]:
        time.sleep(0.4 if batch == [1] else 0)
        return batch

    def flaky(batch: list[int]) -> list[int]:
        tried.extend(batch)
        if len(tried) == 1:
            raise OSError("not yet")
        return batch

    stages = [
        Stage("late", late, 2, timeout_s=0.1),
        Stage("flaky", flaky, retries=1, retry_wait_s=1.0),
    ]
    landed: list[int] = []
    engine = ChainEngine(
        Chain("c", stages, size=1), range(2), sink=lambda rows, landing: landed.extend(rows)
    )
    with pytest.raises(BatchFailed) as caught:
        engine.run()
    assert caught.value.batch == 1
    assert landed == [0]
    assert engine.board.active == 0


@pytest.mark.parametrize("came", [None, 3, "text", {"a": 1}])
def test_a_stage_that_gives_no_list(came: Any) -> None:
    """A forgotten return is told, and loses nothing silently."""
    with pytest.raises(BatchFailed) as caught:
        ChainEngine(three(lambda batch: came), range(3)).run()
    assert isinstance(caught.value.error, WrongBatch)


def test_stages_may_give_more_or_fewer_records() -> None:
    """Receipts count the source's records, so a filter or a split breaks nothing."""
    chain = Chain(
        "c",
        [
            Stage("odd", lambda batch: [one for one in batch if one % 2]),
            Stage("twice", lambda batch: [one for one in batch for _ in range(2)]),
        ],
        size=3,
    )
    report = ChainEngine(chain, range(6)).run()
    assert report.output == [1, 1, 3, 3, 5, 5]
    assert (report.records, report.rows) == (6, 6)


def test_no_batch_starts_or_lands_after_the_kill_is_seen() -> None:
    """`may_go_on` is asked before each stage and before the sink."""
    killed = threading.Event()
    seen: list[str] = []
    lock = threading.Lock()

    def may_go_on() -> bool:
        return not killed.is_set()

    def work(batch: list[int]) -> list[int]:
        with lock:
            if killed.is_set():
                seen.append(f"batch {batch[0]}")
        if batch[0] == 20:
            with lock:
                killed.set()
        return batch

    def sink(rows: list[int], landing: Landing) -> None:
        assert not killed.is_set()

    engine = ChainEngine(
        Chain("c", [Stage("work", work)], size=1), range(100), sink=sink, may_go_on=may_go_on
    )
    with pytest.raises(Stopped, match="may_go_on said no"):
        engine.run()
    assert seen == []
    assert engine.report().batches <= 20


@settings(max_examples=15)
@given(st.integers(0, 60))
def test_ctrl_c_at_any_point_leaves_no_thread(after: int) -> None:
    """What landed is a prefix, the receipts say the same, and nothing runs any more."""
    main = threading.main_thread().ident
    assert main is not None
    lock = threading.Lock()
    calls = 0
    landed: list[int] = []

    def work(batch: list[int]) -> list[int]:
        nonlocal calls
        with lock:
            calls += 1
            is_the_one = calls == after + 1
        if is_the_one:
            signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.0003)
        return batch

    def sink(rows: list[int], landing: Landing) -> None:
        landed.extend(rows)

    stages = [Stage("a", work), Stage("b", work, 2)]

    def run(receipts: FileReceipts) -> None:
        ChainEngine(Chain("c", stages, size=2), range(80), sink=sink, receipts=receipts).run()
        time.sleep(1)  # the signal may come to the last batches, when the run is over

    with TemporaryDirectory() as folder:
        receipts = FileReceipts(Path(folder) / "receipts")
        with pytest.raises(KeyboardInterrupt):
            run(receipts)
        wait_until(lambda: not execution_threads(), "no thread of the run is left", 5)
        assert landed == list(range(len(landed)))
        position = receipts.open_for("c")
        receipts.close()
    assert position == Position(len(landed) // 2, len(landed))


def test_deterministic_batches_have_seeds() -> None:
    """The same for the same stage and batch in each run."""

    def draw(batch: list[int]) -> list[Any]:
        running = current()
        assert running is not None
        return [running.seed]

    chain = Chain("c", [Stage("draw", draw, 3)], size=2)
    first = ChainEngine(chain, range(8), deterministic=True).run().output
    assert first == ChainEngine(chain, range(8), deterministic=True).run().output
    assert len(set(first)) == 4


def test_ctrl_c_while_threads_are_started_leaves_no_half_receipt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Receipts are closed when the sink that uses them has ended, not before."""
    landing = threading.Event()
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        if len(started) == 3:
            landing.wait(10)
            raise KeyboardInterrupt

    def sink(rows: list[int], at: Landing) -> None:
        landing.set()
        time.sleep(0.05)

    receipts = FileReceipts(tmp_path / "receipts")
    engine = ChainEngine(
        Chain("c", [Stage("a", same)], size=2), range(9), sink=sink, receipts=receipts
    )
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    assert not any(thread.is_alive() for thread in started)
    assert receipts.open_for("c") == Position(1, 2)
    receipts.close()
