"""Calendars: freezes and quiet times by the wall clock, through every change of clocks."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rollout.policy.calendars import (
    SEARCH_DAYS,
    WEEKDAYS,
    Freeze,
    NaiveTime,
    Quiet,
    blocked,
    free_from,
    zone_named,
)
from rollout.policy.policy import Policy, blocked_by, next_free

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
# The changes of clocks of 2026 in those zones, in UTC.
CHANGES = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
)
SHIFT_MAX = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

zones = st.sampled_from([ZoneInfo(name) for name in ZONES])
minutes_near = st.integers(-72 * 60, 72 * 60).map(lambda count: count * MINUTE)
near_a_change = st.builds(lambda at, off: at + off, st.sampled_from(CHANGES), minutes_near)


def at(text: str) -> datetime:
    """An aware time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    """A local time."""
    return datetime.fromisoformat(text)


def clock_time(minute: int) -> str:
    """A minute of the day as HH:MM."""
    return f"{minute // 60:02}:{minute % 60:02}"


DAY = wall("2026-12-20")


def is_frozen(freeze: Freeze, zone: ZoneInfo, now: datetime) -> bool:
    """Whether the freeze alone holds an advance."""
    return blocked(zone, (freeze,), (), now) is not None


@given(zones, near_a_change, st.integers(1, 4 * 24 * 60), near_a_change)
def test_a_freeze_holds_whenever_the_wall_clock_is_inside_it(
    zone: ZoneInfo, begins: datetime, minutes: int, now: datetime
) -> None:
    """Every instant whose local time lies in it is frozen, and none that lies an hour outside."""
    begin = begins.astimezone(zone).replace(tzinfo=None)
    end = begin + minutes * MINUTE
    freeze = Freeze(begin=begin, end=end)
    local = now.astimezone(zone).replace(tzinfo=None)
    frozen = is_frozen(freeze, zone, now)
    if begin <= local < end:
        assert frozen
    if not begin - SHIFT_MAX <= local < end + SHIFT_MAX:
        assert not frozen


@given(zones, near_a_change, near_a_change, st.integers(1, 24 * 60), st.integers(0, 24 * 60))
def test_a_freeze_has_no_hole(
    zone: ZoneInfo, begins: datetime, first: datetime, minutes: int, later: int
) -> None:
    """Between two frozen instants everything is frozen: no hour that comes twice slips through."""
    begin = begins.astimezone(zone).replace(tzinfo=None)
    freeze = Freeze(begin=begin, end=begin + minutes * MINUTE)
    last = first + later * MINUTE
    if is_frozen(freeze, zone, first) and is_frozen(freeze, zone, last):
        steps = [first + step * (last - first) / 7 for step in range(8)]
        assert all(is_frozen(freeze, zone, now) for now in steps)


@pytest.mark.parametrize(
    ("zone", "begin", "end", "frozen_from", "free_again"),
    [
        # A begin that is skipped counts by the later offset, an end by the earlier one.
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-30", "2026-03-29T00:30", "2026-03-29T22:00"),
        ("America/New_York", "2026-03-07", "2026-03-08T02:30", "2026-03-07T05:00",
         "2026-03-08T07:30"),
        ("Australia/Lord_Howe", "2026-10-03", "2026-10-04T02:15", "2026-10-02T13:30",
         "2026-10-03T15:45"),
        # A begin that comes twice counts the first time, an end the second.
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-26", "2026-10-25T00:30", "2026-10-25T23:00"),
        ("Europe/Berlin", "2026-10-24", "2026-10-25T02:30", "2026-10-23T22:00", "2026-10-25T01:30"),
        ("America/New_York", "2026-10-31", "2026-11-01T01:30", "2026-10-31T04:00",
         "2026-11-01T06:30"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-06", "2026-04-04T14:45",
         "2026-04-05T13:30"),
        # A change inside the freeze moves neither end.
        ("Europe/Berlin", "2026-03-28", "2026-03-30", "2026-03-27T23:00", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-12-20", "2027-01-04", "2026-12-19T23:00", "2027-01-03T23:00"),
    ],
)  # fmt: skip
def test_a_freeze_errs_on_the_long_side(
    zone: str, begin: str, end: str, frozen_from: str, free_again: str
) -> None:
    """Local times that do not exist, or come twice, are read so that the freeze is longer."""
    freeze, where = Freeze(begin=wall(begin), end=wall(end)), ZoneInfo(zone)
    moment = timedelta(microseconds=1)
    assert not is_frozen(freeze, where, at(frozen_from) - moment)
    assert is_frozen(freeze, where, at(frozen_from))
    assert is_frozen(freeze, where, at(free_again) - moment)
    assert not is_frozen(freeze, where, at(free_again))


def test_the_sentence_says_until_when_and_why() -> None:
    """A person reads the local time; a longer freeze and a freeze before a quiet time win."""
    policy = Policy(
        zone="Europe/Berlin",
        freezes=(
            Freeze(begin=wall("2026-12-20"), end=wall("2027-01-04"), why="year end"),
            Freeze(begin=wall("2026-12-24"), end=wall("2026-12-27"), why="holidays"),
        ),
    )
    friday = at("2026-12-25T15:00")
    assert blocked_by(policy, friday) == "frozen until 2027-01-04 00:00 Europe/Berlin: year end"
    without_why = Freeze(begin=wall("2026-12-01"), end=wall("2026-12-02"))
    said = blocked_by(Policy(freezes=(without_why,)), at("2026-12-01T10:00"))
    assert said == "frozen until 2026-12-02 00:00 UTC"


def test_friday_afternoon_is_quiet_by_default() -> None:
    """From noon to midnight, in the policy's zone, and not a minute more."""
    policy = Policy(zone="America/New_York")
    said = "quiet until 2026-11-28 00:00 America/New_York: no advance on fri 12:00-24:00"
    moment = timedelta(microseconds=1)
    noon, midnight = at("2026-11-27T17:00"), at("2026-11-28T05:00")
    assert blocked_by(policy, noon - moment) is None
    assert blocked_by(policy, noon) == blocked_by(policy, midnight - moment) == said
    assert blocked_by(policy, midnight) is None


@pytest.mark.parametrize(
    ("now", "free"),
    [
        # 02:30 comes twice: the second one ends it, also when asked in the second hour.
        ("2026-10-25T00:10", "2026-10-25T01:30"),
        ("2026-10-25T01:10", "2026-10-25T01:30"),
        # 02:30 is skipped: by the offset before the change.
        ("2026-03-29T00:30", "2026-03-29T01:30"),
    ],
)
def test_a_quiet_time_ends_after_a_change_of_clocks(now: str, free: str) -> None:
    """The end is never before the moment that asks, or the next free one would never be found."""
    quiet = Quiet(days=("sun",), end="02:30")
    held = blocked(ZoneInfo("Europe/Berlin"), (), (quiet,), at(now))
    assert held is not None
    assert held[0] == at(free)
    assert free_from(ZoneInfo("Europe/Berlin"), (), (quiet,), at(now)) == at(free)


@given(
    zones,
    near_a_change,
    st.sets(st.sampled_from(WEEKDAYS), min_size=1),
    st.integers(0, 1438),
    st.integers(1, 1440),
)
def test_a_quiet_time_follows_the_wall_clock(
    zone: ZoneInfo, now: datetime, days: set[Any], begin: int, length: int
) -> None:
    """Held exactly when the wall clock shows it, an hour that comes twice both times."""
    end = min(begin + length, 1440)
    quiet = Quiet(
        days=tuple(days),
        begin=f"{begin // 60:02}:{begin % 60:02}",
        end=f"{end // 60:02}:{end % 60:02}",
    )
    local = now.astimezone(zone)
    shows = WEEKDAYS[local.weekday()] in days and begin <= local.hour * 60 + local.minute < end
    held = blocked(zone, (), (quiet,), now)
    assert (held is not None) is shows
    if held is not None:
        assert held[0] > now


@given(zones, near_a_change, near_a_change, st.integers(1, 10 * 24 * 60))
def test_the_next_free_moment_is_free(
    zone: ZoneInfo, now: datetime, begins: datetime, minutes: int
) -> None:
    """It is not before now, nothing holds at it, and now itself when nothing holds now."""
    begin = begins.astimezone(zone).replace(tzinfo=None)
    policy = Policy(
        zone=zone.key,
        freezes=(Freeze(begin=begin, end=begin + minutes * MINUTE),),
        quiet=(Quiet(days=("fri", "sat"), begin="12:00"), Quiet(days=("sat", "sun"), end="23:00")),
    )
    free = next_free(policy, now)
    assert free is not None
    assert free >= now
    assert blocked_by(policy, free) is None
    assert (free == now) is (blocked_by(policy, now) is None)


def test_calendars_without_a_free_moment_have_none() -> None:
    """A week that is quiet throughout, and a freeze of many years, end the search."""
    always, now = Quiet.model_validate({"days": WEEKDAYS}), at("2026-11-24T10:00")
    assert free_from(ZoneInfo("UTC"), (), (always,), now) is None
    decades = Freeze(begin=wall("2020-01-01"), end=wall("2050-01-01"))
    assert free_from(ZoneInfo("UTC"), (decades,), (), now) is None
    assert timedelta(days=SEARCH_DAYS) > timedelta(days=366 + 7)


def test_a_time_without_a_zone_is_refused() -> None:
    """It names no instant."""
    with pytest.raises(NaiveTime, match="a time with a zone, got 2026-11-27T13:00:00; pass"):
        blocked_by(Policy(), wall("2026-11-27T13:00"))
    with pytest.raises(NaiveTime):
        next_free(Policy(), wall("2026-11-27T13:00"))


def test_any_zone_may_carry_the_time() -> None:
    """The same instant gives the same answer, also between two times of one zone."""
    policy = Policy(
        zone="Europe/Berlin",
        freezes=(Freeze(begin=wall("2026-10-25T02:00"), end=wall("2026-10-25T02:30")),),
    )
    second = datetime(2026, 10, 25, 2, 45, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    first = second.replace(fold=0)
    assert blocked_by(policy, first) == blocked_by(policy, first.astimezone(UTC)) is not None
    assert blocked_by(policy, second) == blocked_by(policy, second.astimezone(UTC)) is None


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (DAY, DAY, "end must come after begin"),
        (DAY, wall("2026-12-19"), "end must come after begin"),
        (wall("0001-01-01"), DAY, "begin must lie in 2000..2999"),
        (DAY, wall("9999-01-01"), "end must lie in 2000..2999"),
        (at("2026-01-01"), DAY, "begin is local time"),
        (DAY, at("2027-01-01").astimezone(timezone(MINUTE)), "end is local time"),
        (date(2026, 12, 20), wall("2027-01-01"), "not only a day"),
        ("2026-12-20", wall("2027-01-01"), "not only a day"),
        (1766188800, wall("2027-01-01"), "a local time is needed"),
        ("soon", wall("2027-01-01"), "not only a day"),
    ],
)
def test_a_freeze_that_cannot_be_is_refused(begin: Any, end: Any, said: str) -> None:
    """Offsets, days without a time, numbers and the ends of the calendar."""
    with pytest.raises(ValidationError, match=said):
        Freeze.model_validate({"begin": begin, "end": end})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"days": []}, "at least one day"),
        ({"days": ["friday"]}, "'fri'"),
        ({"days": ["fri"], "begin": "12:00", "end": "12:00"}, "two quiet times"),
        ({"days": ["fri"], "begin": "22:00", "end": "06:00"}, "two quiet times"),
        ({"days": ["fri"], "begin": "9:00"}, "HH:MM"),
        ({"days": ["fri"], "end": "24:01"}, "HH:MM"),
        ({"days": ["fri"], "end": 12}, "HH:MM"),
        ({"days": ["fri"], "begin": time(12, 0, 30)}, "without seconds"),
    ],
)
def test_a_quiet_time_that_cannot_be_is_refused(values: dict[str, Any], said: str) -> None:
    """No day, an unknown day, a night over midnight, what is no time of day."""
    with pytest.raises(ValidationError, match=said):
        Quiet.model_validate(values)


def test_toml_times_are_taken() -> None:
    """12:00:00 without quotes is a time in TOML."""
    assert Quiet.model_validate({"days": ["fri"], "begin": time(12)}).begin == "12:00"


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("America", "America/"),
        ("Mars/Olympus", None),
        ("/etc/passwd", None),
        ("../../etc/passwd", None),
    ],
)
def test_a_zone_that_does_not_exist_is_refused_with_a_guess(name: str, guess: str | None) -> None:
    """Also a folder of zones, and what is no name at all."""
    with pytest.raises(ValueError, match="no time zone") as caught:
        zone_named(name)
    assert (guess is None) or f"did you mean '{guess}" in str(caught.value)


def test_zones_are_there_on_a_machine_without_them() -> None:
    """Without the system's own data the tzdata package answers."""
    program = (
        "import zoneinfo; zoneinfo.reset_tzpath(to=[]);"
        "from datetime import *; from rollout.policy.policy import *;"
        "p = Policy(zone='Australia/Lord_Howe');"
        "print(blocked_by(p, datetime(2026, 11, 27, 5, tzinfo=UTC)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "quiet until 2026-11-28 00:00 Australia/Lord_Howe" in done.stdout
