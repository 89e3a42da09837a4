"""What throughput was limited by: where a job's time went, alone and among the most workers.

A worker's time is spent on a core, waiting for a core (the scheduler counts it), or waiting for
something else. What grew from one worker to the most is what stands in the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.figures import seconds_text
from rollout.scaling.slices import Measured, Slice

GROWN_MIN = 1.2
"""A job that takes less than this many times as long among the others is held up by nothing."""
BUSY = 0.85
"""Cores are full when our workers and everybody else have this share of them busy."""
ONE_AT_A_TIME = 1.3
"""With no more throughput than this many workers alone, one thing is had by one at a time."""
_CALLS = {
    "flock": "a lock on a file (flock)",
    "fcntl": "a lock on a file (fcntl)",
    "futex": "a lock of threads or processes (futex)",
    "clock_nanosleep": "sleep, which is how polling for a lock looks, too",
    "read": "an answer or a file (read)",
    "recv": "an answer (recv)",
    "poll": "an answer (poll)",
    "fsync": "the disk (fsync)",
    "wait4": "a program that it has started",
}


class Limit(StrEnum):
    """What stands in the way of more throughput."""

    NONE = "nothing yet"
    """Jobs take as long among the others as alone."""
    CPU = "cpu"
    """All cores are busy: with more of them it would go on."""
    SHARED_CORES = "shared cores"
    """Cores are not all busy, and each job needs more of them: caches, memory, spinning."""
    LOCK = "one lock"
    """One thing that one job has at a time."""
    POOL = "a pool"
    """One thing that a few jobs have at a time: connections, licences, a service."""
    MEMORY = "memory"
    """More workers do not fit, or pages come from disk."""
    UNKNOWN = "not known"
    """The figures do not say."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of a worker for one job, by where they went."""

    cpu_s: float
    runnable_s: float
    waiting_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.cpu_s + self.runnable_s + self.waiting_s


@dataclass(frozen=True, slots=True)
class Limited:
    """What limits, and the evidence.

    Attributes:
        limit: What.
        sentence: Why, with figures.
        at_once: Jobs that what limits lets through at once; None where it is none such.
        alone: Where a job's time went with one worker.
        among: Where it went with the most.
        busy_cores: Cores that the workers had busy with the most of them.
        others_cores: Cores that everybody else had busy meanwhile.
    """

    limit: Limit
    sentence: str
    at_once: float | None
    alone: Spent
    among: Spent
    busy_cores: float
    others_cores: float


def limited_by(measured: Measured) -> Limited:
    """Compare the most workers with the fewest."""
    few, many = measured.at(measured.levels[0]), measured.at(measured.levels[-1])
    alone, among = spent(few), spent(many)
    busy, others = _busy(many), _mean([one.others_cores for one in many])
    gained = _mean([one.rate for one in many]) / max(_mean([one.rate for one in few]), 1e-9)
    limit, sentence, at_once = _judge(measured, alone, among, busy, others, gained)
    return Limited(limit, sentence, at_once, alone, among, busy, others)


def _judge(
    measured: Measured, alone: Spent, among: Spent, busy: float, others: float, gained: float
) -> tuple[Limit, str, float | None]:
    top = measured.levels[-1]
    faults = sum(use.major_faults for one in measured.at(top) for use in one.uses)
    grown = among.total_s / max(alone.total_s, 1e-9)
    if measured.memory_cut:
        return Limit.MEMORY, "more workers would not have fitted into memory", None
    if grown < GROWN_MIN or top == 1:
        return Limit.NONE, f"a job takes {grown:.1f} times as long among {top} as alone", None
    more = {
        "cpu": among.cpu_s - alone.cpu_s,
        "runnable": among.runnable_s - alone.runnable_s,
        "waiting": among.waiting_s - alone.waiting_s,
    }
    most = max(more, key=lambda name: more[name])
    full = busy + others >= BUSY * measured.cores
    cores = f"{busy:.1f} of {measured.cores:g} cores"
    cores += f" (others {others:.1f})" if others >= 0.2 else ""
    if faults > top and most == "waiting":
        return Limit.MEMORY, f"{faults:,} pages came from disk meanwhile", None
    if most == "runnable" or (full and most == "waiting" and busy >= BUSY * measured.cores):
        return (
            Limit.CPU,
            f"a job waits {seconds_text(among.runnable_s)} for a core among {top} "
            f"({seconds_text(alone.runnable_s)} alone); the workers had {cores} busy",
            None,
        )
    if most == "cpu":
        limit = Limit.CPU if full else Limit.SHARED_CORES
        return (
            limit,
            f"a job needs {among.cpu_s / max(alone.cpu_s, 1e-9):.1f} times the CPU seconds that it "
            f"needs alone; the workers had {cores} busy",
            None,
        )
    words = (
        f"a job waits {seconds_text(among.waiting_s)} among {top} ({seconds_text(alone.waiting_s)} "
        f"alone) for {_waited_in(measured.at(top))}, with {cores} busy"
    )
    if gained < ONE_AT_A_TIME:
        return Limit.LOCK, words, gained
    return (
        Limit.POOL,
        f"{words}: about {gained:.1f} are let through at once (or one lock is held for a share of "
        "each job)",
        gained,
    )


def spent(slices: Sequence[Slice]) -> Spent:
    """Where a job's time went, all workers of the slices together."""
    uses = [use for one in slices for use in one.uses]
    jobs = max(sum(one.jobs for one in uses), 1e-9)
    cpu = sum(one.cpu_s for one in uses) / jobs
    runnable = sum(one.runnable_s or 0.0 for one in uses) / jobs
    total = sum(one.seconds for one in uses) / jobs
    return Spent(cpu, runnable, max(0.0, total - cpu - runnable))


def _busy(slices: Sequence[Slice]) -> float:
    """Cores that the workers of a slice had busy."""
    return _mean(
        [sum(one.cpu_s / one.seconds for one in s.uses if one.seconds > 0) for s in slices]
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _waited_in(slices: Sequence[Slice]) -> str:
    """What the waits were for, as far as the calls of the system tell."""
    calls: Counter[str] = Counter()
    for one in slices:
        calls.update(one.waits)
    if not calls:
        return "something else than a core"
    name, _ = calls.most_common(1)[0]
    return _CALLS.get(name, f"something else than a core ({name})")
