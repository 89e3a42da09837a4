"""Calendars: when no advance may happen, by the wall clock of one zone.

A freeze is a span between two local times; a quiet time comes again each week. Neither ever holds
a revert. Where a local time does not exist or comes twice, because clocks are put forward or back,
a freeze errs on the long side: it begins at the earliest instant that its `begin` can mean and
ends at the latest one that its `end` can mean. A quiet time is in force whenever the wall clock
shows it, so an hour that comes twice is quiet twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rollout.errors import RolloutError

YEARS = range(2000, 3000)
"""Years a freeze may lie in; near the ends of the calendar an offset leaves it."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Names of the days, in the order of `datetime.weekday`."""

SEARCH_DAYS = 400
"""How far ahead a free moment is looked for: past a year's end and a quiet week after it."""

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class NaiveTime(RolloutError):
    """A time without a zone, which names no instant."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        super().__init__(
            f"a calendar needs a time with a zone, got {at.isoformat()}",
            "pass the clock's time, which is UTC",
        )


def _local(value: Any) -> Any:
    """Refuse what would be taken for a local time and is none."""
    whole_day = isinstance(value, date) and not isinstance(value, datetime)
    if whole_day or (isinstance(value, str) and len(value) <= len("2026-12-20")):
        raise ValueError("a local time is needed, not only a day: 2026-12-20T00:00:00")
    if isinstance(value, int | float):
        raise ValueError("a local time is needed: 2026-12-20T00:00:00")
    return value


def _wall(value: Any) -> Any:
    """Take TOML's own times, and refuse what is no time of day."""
    if isinstance(value, time):
        if value.second or value.microsecond or value.tzinfo:
            raise ValueError("a time of day is HH:MM, without seconds or offset")
        value = f"{value:%H:%M}"
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("a time of day is HH:MM, from 00:00 to 24:00")
    return value


LocalTime = Annotated[datetime, BeforeValidator(_local)]
WallTime = Annotated[str, BeforeValidator(_wall)]


class Freeze(BaseModel):
    """A span in which nothing advances, between two local times of the policy's zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    begin: LocalTime = Field(description="First local time that is frozen, without an offset.")
    end: LocalTime = Field(description="First local time that is free again.")
    why: str = Field(default="", description="What people are told.")

    @model_validator(mode="after")
    def _fits(self) -> Freeze:
        for name in ("begin", "end"):
            at: datetime = getattr(self, name)
            if at.tzinfo is not None:
                raise ValueError(
                    f"{name} is local time of the policy's zone and has no offset; leave it out"
                )
            if at.year not in YEARS:
                raise ValueError(f"{name} must lie in {YEARS[0]}..{YEARS[-1]}")
        if self.end <= self.begin:
            raise ValueError("end must come after begin")
        return self

    def span(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """The first frozen instant and the first free one, in UTC; the long side in doubt."""
        return min(instants(self.begin, zone)), max(instants(self.end, zone))


class Quiet(BaseModel):
    """A time that comes each week in which nothing advances, by the policy's zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: tuple[Weekday, ...] = Field(description="Days it comes on: mon, tue .. sun.")
    begin: WallTime = Field(default="00:00", description="First minute that is quiet, HH:MM.")
    end: WallTime = Field(default="24:00", description="First free minute; 24:00 is midnight.")

    @model_validator(mode="after")
    def _fits(self) -> Quiet:
        if not self.days:
            raise ValueError("days must name at least one day")
        if self.end <= self.begin:
            raise ValueError("end must come after begin; write a night as two quiet times")
        return self

    def covers(self, local: datetime) -> bool:
        """Whether the wall clock shows a quiet time."""
        begin, end = self.minutes
        shown = 60 * local.hour + local.minute
        return begin <= shown < end and WEEKDAYS[local.weekday()] in self.days

    @property
    def minutes(self) -> tuple[int, int]:
        """First quiet and first free minute of the day, 0..1440."""
        begin, end = (60 * int(text[:2]) + int(text[3:]) for text in (self.begin, self.end))
        return begin, end

    def ends(self, local: datetime, zone: tzinfo) -> datetime:
        """The instant at which the quiet time that covers `local` is over, in UTC."""
        midnight = datetime.combine(local.date(), time())
        return max(instants(midnight + timedelta(minutes=self.minutes[1]), zone))

    def __str__(self) -> str:
        """The days and the span, as people say them."""
        return f"{', '.join(self.days)} {self.begin}-{self.end}"


FRIDAY_AFTERNOON = Quiet(days=("fri",), begin="12:00", end="24:00")
"""Nobody wants a weekend with a fresh step."""


def instants(local: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The instants a local time can mean, in UTC: the same one twice, except near a clock change.

    A time that comes twice means both. A time that is skipped means the instant it would have
    been by the offset before the change, or by the one after it.
    """
    before = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    after = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return before, after


def zone_named(name: str) -> ZoneInfo:
    """Find a time zone.

    Raises:
        ValueError: There is no such IANA zone; says which one may be meant.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no name at all; a folder of zones
        known = {zone.casefold(): zone for zone in available_timezones()}
        close = get_close_matches(name.casefold(), known, n=1)
        guess = f", did you mean {known[close[0]]!r}?" if close else ""
        raise ValueError(f"no time zone {name!r}{guess}") from None


def blocked(
    zone: ZoneInfo, freezes: Iterable[Freeze], quiet: Iterable[Quiet], now: datetime
) -> tuple[datetime, str] | None:
    """Find what holds an advance now.

    Args:
        zone: Whose wall time counts.
        freezes: Spans; of those in force the one that ends last is named.
        quiet: Times of the week; a freeze is named before them.
        now: An aware time.

    Returns:
        The instant it ends, in UTC, and a sentence without its end; None when nothing holds.

    Raises:
        NaiveTime: `now` has no zone.
    """
    if now.tzinfo is None:
        raise NaiveTime(now)
    spans = ((*freeze.span(zone), freeze.why) for freeze in freezes)
    frozen = [(end, why) for begin, end, why in spans if begin <= now < end]
    if frozen:
        end, why = max(frozen)
        return end, f"frozen until {_shown(end, zone)}{': ' + why if why else ''}"
    local = now.astimezone(zone)
    held = [(one.ends(local, zone), one) for one in quiet if one.covers(local)]
    if held:
        end, one = max(held, key=lambda pair: pair[0])
        return end, f"quiet until {_shown(end, zone)}: no advance on {one}"
    return None


def free_from(
    zone: ZoneInfo, freezes: tuple[Freeze, ...], quiet: tuple[Quiet, ...], now: datetime
) -> datetime | None:
    """The first instant from `now` on at which nothing holds, in UTC; None in 400 days of none.

    Raises:
        NaiveTime: `now` has no zone.
    """
    at = now
    while (holds := blocked(zone, freezes, quiet, at)) is not None:
        # A freeze written for decades is skipped in one step, so the end is always near.
        at = holds[0]
        if at - now > timedelta(days=SEARCH_DAYS):
            return None
    return at.astimezone(UTC)


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}"
