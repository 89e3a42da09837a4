"""What a chain reads, and how far ahead: sources, sizes, back-pressure, memory."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rollout.execution import (
    Auto,
    Bytes,
    Chain,
    ChainEngine,
    Landing,
    Stage,
)
from rollout.execution.errors import BatchFailed, Stopped
from tests.waiting import wait_until


def same(records: list[Any]) -> list[Any]:
    """A stage that does nothing."""
    return records


def three(work: Any = same, size: Any = 5, buffer: int = 2) -> Chain:
    """Three stages with workers of their own; the middle one does what is given."""
    stages = [Stage("read", same), Stage("middle", work, workers=3), Stage("end", same, workers=2)]
    return Chain("three", stages, size=size, buffer=buffer)


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
