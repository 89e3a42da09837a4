"""The runs of a job system in columns, whatever file they came from.

One row is one run of one step: an attempt of a Celery task, a span, an action of a build. Times are
seconds since 1970 (or since the trace began), durations seconds; NaN is "this input does not say".
Columns are arrays: a million rows take about 110 MB. When more than `RUNS_MAX` rows come in, the
oldest are dropped and stay counted: a log of any length streams.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from rollout.errors import RolloutError

NAN = float("nan")
RUNS_MAX = 1_000_000
"""Rows kept for the analysis; the newest ones."""
EXAMPLES_MAX = 5
"""Line numbers kept for each kind of problem."""
CLOCK_BACK = "the clock jumps back"
TWICE = "a run in a span that the clock shows twice"
DAY_S = 86_400.0
_TIMES = ("queued", "received", "started", "ended")
_SECONDS = ("cpu", "waited", "size")
_CODES = ("job", "step", "worker", "resource", "capture")


class BadAudit(RolloutError):
    """A file that cannot be audited; nothing was written."""


class Status(IntEnum):
    """How a run ended."""

    DONE = 0
    """It succeeded."""
    FAILED = 1
    """It raised, ran out of time or lost its process."""
    RETRIED = 2
    """It asked to be run again."""
    REVOKED = 3
    """It was dropped before it ran."""
    OPEN = 4
    """Its end is not in this log."""


class Names:
    """Texts as small numbers; equal texts have one number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self.texts)

    def number(self, text: str) -> int:
        """The number of a text, a new one if it is new."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def nameless(self) -> int:
        """A number of its own for what nobody will ask for by name."""
        self.texts.append("")
        return len(self.texts) - 1


@dataclass(slots=True)
class Problem:
    """Something in the input that cannot be right: counted, never guessed.

    Attributes:
        count: How often.
        where: The first places, as "file line N".
    """

    count: int = 0
    where: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Phase:
    """A named part of a capture, in seconds on the capture's own clock."""

    name: str
    begins: float
    ends: float


@dataclass(slots=True)
class Capture:
    """What one input says about itself as a whole.

    Attributes:
        name: The file.
        kind: What it is: "worker log", "chrome trace", ...
        clock: Whether its times are dates; a trace counts from its own beginning.
        phases: Parts of it, in order; a build loads and analyses before it executes.
        critical_path_s: The critical path as the input itself states it.
        slots: Workers as the input itself states them.
        span: A part of it to look at alone, from and to; None is all of it.
        given: The file as it was named, to be typed again.
        whole_seconds: Whether its times have no parts of a second.
        cores: Cores that the machine had busy meanwhile, as the input states it.
    """

    name: str
    kind: str
    clock: bool = True
    phases: list[Phase] = field(default_factory=list)
    critical_path_s: float | None = None
    slots: int | None = None
    span: tuple[float, float] | None = None
    cores: float | None = None
    given: str = ""
    whole_seconds: bool = False


class JobLog:
    """Columns of runs, with what was wrong in the input and what it cannot tell."""

    def __init__(self, runs_max: int = RUNS_MAX) -> None:
        self.job, self.step, self.worker = array("l"), array("l"), array("l")
        self.resource, self.capture = array("l"), array("l")
        self.queued, self.received = array("d"), array("d")
        self.started, self.ended = array("d"), array("d")
        self.cpu, self.waited, self.size = array("d"), array("d"), array("d")
        self.status = array("b")
        self.jobs, self.steps, self.workers, self.resources = Names(), Names(), Names(), Names()
        self.captures: list[Capture] = []
        self.parents: dict[int, tuple[int, ...]] = {}
        self.labels: dict[int, str] = {}
        self.problems: dict[str, Problem] = {}
        self.notes: Counter[str] = Counter()
        self.dropped = 0
        self.arrivals_by_day: Counter[int] = Counter()
        self._runs_max = runs_max

    def __len__(self) -> int:
        """How many rows are kept."""
        return len(self.step)

    def add(
        self,
        job: int,
        step: int,
        worker: int = -1,
        *,
        queued: float = NAN,
        received: float = NAN,
        started: float = NAN,
        ended: float = NAN,
        status: int = 0,
        resource: int = -1,
        cpu: float = NAN,
        waited: float = NAN,
        size: float = NAN,
    ) -> int:
        """Append a run; names are given by their numbers, -1 is none. Returns its row."""
        self.job.append(job)
        self.step.append(step)
        self.worker.append(worker)
        self.resource.append(resource)
        self.capture.append(len(self.captures) - 1)
        self.queued.append(queued)
        self.received.append(received)
        self.started.append(started)
        self.ended.append(ended)
        self.cpu.append(cpu)
        self.waited.append(waited)
        self.size.append(size)
        self.status.append(status)
        came = queued if queued == queued else received if received == received else started
        if came == came:
            self.arrivals_by_day[int(came // DAY_S)] += 1
        if len(self.step) >= 2 * self._runs_max and not self.parents:
            self._drop(len(self.step) - self._runs_max)
        return len(self.step) - 1

    def _drop(self, rows: int) -> None:
        for name in (*_CODES, *_TIMES, *_SECONDS, "status"):
            del getattr(self, name)[:rows]
        self.dropped += rows

    def wrong(self, kind: str, where: str) -> None:
        """Count something that cannot be right."""
        problem = self.problems.setdefault(kind, Problem())
        problem.count += 1
        if len(problem.where) < EXAMPLES_MAX and where not in problem.where:
            problem.where.append(where)

    def rows_with_run(self) -> Iterator[int]:
        """Rows whose start and end are both known."""
        started, ended = self.started, self.ended
        return (row for row in range(len(started)) if ended[row] >= started[row])

    def known(self, name: str) -> float:
        """Share of rows, 0..1, for which a column is known."""
        column: array[float] = getattr(self, name)
        if not column:
            return 0.0
        if column.typecode == "l":
            return sum(one >= 0 for one in column) / len(column)
        return sum(one == one for one in column) / len(column)

    def order_by_start(self, rows: Iterable[int]) -> list[int]:
        """Rows, the earliest start first."""
        return sorted(rows, key=self.started.__getitem__)
