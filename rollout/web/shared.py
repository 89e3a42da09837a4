"""Readings that all viewers share: one query of the ledger, however many look.

A reading is fresh for a short while. After that the first who asks has the next one made, and is
given the last one at once if it is of seconds only. One that takes too long is not waited for: the
one before it is given, and says how old it is. An act makes every reading old at once, so that
whoever acts sees what came of it; but for what says of itself that it is of a moment ago. What
takes seconds has readers of its own: no page's reading stands behind it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from rollout.errors import RolloutError
from rollout.routing.clock import Clock

Value = TypeVar("Value")

FRESH_S = 2.0
STALE_S = 12.0
"""A younger reading is given at once while the next is made: pages load each ten seconds."""
PATIENCE_S = 3.0
FIRST_PATIENCE_S = 20.0
"""Where there is no older reading to give: the first one loads what the judgement needs."""

READERS, LONG_READERS = 4, 2
REST, REST_S_MAX = 10, 60.0
"""A reading that takes seconds lasts so many times as long: who looks takes a tenth of them."""

KEYS_MAX = 256
"""Readings that are kept; the one that nobody asked for the longest goes first."""


@dataclass(frozen=True, slots=True)
class Taken(Generic[Value]):
    """A reading.

    Attributes:
        value: What was read.
        at: When.
        age_s: Seconds since then.
        late: Why it is an old one: the newest took too long, or failed. None when it is fresh.
    """

    value: Value
    at: datetime
    age_s: float
    late: str | None = None


@dataclass(slots=True)
class _Kept:
    value: Any = None
    at: datetime | None = None
    read_s: float = 0.0
    took_s: float = 0.0
    era: int = -1
    reading: Future[Any] | None = None
    reading_era: int = -1


class Shared:
    """Keeps readings by key.

    Args:
        clock: Time.
        fresh_s: How long a reading is given to everybody.
        patience_s: How long one is waited for.
    """

    def __init__(
        self, clock: Clock, fresh_s: float = FRESH_S, patience_s: float = PATIENCE_S
    ) -> None:
        self._clock = clock
        self._fresh_s = fresh_s
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._era = 0
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="rollout-reads")
        self._long_readers = ThreadPoolExecutor(LONG_READERS, thread_name_prefix="rollout-judges")
        self.reads = 0

    def get(
        self,
        key: Hashable,
        read: Callable[[], Value],
        patience_s: float | None = None,
        lasts_s: float | None = None,
        *,
        long: bool = False,
        outlives_acts: bool = False,
    ) -> Taken[Value]:
        """Give a fresh reading, or the last one where that would take too long.

        Args:
            key: What is read.
            read: Reads it; may raise RolloutError.
            patience_s: How long this one is waited for; None for the usual time.
            lasts_s: How long this one is fresh, if longer than others.
            long: It takes seconds.
            outlives_acts: An act does not make it old.

        Raises:
            RolloutError: It cannot be read, and never was.
            TooSlowToRead: It takes longer, and never was read.
        """
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > KEYS_MAX:
                self._kept.popitem(last=False)
            age_s = self._clock.monotonic() - kept.read_s
            now = kept.at is not None and (outlives_acts or kept.era == self._era)
            rest_s = min(REST_S_MAX, kept.took_s * REST) if long else 0.0
            lasts_s = max(self._fresh_s, lasts_s or 0.0, rest_s)
            if kept.at is not None and now and age_s < lasts_s:
                return Taken(kept.value, kept.at, age_s)
            if kept.reading is None or (kept.reading_era != self._era and not outlives_acts):
                readers = self._long_readers if long else self._readers
                kept.reading_era = self._era
                kept.reading = readers.submit(self._read, kept, read, self._era)
            if kept.at is not None and now and age_s < max(STALE_S, 2 * lasts_s):
                return Taken(kept.value, kept.at, age_s)  # the next one gets what is read now
            reading = kept.reading
        if patience_s is None:
            first = kept.at is None
            patience_s = max(self._patience_s, FIRST_PATIENCE_S) if first else self._patience_s
        return self._wait(kept, reading, patience_s)

    def _wait(self, kept: _Kept, reading: Future[Any], patience_s: float) -> Taken[Any]:
        try:
            value, at = reading.result(patience_s)
        except (TooSlow, CancelledError):  # the latter where the process is being stopped
            return self._old(kept, "the newest reading takes too long")
        except RolloutError as error:
            if kept.at is None:
                raise
            return self._old(kept, error.problem)
        return Taken(value, at, 0.0)

    def _old(self, kept: _Kept, why: str) -> Taken[Any]:
        with self._lock:
            if kept.at is None:
                raise TooSlowToRead
            return Taken(kept.value, kept.at, self._clock.monotonic() - kept.read_s, why)

    def _read(self, kept: _Kept, read: Callable[[], Any], era: int) -> tuple[Any, datetime]:
        try:
            at, began_s = self._clock.now(), self._clock.monotonic()
            value = read()
            with self._lock:
                self.reads += 1
                if era >= kept.era:
                    kept.value, kept.at, kept.read_s, kept.era = value, at, began_s, era
                    kept.took_s = self._clock.monotonic() - began_s
            return value, at
        finally:
            with self._lock:
                if kept.reading_era == era:
                    kept.reading = None

    @property
    def under_way(self) -> int:
        """Readings that are being made."""
        with self._lock:
            return sum(one.reading is not None for one in self._kept.values())

    def forget(self) -> None:
        """Make every reading old: something was changed."""
        with self._lock:
            self._era += 1

    def close(self) -> None:
        """Wait for the readings under way."""
        for readers in (self._readers, self._long_readers):
            readers.shutdown(wait=True, cancel_futures=True)


class TooSlowToRead(RolloutError):
    """Nothing was read yet, and the first reading takes too long."""

    def __init__(self) -> None:
        super().__init__(
            "the ledger has not answered in time, and nothing was read before",
            "load the page again; `rollout doctor` says what is slow; a kill waits for none of it",
        )
