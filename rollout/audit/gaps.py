"""Gaps between the steps of one job, in which nobody works on it: nights, approvals, deadlines.

A gap is told by its transition (the step before and the step after). Three things that look alike
are kept apart: a regular hand-off (the next step begins at the same time of day, or after minutes
to days, for most jobs), a few enormous gaps, and a fixed term or a return after weeks. Only the
first is a hand-off; the others are counted and never summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import atan2, cos, hypot, pi, sin

from rollout.audit.job_log import DAY_S, JobLog, Status
from rollout.audit.load import Runs
from rollout.audit.ranks import quantile

GAPS_MIN = 5
LONG_S = 600.0
LONG_RUNS = 5.0
"""A gap counts when it is as long as this and as so many runs of its steps."""
COMMON = 0.3
WEEK_S = 7 * DAY_S
FIXED = 0.05
SAME_TIME = 0.9
"""Length of the mean direction of clock times: 1 is always the same time, 0 any time."""


class Pause(StrEnum):
    """What a transition's gaps are."""

    CLOCK = "regular"
    """The next step begins at the same time of day: a nightly batch, a shift."""
    PEOPLE = "irregular"
    """Minutes to days for most jobs: an approval, a person."""
    WEEKS = "weeks"
    """Mostly more than a week: a deadline, a return, a case that is opened again; no hand-off."""
    TERM = "fixed term"
    """Always the same length of a day or more: a waiting period that a rule sets."""
    EXCEPTION = "exceptional"
    """A few, far longer than what is usual for this transition."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The long gaps of one transition.

    Attributes:
        before, after: The steps.
        pause: What they are.
        count, of: Long gaps, of so many transitions.
        median_s, longest_s: Of the long ones.
        total_s: Their sum; 0 for what is never summed.
        clock_s: Seconds after midnight UTC at which the next step begins, when regular.
        idle: Share of them in the middle of which nothing at all ran.
        with_service: The log has ends only, so that the next step's own time is in the gap.
    """

    before: str
    after: str
    pause: Pause
    count: int
    of: int
    median_s: float
    longest_s: float
    total_s: float
    clock_s: float | None
    idle: float
    with_service: bool

    @property
    def hand_off(self) -> bool:
        """Whether it is one."""
        return self.pause in (Pause.CLOCK, Pause.PEOPLE)


@dataclass(slots=True)
class _Transition:
    gaps: list[float]
    starts: list[float]
    ends: list[float]
    runs: list[float]
    with_service: int = 0


def gaps_of(log: JobLog, rows: Sequence[int], runs: Runs, slots: int) -> list[Gap]:
    """The long gaps of all transitions, the largest sum first."""
    transitions: dict[tuple[int, int], _Transition] = {}
    for before, row in _pairs(log, rows):
        if log.status[before] == Status.RETRIED or (
            log.step[before] == log.step[row] and log.status[before] == Status.FAILED
        ):
            continue  # the time until a retry is set, nobody hands anything over
        queued, started = log.queued[row], log.started[row]
        begins = queued if queued == queued else started
        ends_only = begins != begins
        if ends_only:
            begins = log.ended[row]
        gap = begins - log.ended[before]
        if not gap >= 0:
            continue
        one = transitions.setdefault((log.step[before], log.step[row]), _Transition([], [], [], []))
        one.gaps.append(gap)
        one.starts.append(begins)
        one.ends.append(log.ended[before])
        one.with_service += ends_only
        if log.ended[row] >= started:
            one.runs.append(log.ended[row] - started)
    texts = log.steps.texts
    found = [
        judged
        for (before, after), one in transitions.items()
        if (judged := _judge(texts[before], texts[after], one, runs, slots)) is not None
    ]
    return sorted(found, key=lambda one: -one.total_s)


def _pairs(log: JobLog, rows: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Each run with the one that it came after: its latest parent, else the latest of its job."""
    if log.parents:
        for row in rows:
            parents = [one for one in log.parents.get(row, ()) if log.ended[one] == log.ended[one]]
            if parents:
                yield max(parents, key=log.ended.__getitem__), row
        return
    by_job: dict[int, list[int]] = {}
    for row in rows:
        if log.ended[row] == log.ended[row]:
            by_job.setdefault(log.job[row], []).append(row)

    def begin(row: int) -> float:
        started = log.started[row]
        return started if started == started else log.ended[row]

    for of_job in by_job.values():
        if len(of_job) < 2:
            continue
        of_job.sort(key=begin)
        for at in range(1, len(of_job)):
            row = of_job[at]
            earlier = [
                one for one in of_job[max(0, at - 8) : at] if log.ended[one] <= begin(row) + 1e-9
            ]
            if earlier:
                yield max(earlier, key=log.ended.__getitem__), row


def _judge(before: str, after: str, one: _Transition, runs: Runs, slots: int) -> Gap | None:
    usual_run = quantile(sorted(one.runs), 0.5) if one.runs else 0.0
    least = max(LONG_S, LONG_RUNS * usual_run)
    long = [at for at in range(len(one.gaps)) if one.gaps[at] >= least]
    if not long:
        return None
    # A gap in which the workers were busy with others is a queue, not a hand-off.
    levels = [runs.level((one.ends[at] + one.starts[at]) / 2) if len(runs) else 0 for at in long]
    if len(runs) and sum(level <= 0.5 * slots for level in levels) < 0.5 * len(long):
        return None
    gaps = sorted(one.gaps[at] for at in long)
    middle = quantile(gaps, 0.5)
    share = len(long) / len(one.gaps)
    pause, clock_s = Pause.EXCEPTION, None
    if share >= COMMON and len(long) >= GAPS_MIN:
        strength, clock_s = _clock([one.starts[at] for at in long])
        days = len({int(one.starts[at] // DAY_S) for at in long})
        spread = (quantile(gaps, 0.75) - quantile(gaps, 0.25)) / middle
        before_strength, _ = _clock([one.ends[at] for at in long])
        if middle > WEEK_S:
            pause = Pause.WEEKS
        elif middle >= 0.9 * DAY_S and spread < FIXED:
            pause = Pause.TERM
        elif strength >= SAME_TIME and days >= 3 and strength > before_strength:
            pause = Pause.CLOCK
        else:
            pause = Pause.PEOPLE
    if pause is not Pause.CLOCK:
        clock_s = None
    summed = sum(gaps) if pause in (Pause.CLOCK, Pause.PEOPLE) else 0.0
    idle = sum(level == 0 for level in levels) / len(long) if len(runs) else 0.0
    return Gap(
        before, after, pause, len(long), len(one.gaps), middle, gaps[-1], summed, clock_s, idle,
        one.with_service > 0.5 * len(one.gaps),
    )  # fmt: skip


def _clock(times: Sequence[float]) -> tuple[float, float]:
    """How much times agree on a time of day, 0..1, and which, in seconds after midnight UTC."""
    angles = [2 * pi * (one % DAY_S) / DAY_S for one in times]
    x, y = sum(map(cos, angles)) / len(angles), sum(map(sin, angles)) / len(angles)
    return hypot(x, y), (atan2(y, x) % (2 * pi)) / (2 * pi) * DAY_S
