"""Rules about the calendars: they must leave a moment to advance in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from rollout.policy.calendars import SEARCH_DAYS, WEEKDAYS, zone_named
from rollout.policy.lint.finding import Level, PolicyFinding, Subject
from rollout.policy.policy import Policy, next_free

FREEZE_DAYS_MAX = 60
"""A freeze that lasts longer is more likely a wrong year."""

FREE_MINUTES_MIN = 60
"""Less of a week than this is easily missed by a look."""

MINUTES_A_DAY = 24 * 60


def calendar(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """Calendars must leave a moment to advance in."""
    policy = subject.policy
    free = _free_minutes(policy)
    if free < FREE_MINUTES_MIN:
        yield PolicyFinding(
            Level.WARNING if free else Level.ERROR,
            "always_quiet",
            f"The quiet times leave {free} minutes of a week: "
            + ("an advance is easily missed." if free else "nothing will ever advance."),
            "leave some working hours free",
        )
    elif next_free(policy, now) is None:
        yield PolicyFinding(
            Level.ERROR,
            "always_frozen",
            f"Freezes and quiet times leave no moment in the next {SEARCH_DAYS} days.",
            "end a freeze earlier; use `rollout freeze NAME` to stop one sub-pipeline",
        )
    for freeze in policy.freezes:
        begin, end = freeze.span(zone_named(policy.zone))
        what = f"The freeze from {freeze.begin:%Y-%m-%d %H:%M} to {freeze.end:%Y-%m-%d %H:%M}"
        if end <= now:
            yield PolicyFinding(
                Level.ADVICE, "freeze_over", f"{what} is over.", "remove it or move it to this year"
            )
        elif end - begin > timedelta(days=FREEZE_DAYS_MAX):
            yield PolicyFinding(
                Level.WARNING,
                "long_freeze",
                f"{what} lasts {(end - begin).days} days; drills expire after"
                f" {policy.drills_max_age_days:g} days, so recovery is proved anew after it.",
                "check the years of begin and end",
            )


def _free_minutes(policy: Policy) -> int:
    """Minutes of an ordinary week in which no quiet time is in force."""
    free = 0
    for day in WEEKDAYS:
        taken = [False] * MINUTES_A_DAY
        for quiet in policy.quiet:
            if day in quiet.days:
                begin, end = quiet.minutes
                taken[begin:end] = [True] * (end - begin)
        free += taken.count(False)
    return free
