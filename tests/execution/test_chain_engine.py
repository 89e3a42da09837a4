"""Runs of chains on real threads."""

import asyncio
import random
import signal
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.execution import (
    Auto,
    Bytes,
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


def test_records_before_an_error_of_the_source_land() -> None:
    """Also those of the batch that was being cut."""

    def source() -> Iterator[int]:
        yield from range(7)
        raise OSError("gone")

    landed: list[int] = []
    with pytest.raises(BatchFailed, match="gone"):
        ChainEngine(three(), source(), sink=lambda rows, landing: landed.extend(rows)).run()
    assert landed == list(range(7))


def test_back_pressure_reaches_the_source() -> None:
    """With a slow sink the source is read only as far ahead as the buffers go."""
    read = 0
    ahead: list[int] = []

    def source() -> Iterator[int]:
        nonlocal read
        for record in range(400):
            read = record + 1
            yield record

    def sink(rows: list[int], landing: Landing) -> None:
        time.sleep(0.001)
        ahead.append(read - landing.first)

    ChainEngine(three(size=5), source(), sink=sink).run()
    # Batches at once: source 1, stages 1 + 3 + 2, sink 1, and 2 behind each of the first four;
    # one more where the next to land needs no room.
    assert max(ahead) <= (1 + 1 + 3 + 2 + 1 + 4 * 2 + 4) * 5


def test_memory_is_bounded_by_the_buffers() -> None:
    """Twenty times the records through a slow sink take the same memory."""

    def peak(records: int) -> int:
        source = (bytes(1_000) for _ in range(records))
        chain = Chain("memory", [Stage("a", same, 2), Stage("b", same, 2)], size=20)
        tracemalloc.start()
        ChainEngine(chain, source, sink=lambda rows, landing: time.sleep(0.0002)).run()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(200)
    assert peak(20_000) < peak(1_000) + 1_000_000


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


def test_an_async_source() -> None:
    """Its loop runs in a thread of its own, also between two batches, and ends with the run."""
    beside: list[int] = []
    closed: list[bool] = []

    async def ticking() -> None:
        while True:
            await asyncio.sleep(0.001)
            beside.append(1)

    async def source() -> AsyncIterator[int]:
        task = asyncio.create_task(ticking())
        try:
            for record in range(30):
                await asyncio.sleep(0)
                yield record
        finally:
            task.cancel()
            closed.append(True)

    def sink(rows: list[int], landing: Landing) -> None:
        time.sleep(0.005)

    report = ChainEngine(three(), source(), sink=sink).run()
    assert report.records == 30
    assert beside
    assert closed == [True]


def test_an_async_source_that_waits_can_be_stopped() -> None:
    """A source with nothing to give does not hold up the end of the run."""

    async def source() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    engine = ChainEngine(three(size=1), source())
    engine.start()
    wait_until(lambda: engine.report().batches == 1, "the first batch has landed")
    engine.stop("enough")
    with pytest.raises(Stopped, match="enough"):
        engine.wait()


def test_a_function_of_the_position_as_source() -> None:
    """It is called with how many records to leave out."""
    report = ChainEngine(three(), lambda position: range(position, 12)).run()
    assert report.output == list(range(12))


def test_a_generator_is_closed_when_the_run_fails() -> None:
    """What it holds open it can close."""
    closed: list[bool] = []

    def source() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.append(True)

    with pytest.raises(BatchFailed):
        ChainEngine(three(lambda batch: 1 / 0), source()).run()
    assert closed == [True]


def test_batches_by_bytes() -> None:
    """As many records as fit; a larger one is a batch of its own."""
    records = ["a" * length for length in (4, 4, 4, 30, 1, 9, 10)]
    sizes: list[list[int]] = []
    chain = three(size=Bytes(10))
    sink = lambda rows, landing: sizes.append([len(row) for row in rows])  # noqa: E731
    ChainEngine(chain, records, sink=sink).run()
    assert sizes == [[4, 4], [4], [30], [1, 9], [10]]


def test_the_size_is_sought() -> None:
    """With work that grows with the records, within the bounds, and the report names it."""

    def work(batch: list[int]) -> list[int]:
        time.sleep(2e-5 * len(batch))
        return batch

    chain = Chain("auto", [Stage("a", work)], size=Auto(1, 5_000))
    report = ChainEngine(chain, range(30_000)).run()
    assert report.output == list(range(30_000))
    assert report.size is not None
    assert 2 <= report.size <= 5_000


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
