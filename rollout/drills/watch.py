"""Watching one path: what is normal, what was seen lately, and the incident that lasts now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from rollout.drills.band import Band
from rollout.drills.baseline import NOTHING_KNOWN, Baseline, StoredBaseline
from rollout.drills.incident import Incident
from rollout.evidence.errors import BadProcess
from rollout.evidence.sample import BadTime, PathSample
from rollout.evidence.stored import Count, Flag, Stored, StoredAs, StoredRow, Time


@dataclass(frozen=True, slots=True)
class Rules:
    """When windows outside the band are an incident, and when it is over.

    Attributes:
        outside_min: So many windows outside ...
        of_last: ... among the last so many that say something, are an incident.
        inside_min: So many windows in a row inside end it.
        cap: An incident that lasts this long is given up on, and its level learnt as normal.
        settle: So long a new watch only learns: a path that was never seen by night or by day has
            no band.
        memory: The time whose windows say what is normal.

    Raises:
        BadProcess: A number outside 1..100, more windows outside than looked at, no cap, or a
            memory that is not twice as long as the settling.
    """

    outside_min: int = 3
    of_last: int = 5
    inside_min: int = 5
    cap: timedelta = timedelta(days=1)
    settle: timedelta = timedelta(days=1)
    memory: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        if not 1 <= self.outside_min <= self.of_last <= 100 or not 1 <= self.inside_min <= 100:
            raise BadProcess(
                "rules need 1 <= outside_min <= of_last <= 100 and 1 <= inside_min <= 100",
                (self.outside_min, self.of_last, self.inside_min),
                "use 3 of 5 outside and 5 in a row inside",
            )
        if self.cap <= timedelta(0):
            raise BadProcess("the cap must be positive", self.cap, "use a day")
        if not timedelta(0) <= 2 * self.settle <= self.memory or not self.memory:
            raise BadProcess(
                "the memory must be positive and at least twice as long as the settling",
                (self.settle, self.memory),
                "settle for a day and remember seven",
            )


RULES = Rules()
"""Three of five windows outside begin an incident, five in a row inside end it."""


@dataclass(frozen=True, slots=True)
class Seen(StoredRow):
    """A window that said something: when it began, whether it was outside, what finished."""

    start: Time
    outside: Flag
    jobs: Count
    failed: Count


@dataclass(frozen=True, slots=True)
class Watch(Stored):
    """The state of the watch over one path: a value, at most 5 KB of JSON.

    Attributes:
        at: End of the last window; the next one begins here. None before the first.
        baseline: What is normal; it stands still from the first window outside on.
        recent: The last windows that said something.
        inside: Windows in a row inside, counted while an incident lasts.
        inside_since: Start of the first of them.
        incident: The incident that lasts now.
    """

    at: Time | None = None
    baseline: Annotated[
        Baseline, StoredAs(StoredBaseline, StoredBaseline.baseline, StoredBaseline.of)
    ] = NOTHING_KNOWN
    recent: tuple[Seen, ...] = ()
    inside: Count = 0
    inside_since: Time | None = None
    # Stored watches call it by the name that incidents had.
    incident: Annotated[Incident | None, Field(alias="excursion")] = None

    @property
    def band(self) -> Band | None:
        """What is normal; None as long as too little is known."""
        return self.baseline.band


def observe(
    watch: Watch, sample: PathSample, rules: Rules = RULES
) -> tuple[Watch, Incident | None]:
    """Take in one window.

    A window in which no job finished says nothing, unless an open job is too old: it neither
    begins nor ends an incident. Until the band is known, windows are learnt and judged by nobody.

    Args:
        watch: The state so far; it is left as it is.
        sample: The next window. It begins where the last one ended, so take the ledger's figures
            since `watch.at`: then no time goes unseen, also when nobody looked for an hour.
        rules: The same for all windows of a watch.

    Returns:
        The next state, and the incident when this window began or ended it, else None; what
        lasts is `watch.incident`.

    Raises:
        BadTime: The window does not end after the last one: a clock went backwards, or the
            window was taken in before.
    """
    if watch.at is not None and sample.at <= watch.at:
        raise BadTime(
            f"a window must end after the last one ({watch.at.isoformat()})",
            sample.at.isoformat(),
            "leave it out; the next window that ends later goes on from there",
        )
    start = watch.at or sample.at
    band = watch.band
    lately = watch.recent[max(0, len(watch.recent) + 1 - rules.of_last) :]
    why = None if band is None else _why_outside(band, sample, lately)
    after = replace(watch, at=sample.at)
    if sample.jobs > 0 or why is not None:
        times = Seen(start, why is not None, sample.jobs, sample.failed)
        after = replace(after, recent=(*watch.recent, times)[-rules.of_last :])
    if watch.incident is not None:
        return _while_it_lasts(after, watch.incident, sample, start, why, rules)
    return _while_normal(after, sample, why, rules)


def _while_normal(
    watch: Watch, sample: PathSample, why: str | None, rules: Rules
) -> tuple[Watch, Incident | None]:
    outside = [seen.start for seen in watch.recent if seen.outside]
    if why is not None and len(outside) >= rules.outside_min:
        begun = Incident(outside[0], sample.at, None, None, why)
        return replace(watch, incident=begun), begun
    if not outside and sample.jobs > 0:
        watch = replace(watch, baseline=watch.baseline.learn(sample, rules.settle, rules.memory))
    return watch, None


def _while_it_lasts(
    watch: Watch,
    incident: Incident,
    sample: PathSample,
    start: datetime,
    why: str | None,
    rules: Rules,
) -> tuple[Watch, Incident | None]:
    if why is not None:
        watch = replace(watch, inside=0, inside_since=None)
    elif sample.jobs > 0:
        since = watch.inside_since or start
        watch = replace(watch, inside=watch.inside + 1, inside_since=since)
        if watch.inside >= rules.inside_min:
            return _end(watch, replace(incident, recovered_at=since), "It was back inside after")
    if sample.at - incident.onset_at >= rules.cap:
        given_up = replace(incident, gave_up_at=sample.at)
        watch = replace(watch, baseline=NOTHING_KNOWN)
        return _end(watch, given_up, "It had not recovered at the cap, after")
    return watch, None


def _end(watch: Watch, ended: Incident, how: str) -> tuple[Watch, Incident]:
    ended = replace(ended, sentence=f"{ended.sentence} {how} {ended.recovery_s:.6g} s.")
    return replace(watch, recent=(), inside=0, inside_since=None, incident=None), ended


def _why_outside(band: Band, sample: PathSample, lately: Sequence[Seen]) -> str | None:
    """Judge a window by itself, and its failures together with those of calm windows before it.

    With a job or two in each window no window alone can show that all jobs fail.
    """
    why = band.why_outside(sample)
    if why is not None or sample.failed == 0:
        return why
    calm = [seen for seen in lately if not seen.outside]
    together = replace(
        sample,
        jobs=sample.jobs + sum(seen.jobs for seen in calm),
        failed=sample.failed + sum(seen.failed for seen in calm),
    )
    return band.why_outside(together)
