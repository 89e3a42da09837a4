"""What legacy shows of a week: also of one in which most days are idle."""

from datetime import timedelta

import pytest

from rollout.pilot.profile import DAYS_KEPT, FinishedJob, LegacyProfile
from tests.builders import NOW

DAY_S = 86_400.0


def lived(days: int, jobs: dict[int, int], failed: int = 0) -> LegacyProfile:
    """A profile after so many days, with so many jobs on each weekday (0 is the first)."""
    profile = LegacyProfile()
    for day in range(days):
        at = NOW + timedelta(days=day)
        profile = profile.pass_time(at, DAY_S, 1)
        good = FinishedJob(at, True, 1.0, 1.0, False)
        bad = FinishedJob(at, False, None, 1.0, True)
        come = jobs.get(day % 7, 0)
        profile = profile.add([bad] * min(failed, come) + [good] * (come - min(failed, come)))
    return LegacyProfile.from_json(profile.to_json()).pass_time(
        NOW + timedelta(days=days), DAY_S, 1
    )


@pytest.mark.parametrize("today", range(7))
@pytest.mark.parametrize(
    ("jobs", "a_week"), [({0: 500}, 500), (dict.fromkeys(range(5), 100), 500), ({}, None)]
)
def test_idle_days_are_days_of_the_week(today: int, jobs: dict[int, int], a_week: int) -> None:
    """A pipeline of Mondays, and one of working days, whatever day it is asked on."""
    baseline = lived(14 + today, jobs).baseline
    assert (None if baseline is None else baseline.jobs_a_week) == a_week


def test_a_young_profile_counts_from_its_first_job() -> None:
    """What was before nobody knows: three days of 100 are 700 a week."""
    assert lived(3, dict.fromkeys(range(7), 100)).baseline.jobs_a_week == 700  # type: ignore[union-attr]  # it has one


def test_what_nobody_has_counted_is_no_idle_day() -> None:
    """The first jobs may be counted before the first day is; and a controller may be away."""
    good = FinishedJob(NOW, True, 1.0, 1.0, False)
    first = LegacyProfile().add([good] * 50).pass_time(NOW, DAY_S, 1)
    assert first.baseline is None
    next_day = first.add([good] * 100).pass_time(NOW + timedelta(days=1), DAY_S, 1)
    assert next_day.baseline is not None
    assert next_day.baseline.jobs_a_week == 700
    assert next_day.pass_time(NOW + timedelta(days=30), DAY_S, 1).baseline is None


def test_a_worker_whose_clock_runs_ahead_keeps_no_dead_legacy_alive() -> None:
    """A commit of next year was made now, and ages from now on."""
    ahead = FinishedJob(NOW + timedelta(days=365), True, 1.0, 1.0, False)
    profile = LegacyProfile().add([ahead]).pass_time(NOW, DAY_S, 1)
    hour = timedelta(hours=1)
    assert profile.pass_time(NOW + hour, DAY_S, 0).success_age(NOW + hour) == hour


def test_the_failure_rate_is_that_of_seven_days() -> None:
    """An idle day adds nothing, and what is a week old is forgotten."""
    profile = lived(7, {0: 100}, failed=10)
    assert profile.failure_rate is None, "the hundred were seven days ago"
    assert lived(DAYS_KEPT - 1, {0: 100}, failed=10).failure_rate == 0.1
