"""From a flight record and what it is joined with to one warehouse row: pure."""

from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from rollout.demo.record import Record
from rollout.demo.reference import Plane, Reference, Weather

DAY_MIN = 24 * 60

# Text of each minute of a day, made once: each row shows four of them.
_CLOCK_TEXTS = tuple(f"T{minute // 60:02}:{minute % 60:02}" for minute in range(DAY_MIN))

# Name and type of each column, in order; staging and warehouse tables are made from it.
COLUMNS: dict[str, type] = {
    "record": str,
    "day": str,
    "origin": str,
    "carrier": str,
    "airline": str,
    "flight": int,
    "destination": str,
    "destination_name": str,
    "scheduled_hour_utc": str,
    "scheduled_departure": str,
    "departure": str,
    "scheduled_arrival": str,
    "arrival": str,
    "departure_delay_min": int,
    "arrival_delay_min": int,
    "total_delay_min": int,
    "air_time_min": int,
    "distance_mi": int,
    "speed_mph": float,
    "cancelled": int,
    "arrival_unknown": int,
    "after_midnight": int,
    "tail_number": str,
    "plane_model": str,
    "plane_seats": int,
    "plane_age_years": int,
    "temperature_f": float,
    "wind_speed_mph": float,
    "precipitation_in": float,
    "visibility_mi": float,
}


class Joined(NamedTuple):
    """What the reference tables know about one record; None is unknown."""

    airline: str | None
    destination_name: str | None
    plane: Plane | None
    weather: Weather | None


def look_up(record: Record, reference: Reference) -> Joined:
    """Ask the reference the four questions of one record."""
    return Joined(
        airline=reference.airline(record.carrier),
        destination_name=reference.airport(record.destination),
        plane=reference.plane(record.tail_number),
        weather=reference.weather(record.origin, record.scheduled_hour_utc),
    )


def transform(record: Record, joined: Joined) -> list[Any]:
    """Derive the warehouse row of one flight.

    Pure: the same input gives the same row.

    Returns:
        One value per column of `COLUMNS`, in that order, each a str, int, float or None:

        - `record`: the key, day/origin/number, such as 2013-01-01/EWR/0001;
        - `scheduled_hour_utc`: the hour that the weather is taken from;
        - `scheduled_departure`, `departure`: wall clock of the origin, 2013-01-01T05:15;
        - `scheduled_arrival`, `arrival`: wall clock of the destination;
        - `departure_delay_min`, `arrival_delay_min`: minutes late, negative when early;
        - `total_delay_min`: late minutes of both ends added, an early end counts 0; None unless
          both are known;
        - `air_time_min` in minutes, `distance_mi` in miles, `speed_mph` to one decimal;
        - `cancelled`: 1 when the flight never left, then all actual times are None;
        - `arrival_unknown`: 1 when it left and the source has no arrival delay for it;
        - `after_midnight`: 1 when it arrived on a later day than it was planned to leave, None
          when no arrival time is known;
        - `plane_age_years`: years between construction and the flight;
        - weather: Fahrenheit, miles per hour, inches, miles.
    """
    departure = _departure(record)
    scheduled_arrival = _scheduled_arrival(record)
    arrival = _arrival(record, departure, scheduled_arrival)
    day, plane = record.day.isoformat(), joined.plane
    return [
        f"{day}/{record.origin}/{record.number:04}",
        day,
        record.origin,
        record.carrier,
        joined.airline,
        record.flight,
        record.destination,
        joined.destination_name,
        record.scheduled_hour_utc,
        _wall_clock(record.day, record.scheduled_departure_clock),
        _wall_clock(record.day, departure),
        _wall_clock(record.day, scheduled_arrival),
        _wall_clock(record.day, arrival),
        record.departure_delay_min,
        record.arrival_delay_min,
        _total_delay(record.departure_delay_min, record.arrival_delay_min),
        record.air_time_min,
        record.distance_mi,
        _speed(record.distance_mi, record.air_time_min),
        int(departure is None),
        int(departure is not None and record.arrival_delay_min is None),
        None if arrival is None else int(arrival >= DAY_MIN),
        record.tail_number,
        *_plane_values(record, plane),
        *(joined.weather or (None, None, None, None)),
    ]


def _departure(record: Record) -> int | None:
    """Minutes from the planned day's midnight to the departure; more than a day when very late."""
    # The clock time alone cannot say on which day a flight left that was 21 hours late.
    if record.departure_delay_min is None:
        return None
    return record.scheduled_departure_clock + record.departure_delay_min


def _scheduled_arrival(record: Record) -> int:
    """Minutes from the planned day's midnight to the planned arrival, on the arrival's clock."""
    # No flight from New York gains more hours by time zones than it flies, so an arrival that
    # reads earlier than its departure is on the next day.
    clock = record.scheduled_arrival_clock
    return clock if clock >= record.scheduled_departure_clock else clock + DAY_MIN


def _arrival(record: Record, departure: int | None, scheduled_arrival: int) -> int | None:
    """Minutes from the planned day's midnight to the arrival, on the arrival's clock."""
    if record.arrival_delay_min is not None:
        return scheduled_arrival + record.arrival_delay_min
    if record.arrival_clock is None or departure is None:
        return None
    # Without a delay, the first moment after departure at which the clock reads so.
    return departure + (record.arrival_clock - departure) % DAY_MIN


@lru_cache(maxsize=64)
def _iso_day(ordinal: int) -> str:
    """Date text of a day number; few days occur in a job, and each occurs often."""
    return date.fromordinal(ordinal).isoformat()


def _wall_clock(day: date, minutes: int | None) -> str | None:
    """The moment so many minutes after a day's midnight, as text."""
    if minutes is None:
        return None
    days, rest = divmod(minutes, DAY_MIN)
    return _iso_day(day.toordinal() + days) + _CLOCK_TEXTS[rest]


def _total_delay(departure_min: int | None, arrival_min: int | None) -> int | None:
    """Late minutes of both ends."""
    if departure_min is None or arrival_min is None:
        return None
    return max(departure_min, 0) + max(arrival_min, 0)


def _speed(distance_mi: int, air_time_min: int | None) -> float | None:
    """Mean speed in the air in miles per hour."""
    return round(distance_mi * 60 / air_time_min, 1) if air_time_min else None


def _plane_values(record: Record, plane: Plane | None) -> tuple[str | None, int | None, int | None]:
    """Model, seats and age in years."""
    if plane is None:
        return None, None, None
    age = None if plane.year is None else record.day.year - plane.year
    return plane.model, plane.seats, age
