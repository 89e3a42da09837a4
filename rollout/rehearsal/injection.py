"""A regression put into a stream of jobs: from some day on the concurrent path gets worse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from rollout.errors import RolloutError
from rollout.rehearsal.job_stream import JobStream

SLOW_MAX = 1000.0
"""More than a thousand times slower is no slow-down but a hang, which fails."""

_WORDS = re.compile(r"(?:at=)?day\s+(?P<day>\S+)|(?P<key>[\w-]+)(?:=(?P<value>\S+))?")
_PURPOSE = 1
_HINT = "write 'at=day 9.5 errors=0.05', 'at=day 9.5 slow=1.25' or 'at=day 9.5 all-fail'"


class BadInjection(RolloutError):
    """An injected regression that cannot be read."""

    def __init__(self, what: str) -> None:
        super().__init__(what, _HINT)


@dataclass(frozen=True, slots=True)
class Injection:
    """What the concurrent path becomes.

    Attributes:
        day: Days after the trial's start.
        errors: Share of its jobs that fail from then on; None leaves failures as they are.
        slow: Its times become this many times longer.
    """

    day: float
    errors: float | None = None
    slow: float = 1.0

    def at(self, start: datetime, day_s: float) -> datetime:
        """When it begins, for a trial that began at `start` with days of `day_s` seconds."""
        return start + timedelta(seconds=self.day * day_s)

    def into(self, stream: JobStream, at: datetime) -> JobStream:
        """The stream with the regression in every job admitted from `at` on."""
        hurt = stream.since(at)
        failed, taken = stream.concurrent_failed, stream.concurrent_us
        if self.errors is not None:
            failed = failed.copy()
            failed[hurt] = stream.chances(_PURPOSE)[hurt] < self.errors
        if self.slow != 1.0:
            taken = taken.copy()
            taken[hurt] = np.rint(taken[hurt] * self.slow).astype(np.int64)
        return stream.with_concurrent(taken, failed)

    def __str__(self) -> str:
        """As a person says it."""
        said = []
        if self.errors is not None:
            said.append(
                "every concurrent job fails"
                if self.errors >= 1
                else f"{100 * self.errors:g} % of concurrent jobs fail"
            )
        if self.slow != 1.0:
            said.append(f"concurrent jobs take {self.slow:g} times as long")
        return f"from day {self.day:g} on " + " and ".join(said)


def parse_injection(text: str) -> Injection:
    """Read `at=day 9.5 errors=0.05`.

    Raises:
        BadInjection: It has no day, nothing that gets worse, or a value out of range.
    """
    day: float | None = None
    errors: float | None = None
    slow = 1.0
    for word in _WORDS.finditer(text):
        key, value = word["key"], word["value"]
        if word["day"] is not None:
            day = _number("day", word["day"], 0.0, 3650.0)
        elif key == "errors":
            errors = _number(key, value, 0.0, 1.0)
        elif key == "slow":
            slow = _number(key, value, 1.0, SLOW_MAX)
        elif key == "all-fail" and value is None:
            errors = 1.0
        else:
            raise BadInjection(f"an injection has a day, errors, slow or all-fail, got {word[0]!r}")
    if day is None:
        raise BadInjection(f"an injection needs the day it begins, got {text!r}")
    if errors is None and slow == 1.0:
        raise BadInjection(f"an injection needs something that gets worse, got {text!r}")
    return Injection(day, errors, slow)


def _number(key: str, text: str | None, low: float, high: float) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise BadInjection(f"{key} must be {low:g}..{high:g}, got {text!r}")
    return value
