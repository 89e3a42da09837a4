"""The bulk of a week's jobs, as counts; the few that are simulated one by one are on top.

A verdict needs thousands of jobs, and to take each through queue, gate and claim would cost all the
weeks that the simulation is for. So the ledger's evidence is a function of time and seed: how many
jobs were admitted between two times, and how they went. What a week is like is drawn once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

from rollout.evidence.thresholds import Thresholds
from rollout.pilot.ports import HourRow, WindowRow
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial
from rollout.routing.decision import JobPath
from tests.hand_clock import START
from tests.simulation.limits import WEEK_S


class Weather(StrEnum):
    """What a week is like for one sub-pipeline."""

    GOOD = "good"
    """Both paths fail alike."""
    BAD = "bad"
    """The concurrent path fails half of its jobs."""
    NONE = "none"
    """No job arrives."""
    FEW = "few"
    """Too few jobs to prove anything."""


_CHANCES = (*[Weather.GOOD] * 7, Weather.BAD, Weather.NONE, Weather.FEW)
_JOBS = {Weather.GOOD: 300_000, Weather.BAD: 300_000, Weather.NONE: 0, Weather.FEW: 8}
_FAILS_LEGACY = 0.02
_FAILS = {Weather.GOOD: 0.02, Weather.BAD: 0.5, Weather.NONE: 0.0, Weather.FEW: 0.0}
_SLOW = {JobPath.LEGACY: (0.5, 0.05), JobPath.CONCURRENT: (0.45, 0.04)}
"""Shares beyond legacy's median and tail; the concurrent path's thresholds lie a margin higher."""
_SETTLE_S = 60.0
_HOURS = 3


@dataclass
class Bulk:
    """Counts of one run; none at all unless it `flows`."""

    seed: int
    flows: bool = True

    def weather(self, name: str, week: int) -> Weather:
        """What a week is like; without a flow no bulk arrives in any."""
        if not self.flows:
            return Weather.NONE
        return Random(f"{self.seed}/{name}/{week}").choice(_CHANCES)

    def windows(self, trials: list[Trial], now: datetime) -> list[WindowRow]:
        """What was admitted since each trial's last window, as one window for each week."""
        rows = []
        for trial in trials:
            ripe = now - timedelta(seconds=_SETTLE_S)
            for begin, end, weather in self._spans(trial.name, trial.scored_to, ripe):
                rows += [
                    WindowRow(trial.name, path, begin, end, jobs, jobs, failed, 0, 0, 0, 0)
                    for path, jobs, failed in self._counts(trial, begin, end, weather)
                ]
        return sorted(rows, key=lambda row: (row.begin, row.name, row.path))

    def hours(self, trial: Trial, now: datetime) -> list[HourRow]:
        """All of a step; a week's jobs are spread over a few of its hours, which is cheaper."""
        rows = []
        for begin, end, weather in self._spans(trial.name, trial.began_at, now):
            first = int((begin - trial.began_at).total_seconds() // 3600)
            for part in range(_HOURS):
                span = (end - begin) / _HOURS
                at = begin + part * span
                for path, jobs, failed in self._counts(trial, at, at + span, weather):
                    slow, slowest = (round(jobs * share) for share in _SLOW[path])
                    rows.append(HourRow(first + part, path, jobs, failed, 0, 0, slow, slowest))
        return rows

    def profile(self, held: LegacyProfile, now: datetime) -> LegacyProfile:
        """What legacy shows: it could carry everything, and has committed a moment ago."""
        return replace(
            held,
            thresholds=Thresholds(300, 400),
            days=((held.day, 10_000, round(10_000 * _FAILS_LEGACY)),),
            peak_per_s=1_000.0,
            finish_per_s=1.0,
            success_at=now.timestamp(),
        )

    def _spans(
        self, name: str, begin: datetime, end: datetime
    ) -> Iterator[tuple[datetime, datetime, Weather]]:
        """Cut a time at the ends of weeks."""
        while self.flows and begin < end:
            week = int((begin - START).total_seconds() // WEEK_S)
            over = START + timedelta(seconds=(week + 1) * WEEK_S)
            yield begin, min(over, end), self.weather(name, week)
            begin = over

    def _counts(
        self, trial: Trial, begin: datetime, end: datetime, weather: Weather
    ) -> list[tuple[JobPath, int, int]]:
        """Jobs and failures of both paths: a share of the week's, split as the scope says."""
        jobs = _JOBS[weather] * (end - begin).total_seconds() / WEEK_S
        scope = trial.identity.scope_bp / 10_000
        new, old = round(jobs * scope), round(jobs * (1 - scope))
        return [
            (JobPath.CONCURRENT, new, round(new * _FAILS[weather])),
            (JobPath.LEGACY, old, round(old * _FAILS_LEGACY)),
        ]
