"""Synthetic job systems with a known bottleneck: a simulation that writes a job log."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from rollout.audit.job_log import NAN, Capture, JobLog

DAY = 86_400.0
MONDAY = 1_780_272_000.0
"""2026-06-01 00:00 UTC."""


@dataclass
class System:
    """Workers that take jobs in order; each run may need one of `holds` of something for a while.

    Attributes:
        workers: How many run at once.
        free_s: Run time outside of what is shared.
        held_s: Run time while holding it.
        holds: How many can hold it at once; None is nothing shared.
        cores: Runs share so many cores; None is enough of them.
        size: Input size of a job; run times are multiplied by it.
    """

    workers: int
    free_s: Callable[[Random], float]
    held_s: Callable[[Random], float] = lambda random: 0.0
    holds: int | None = None
    size: Callable[[Random], float] | None = None
    turn_s: float = 0.0
    random: Random = field(default_factory=lambda: Random(1))

    def run(
        self, arrivals: Sequence[float], sizes: Sequence[float] | None = None
    ) -> list[tuple[float, float, float, float, int]]:
        """Arrival, start, end, size and worker of each job."""
        random = self.random
        events: list[tuple[float, int, str, int]] = []
        for number, at in enumerate(arrivals):
            heappush(events, (at, number, "came", number))
        free = list(range(self.workers))
        waiting: deque[int] = deque()
        for_hold: deque[int] = deque()
        holders = 0
        started: dict[int, float] = {}
        worker_of: dict[int, int] = {}
        size_of = [
            sizes[n] if sizes else self.size(random) if self.size else 1.0
            for n in range(len(arrivals))
        ]
        done: list[tuple[float, float, float, float, int]] = []
        count = len(arrivals)

        def begin(number: int, now: float) -> None:
            nonlocal count
            worker_of[number] = free.pop(0)
            started[number] = now + self.turn_s
            count += 1
            heappush(
                events,
                (started[number] + self.free_s(random) * size_of[number], count, "asks", number),
            )

        while events:
            now, _, what, number = heappop(events)
            if what == "came":
                waiting.append(number)
            elif what == "asks":
                for_hold.append(number)
            elif what == "done":
                holders -= 1
                done.append(
                    (arrivals[number], started[number], now, size_of[number], worker_of[number])
                )
                free.append(worker_of[number])
            while for_hold and (self.holds is None or holders < self.holds):
                one = for_hold.popleft()
                holders += 1
                count += 1
                heappush(events, (now + self.held_s(random) * size_of[one], count, "done", one))
            while waiting and free:
                begin(waiting.popleft(), now)
        return done


def log_of(
    runs: Sequence[tuple[float, float, float, float, int]],
    *,
    step: str = "work",
    sized: bool = False,
    queued: bool = True,
    cpu: float | None = None,
) -> JobLog:
    """A job log of a system's runs."""
    log = JobLog()
    log.captures.append(Capture("synthetic", "rows"))
    for came, start, end, size, worker in sorted(runs, key=lambda one: one[1]):
        log.add(
            log.jobs.nameless(), log.steps.number(step), log.workers.number(str(worker)),
            queued=came if queued else NAN, started=start, ended=end, size=size if sized else NAN,
            cpu=NAN if cpu is None else cpu,
        )  # fmt: skip
    return log


def poisson(rate: float, seconds: float, random: Random, begin: float = MONDAY) -> list[float]:
    """Arrivals at random at a rate a second."""
    at, times = begin, []
    while at < begin + seconds:
        at += random.expovariate(rate)
        times.append(at)
    return times


def waves(low: float, high: float, period_s: float, seconds: float, random: Random) -> list[float]:
    """Arrivals whose rate goes up and down."""
    times, at = [], MONDAY
    while at < MONDAY + seconds:
        phase = ((at - MONDAY) % period_s) / period_s
        rate = low + (high - low) * (1 - abs(2 * phase - 1))
        at += random.expovariate(rate)
        times.append(at)
    return times


def constant(seconds: float) -> Callable[[Random], float]:
    """Always as long."""
    return lambda random: seconds


def about(seconds: float, spread: float = 0.2) -> Callable[[Random], float]:
    """Around this long."""
    return lambda random: max(seconds * 0.1, random.gauss(seconds, spread * seconds))


def lognormal(median: float, sigma: float) -> Callable[[Random], float]:
    """A long tail."""
    return lambda random: median * random.lognormvariate(0.0, sigma)


def seeds() -> Iterator[int]:
    """Seeds of the repeated trials."""
    return iter(range(1, 6))
