"""What kind of bottleneck a log shows, each with its evidence. Several are normal, none is, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Kinds of bottleneck."""

    LOCK = "lock"
    """One thing that one run can have at a time: a lock, a row, a single connection."""
    POOL = "pool"
    """One thing that a few runs can have at a time: connections, licences, borrowed workers."""
    COMPUTE = "compute"
    """The cores of the machine: runs compute nearly all of their time and are as many as it has."""
    CONTENTION = "contention"
    """Runs slow each other down, and this log does not show by what."""
    HAND_OFF = "hand-off"
    """Nobody works on the job between two steps: a night, an approval, a person."""
    QUEUEING = "queueing"
    """Jobs wait because all workers are busy."""
    HELD_BACK = "held back"
    """Jobs wait although workers are free: prefetch, rate limits, routing."""
    OVERHEAD = "overhead"
    """Scheduling takes as long as the work: the steps are too small."""
    SKEW = "skew"
    """A few runs take a large part of all the time."""
    IO_STALL = "i/o stall"
    """Workers are all busy with runs that do not compute: they wait for somebody else's answer."""
    RETRIES = "retries"
    """Much time goes into attempts that are made again."""
    FAILURES = "failures"
    """Many jobs fail: faster failing is no gain."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One bottleneck.

    Attributes:
        kind: What it is.
        step: Where; "" is everywhere.
        share: Share of the jobs' time that it explains, 0..1; orders findings.
        reason: Why, in half a sentence: it stands in the verdict.
        evidence: One or two sentences with the figures.
        values: The figures.
    """

    kind: Kind
    step: str
    share: float
    reason: str
    evidence: str
    values: Mapping[str, Any] = field(default_factory=dict)


SHARED = frozenset({Kind.LOCK, Kind.POOL, Kind.COMPUTE, Kind.CONTENTION})
"""Kinds that more workers make no better."""
