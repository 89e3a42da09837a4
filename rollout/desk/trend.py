"""Both paths over time, from stored jobs, with what happened to the sub-pipeline marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import percent
from rollout.drills.ports import DrillEvent, Journals
from rollout.jobs.recent import PacedJob, RecentJobs
from rollout.pilot.ports import Recovery
from rollout.routing.decision import JobPath
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import Event

JOBS_MAX = 3_000
"""Newest jobs that are drawn: sixty to a point, and read within some 25 ms."""

BINS = 48
SPAN_MIN = timedelta(minutes=1)
_MARKS = 200
_RECOVERIES = timedelta(days=90)


class TrendLedger(RecentJobs, Journals, Protocol):
    """The ledger, as far as curves are drawn from it. All raise LedgerUnreachable."""

    def transitions(self, name: str, limit: int) -> list[TransitionRecord]:
        """Read the log of changes, newest first. Raises UnknownSubPipeline."""
        ...

    def recoveries(self, name: str | None, since: datetime) -> list[Recovery]:
        """Read recoveries that ended at or after `since`, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """Jobs of one path admitted in one span.

    `median_s` and `tail_s` (95 of 100 were faster) are of finished jobs; None without one.
    """

    begin: datetime
    end: datetime
    path: JobPath
    jobs: int
    finished: int
    hurt: int
    median_s: float | None
    tail_s: float | None

    @property
    def error_rate(self) -> float | None:
        """Share of the finished jobs that the path failed, 0..1; None without one."""
        return None if not self.finished else self.hurt / self.finished


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened; `kind` is `step`, `kill`, `revert`, `drill` or `change`."""

    at: datetime
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Trend:
    """Both paths from `since` to `until`.

    `whole` is False where older jobs were left out, because there are more than are drawn.
    """

    name: str
    since: datetime
    until: datetime
    points: tuple[Point, ...]
    marks: tuple[Mark, ...]
    recoveries: tuple[Recovery, ...]
    jobs: int
    whole: bool

    def of(self, path: JobPath) -> list[Point]:
        """The points of one path, in order of time."""
        return [one for one in self.points if one.path is path]

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "name": self.name,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "whole": self.whole,
            "points": [{**plain_json(one), "error_rate": one.error_rate} for one in self.points],
            "marks": [plain_json(one) for one in self.marks],
            "recoveries": [plain_json(one) for one in self.recoveries],
        }


def read_trend(ledger: TrendLedger, name: str, span: timedelta | None, now: datetime) -> Trend:
    """Read the curves of a sub-pipeline.

    Args:
        ledger: The truth.
        name: The sub-pipeline.
        span: How far back; None for as long as the newest jobs reach.
        now: Aware time.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: They cannot be read.
    """
    since = None if span is None else now - span
    changes = ledger.transitions(name, _MARKS)
    paced = ledger.paced_jobs(name, since, JOBS_MAX)
    oldest = min((one.accepted_at for one in paced), default=now - SPAN_MIN)
    begin = min(since or oldest, now - SPAN_MIN)
    if since is not None and len(paced) == JOBS_MAX:
        begin = oldest
    marks = [*_changes(changes), *_drills(ledger.drills(name, 50))]
    return Trend(
        name,
        begin,
        now,
        tuple(_points(paced, begin, now)),
        tuple(sorted((one for one in marks if one.at >= begin), key=lambda one: one.at)),
        tuple(ledger.recoveries(name, now - _RECOVERIES)),
        len(paced),
        len(paced) < JOBS_MAX,
    )


def _points(paced: Sequence[PacedJob], begin: datetime, end: datetime) -> list[Point]:
    width = (end - begin) / BINS
    binned: dict[tuple[int, JobPath], list[PacedJob]] = {}
    for one in paced:
        index = min(BINS - 1, max(0, int((one.accepted_at - begin) / width)))
        binned.setdefault((index, one.path), []).append(one)
    points = []
    for (index, path), jobs in sorted(binned.items()):
        times = sorted(one.cycle_s for one in jobs if one.cycle_s is not None)
        points.append(
            Point(
                begin + index * width,
                begin + (index + 1) * width,
                path,
                len(jobs),
                len(times),
                sum(one.hurt for one in jobs if one.cycle_s is not None),
                _quantile(times, 0.5),
                _quantile(times, 0.95),
            )
        )
    return points


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value under which this share lies, by the nearest rank."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


_KINDS = {Event.KILL: "kill", Event.REVERT: "revert"}


def _changes(records: Sequence[TransitionRecord]) -> list[Mark]:
    marks = []
    for one in records:
        kind = _KINDS.get(one.event, "change")
        sentence = f"{one.event} by {one.actor}"
        if kind == "change" and one.before.scope_bp != one.after.scope_bp:
            kind = "step"
            sentence += f": {percent(one.before.scope_bp)} to {percent(one.after.scope_bp)}"
        marks.append(Mark(one.at, kind, sentence))
    return marks


def _drills(events: Sequence[DrillEvent]) -> list[Mark]:
    return [
        Mark(one.at, "drill", f"drill {one.facts.get('fault', '')} on {one.facts.get('path', '')}")
        for one in events
        if one.what == "declared"
    ]
