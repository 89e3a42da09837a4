"""A stream of jobs as columns: when each comes, and what either path would make of it.

A replay knows both answers for each job and lets routing choose, as it would have. Uses numpy:
never imported on a job's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rollout.errors import RolloutError
from rollout.evidence.buckets import DURATION_S_MAX
from rollout.routing.rule import each_position, hashed, salted

Whole: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.uint64]
Shares: TypeAlias = npt.NDArray[np.float64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000


class BadStream(RolloutError):
    """Jobs that cannot be replayed; nothing was simulated."""


@dataclass(frozen=True, slots=True)
class JobStream:
    """Jobs in the order in which they come; all columns are equally long.

    Attributes:
        name: Sub-pipeline; the salt of its routing.
        at_us: Admission, microseconds since 1970, never falling.
        position: Where routing puts the job's key, 0..2**64 - 1.
        key: A number for each distinct key; None when each job is routed by its own id.
        legacy_us: How long legacy takes for it, to its end or its failure.
        concurrent_us: How long the concurrent path takes. After a failure there legacy takes over.
        legacy_failed: Whether legacy fails it.
        concurrent_failed: Whether the concurrent path fails it.

    Raises:
        BadStream: Columns of different lengths, admissions that fall, or durations outside 0..30
            days.
    """

    name: str
    at_us: Whole
    position: Positions
    key: Whole | None
    legacy_us: Whole
    concurrent_us: Whole
    legacy_failed: Flags
    concurrent_failed: Flags

    def __post_init__(self) -> None:
        columns = [getattr(self, field) for field in self.__slots__ if field != "name"]
        lengths = {column.size for column in columns if column is not None}
        if len(lengths) != 1:
            raise BadStream(
                f"columns must be equally long, got {sorted(lengths)}", "cut them to one length"
            )
        if self.at_us.size and np.any(np.diff(self.at_us) < 0):
            raise BadStream(
                "admissions must never fall, got one before the other", "sort by admission"
            )
        for path in (self.legacy_us, self.concurrent_us):
            if path.size and not 0 <= path.min() <= path.max() <= DURATION_S_MAX * SECOND_US:
                raise BadStream(
                    f"durations must lie in 0..{DURATION_S_MAX:.0f} s, got"
                    f" {path.min() / SECOND_US:g}..{path.max() / SECOND_US:g}",
                    "leave those jobs out; a clock was wrong",
                )

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return int(self.at_us.size)

    @property
    def begins_at(self) -> datetime:
        """When the first job comes; raises BadStream when there is none."""
        if not self.jobs:
            raise BadStream("a stream needs a job, got none", "record or draw some")
        return time_of(int(self.at_us[0]))

    @property
    def ends_at(self) -> datetime:
        """When the last job comes; raises BadStream when there is none."""
        if not self.jobs:
            raise BadStream("a stream needs a job, got none", "record or draw some")
        return time_of(int(self.at_us[-1]))

    def with_concurrent(self, concurrent_us: Whole, concurrent_failed: Flags) -> JobStream:
        """The same jobs with another concurrent path."""
        return replace(self, concurrent_us=concurrent_us, concurrent_failed=concurrent_failed)

    def since(self, at: datetime) -> slice:
        """The jobs from a time on."""
        return slice(int(np.searchsorted(self.at_us, us_of(at), side="left")), None)

    def chances(self, purpose: int) -> Shares:
        """A number in [0, 1) for each job, the same each time and as good as drawn.

        It depends on the job's position and its place in the stream, so jobs of one key differ.

        Args:
            purpose: Numbers for different purposes are independent.
        """
        place = np.arange(self.jobs, dtype=np.uint64)
        apart = np.uint64(purpose * int(_PURPOSE) % 2**64)
        mixed = _mix(self.position ^ _mix(place + apart))
        return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


_PURPOSE = np.uint64(0x9E3779B97F4A7C15)


def _mix(value: Positions) -> Positions:
    """SplitMix64's finalizer (Steele, Lea & Flood 2014): every input bit reaches every output."""
    value = value + _PURPOSE
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def positions_of(salt: str, keys: Iterable[str], count: int) -> Positions:
    """Where the routing rule puts each of `count` keys."""
    return np.fromiter(each_position(salt, keys), dtype=np.uint64, count=count)


def numbered_positions(salt: str, stem: str, count: int) -> Positions:
    """Where the routing rule puts the keys `stem` + "0", "1", ...; in a third of the time.

    Making texts of numbers costs more than hashing them: here numpy writes them, digit by digit.
    """
    prefix = np.frombuffer(salted(salt) + stem.encode(), np.uint8)
    parts, begin, digits = [np.empty(0, np.uint64)], 0, 1
    while begin < count:
        end = min(count, 10**digits)
        number = np.arange(begin, end, dtype=np.uint32)  # twice as fast to divide
        text = np.empty((number.size, prefix.size + digits), np.uint8)
        text[:, : prefix.size] = prefix
        for place in range(1, digits + 1):
            rest = number // 10
            text[:, -place] = number - 10 * rest + ord("0")
            number = rest
        keys = text.view(f"S{text.shape[1]}").ravel().tolist()
        parts.append(np.fromiter(hashed(keys), dtype=np.uint64, count=len(keys)))
        begin, digits = end, digits + 1
    return np.concatenate(parts)


def numbers_of(keys: Sequence[str]) -> Whole:
    """A number for each distinct key."""
    known: dict[str, int] = {}
    return np.fromiter(
        (known.setdefault(key, len(known)) for key in keys), dtype=np.int64, count=len(keys)
    )


def us_of(at: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (at - EPOCH) // timedelta(microseconds=1)


def time_of(at_us: int) -> datetime:
    """The aware UTC time back."""
    return EPOCH + timedelta(microseconds=at_us)
