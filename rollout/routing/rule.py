"""The routing rule: which keys a scope covers.

A key's position is the 64-bit XXH3 hash of salt, unit separator and key. The scope covers the
positions from zero up to its share of the range, so a larger scope never takes a key off the
concurrent path, and the holdback is the top end of the same range.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from xxhash import xxh3_64_intdigest

from rollout.routing.decision import Decision, JobPath, Reason
from rollout.routing.stages import BP_ALL, ControlState, Stage

_RANGE = 2**64
_SEPARATOR = b"\x1f"


def threshold(scope_bp: int) -> int:
    """First position outside a scope of `scope_bp` basis points, rounded up: 0..2**64."""
    return -(-scope_bp * _RANGE // BP_ALL)


def position(salt: str, key: str) -> int:
    """Position of a key in the range 0..2**64 - 1."""
    return xxh3_64_intdigest(salted(salt) + key.encode())


def each_position(salt: str, keys: Iterable[str]) -> Iterator[int]:
    """Positions of many keys: the same as `position` gives, for a rehearsal's millions."""
    # No line of Python for each of them.
    return hashed(map(salted(salt).__add__, map(str.encode, keys)))


def salted(salt: str) -> bytes:
    """What stands before a key, to be hashed with it."""
    return salt.encode() + _SEPARATOR


def hashed(keys: Iterable[bytes]) -> Iterator[int]:
    """Positions of many keys that are salted already."""
    return map(xxh3_64_intdigest, keys)


class Planted(Protocol):
    """What a drill has planted on a sub-pipeline, as far as routing needs to know it."""

    @property
    def paths(self) -> tuple[JobPath, ...]:
        """Paths whose jobs may meet it."""
        ...

    @property
    def until(self) -> datetime:
        """Aware UTC time at which it is over."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the control store gave for one sub-pipeline.

    `state` is None where the store holds nothing (UNKNOWN), something unreadable (UNREADABLE)
    or did not answer (UNREACHABLE); `doubt` then names which. `plan` is the fault that a drill
    has planted, whether in force or not: `plan_in_force` says so.
    """

    state: ControlState | None
    killed: bool = False
    killed_all: bool = False
    supervised: bool = False
    doubt: Reason | None = None
    plan: Planted | None = None

    @property
    def is_killed(self) -> bool:
        """Whether a latch, of this name or of all, or the state itself says killed."""
        return self.killed or self.killed_all or (self.state is not None and self.state.killed)


class RouteTable:
    """One reading, made ready to decide many keys; immutable and free of clocks.

    Both decisions it can give are built once, so that a decision costs a hash and a comparison.
    """

    __slots__ = ("_inside", "_outside", "_prefix", "_threshold")

    def __init__(self, reading: Reading) -> None:
        state = reading.state
        revision = state.revision if state else -1
        closed = why_closed(reading)
        # A start on legacy asks the store only when this says that a drill is aimed at it.
        drilled = plan_on(reading, JobPath.LEGACY) is not None
        self._outside = Decision(JobPath.LEGACY, closed or Reason.OUT_OF_SCOPE, revision, drilled)
        self._inside = Decision(JobPath.CONCURRENT, Reason.IN_SCOPE, revision)
        self._prefix = salted(state.salt if state else "")
        open_bp = min(state.scope_bp, state.scope_bp_max) if state and not closed else 0
        self._threshold = threshold(open_bp)

    def decide(self, key: str) -> Decision:
        """Say where a job with this key runs."""
        if xxh3_64_intdigest(self._prefix + key.encode()) < self._threshold:
            return self._inside
        return self._outside


def why_closed(reading: Reading) -> Reason | None:
    """Name the first reason, in order of precedence, for which nothing may run concurrently."""
    if reading.killed_all:
        return Reason.KILLED_ALL
    if reading.killed:
        return Reason.KILLED
    if reading.state is None:
        return reading.doubt or Reason.UNKNOWN
    if reading.state.killed:
        return Reason.KILLED
    if not reading.supervised:
        return Reason.UNSUPERVISED
    if reading.state.stage in (Stage.LEGACY, Stage.SHADOW):
        return Reason.STAGE
    return None


def plan_in_force(reading: Reading, path: JobPath, now: datetime) -> Planted | None:
    """Give the drill's fault that jobs of this path may meet now; a kill ends every drill."""
    plan = plan_on(reading, path)
    return plan if plan is not None and now < plan.until else None


def plan_on(reading: Reading, path: JobPath) -> Planted | None:
    """Give the fault planted on a path, without a look at the time; none while killed."""
    plan = reading.plan
    if plan is None or path not in plan.paths:
        return None
    return None if reading.is_killed else plan
