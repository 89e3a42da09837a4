"""Reading a source batch by batch: an iterable, an async iterable, or a function of a position."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from inspect import isasyncgen
from itertools import islice
from threading import Thread
from typing import Any

from rollout.execution.errors import WrongDeclaration
from rollout.execution.sizing import Bytes

Source = Iterable[Any] | AsyncIterable[Any] | Callable[[int], Iterable[Any] | AsyncIterable[Any]]
"""Records in an order that is the same each time; a function gets how many to leave out."""


class Puller:
    """Cuts a source into batches; one thread at a time pulls.

    Args:
        source: See `Source`.
        position: Records that landed in an earlier run and are left out.
    """

    def __init__(self, source: Source, position: int) -> None:
        self.position = position
        self._skip = 0
        if callable(source) and not isinstance(source, Iterable | AsyncIterable):
            source = source(position)
        else:
            self._skip = position
        self._records: Iterator[Any]
        self._loop: _Loop | None = None
        self._given: Any = source
        if isinstance(source, AsyncIterable):
            self._loop = _Loop(aiter(source))
            self._records = self._loop
        elif isinstance(source, Iterable):
            self._records = iter(source)
        else:
            raise WrongDeclaration(
                f"a source must be iterable, got {source!r}",
                "pass a list, a generator, an async generator, or a function of the position",
            )
        self._back: list[Any] = []
        self._error: BaseException | None = None

    def pull(self, size: int | Bytes) -> list[Any]:
        """Give the next batch; an empty one means that the source has ended.

        Raises:
            Exception: What the source raised, once the records before it were given.
        """
        if self._error is not None:
            raise self._error
        records: list[Any] = []
        try:
            if self._skip:
                skip, self._skip = self._skip, 0
                for _ in islice(self._records, skip):
                    pass
            if isinstance(size, Bytes):
                self._fill_bytes(records, size)
            else:
                records.extend(islice(self._records, size))
        except Exception as error:
            # extend() keeps what came before the error, and so do we: it is the prefix.
            if not records:
                raise
            self._error = error
        self.position += len(records)
        return records

    def _fill_bytes(self, records: list[Any], size: Bytes) -> None:
        weight = 0
        while True:
            if self._back:
                record = self._back.pop()
            else:
                try:
                    record = next(self._records)
                except StopIteration:
                    return
            weight += size.weigh(record)
            if records and weight > size.most:
                self._back.append(record)
                return
            records.append(record)

    def interrupt(self) -> None:
        """The run stops: end a wait for an async source; a plain one cannot be interrupted."""
        if self._loop is not None:
            self._loop.interrupt()

    def close(self) -> None:
        """Let a generator clean up, and end the loop of an async one."""
        if self._loop is not None:
            self._loop.close()
        close = getattr(self._given, "close", None)
        if isinstance(self._given, Iterator) and close is not None:
            close()


class _Loop(Iterator[Any]):
    """An async iterator as a plain one: its event loop runs in a thread of its own.

    The loop runs all the time, so that what the source does beside (reading ahead) goes on.
    """

    def __init__(self, records: AsyncIterator[Any]) -> None:
        self._records = records
        self._loop = asyncio.new_event_loop()
        self._waited: Future[Any] | None = None
        self._thread = Thread(target=self._loop.run_forever, name="execution-source", daemon=True)
        self._thread.start()

    def __next__(self) -> Any:
        async def following() -> Any:
            return await anext(self._records)

        self._waited = asyncio.run_coroutine_threadsafe(following(), self._loop)
        try:
            return self._waited.result()
        except StopAsyncIteration:
            raise StopIteration from None

    def interrupt(self) -> None:
        """Cancel the wait for the next record, if there is one."""
        if self._waited is not None:
            self._waited.cancel()

    def close(self) -> None:
        """Cancel what runs, close the generator, end the thread."""

        async def ended() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if isasyncgen(self._records):
                await self._records.aclose()
            await self._loop.shutdown_asyncgens()

        try:
            asyncio.run_coroutine_threadsafe(ended(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
