"""What a step has counted, and what of it is slow already: of one trial, or of hundreds at once.

Statements are put together once: for who judges two hundred trials that alone takes most of the
time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    String,
    bindparam,
    case,
    column,
    func,
    select,
    tuple_,
    type_coerce,
    values,
)

from rollout.adapters.sql.outcomes import IN_DRILL, JUDGED
from rollout.adapters.sql.pilot_tables import evidence_hour
from rollout.adapters.sql.tables import OPEN, job, to_microseconds
from rollout.jobs.claims import JobState
from rollout.pilot.fold import SUMS
from rollout.pilot.ports import HourRow, OpenSlow
from rollout.pilot.trial import Trial, edge_us
from rollout.routing.decision import JobPath, Reason

# With the condition of its index as a literal: a planner does not see through a parameter that the
# index holds these rows, and would look through all jobs that ever were.
DRAWN = job.c.reason.in_([one for one in Reason if one.means.drawn])

_ACCEPTED_US = type_coerce(job.c.accepted_at, BigInteger)
_NOW_US = bindparam("now_us", type_=BigInteger)
_COLUMNS = {
    "of": String, "median_us": BigInteger, "tail_us": BigInteger, "began_us": BigInteger,
    "step_revision": Integer,
}  # fmt: skip


def _slow(of: Any, median_us: Any, tail_us: Any, began_us: Any, step_revision: Any) -> Any:
    """Unfinished jobs of a step by the path they were assigned to, and how many are slow."""
    age_us = _NOW_US - _ACCEPTED_US
    return (
        select(
            job.c.name,
            job.c.assigned_path,
            func.sum(case((age_us > median_us, 1), else_=0)),
            func.sum(case((age_us > tail_us, 1), else_=0)),
        )
        .where(
            job.c.name == of,
            OPEN,
            job.c.state.in_([JobState.ACCEPTED, JobState.STARTED]),  # the index's next column
            # `+ 0` keeps the planner from looking through all jobs that the step ever had.
            began_us <= _ACCEPTED_US + 0,
            job.c.revision >= step_revision,
            DRAWN,
            ~IN_DRILL,
            JUDGED,
        )
        .group_by(job.c.name, job.c.assigned_path)
    )


_OF_ONE = _slow(*(bindparam(name, type_=kind) for name, kind in _COLUMNS.items()))
_HOURS = select(evidence_hour).order_by(evidence_hour.c.hour, evidence_hour.c.path)
_HOURS_OF_ONE = _HOURS.where(
    evidence_hour.c.name == bindparam("of"), evidence_hour.c.step == bindparam("at_step")
)


def read_hours(connection: Connection, name: str, step: int) -> list[HourRow]:
    """Read the totals of a step, by hour."""
    rows = connection.execute(_HOURS_OF_ONE, {"of": name, "at_step": step})
    return [_hour_of(row) for row in rows]


def read_open_slow(connection: Connection, trial: Trial, now: datetime) -> list[OpenSlow]:
    """Read what is slow already of one trial whose thresholds are known."""
    rows = connection.execute(_OF_ONE, {**_given(trial), "now_us": to_microseconds(now)})
    return [OpenSlow(JobPath(path), int(slow), int(slowest)) for _, path, slow, slowest in rows]


def read_counts(
    connection: Connection, trials: Sequence[Trial], now: datetime
) -> dict[str, tuple[list[HourRow], list[OpenSlow]]]:
    """Read both of many trials, each in its step, by name."""
    found: dict[str, tuple[list[HourRow], list[OpenSlow]]] = {one.name: ([], []) for one in trials}
    steps = [(one.name, one.step) for one in trials]
    here = tuple_(evidence_hour.c.name, evidence_hour.c.step).in_(steps)
    for row in connection.execute(_HOURS.where(here)):
        found[row.name][0].append(_hour_of(row))
    known = [tuple(_given(one).values()) for one in trials if one.thresholds is not None]
    if known:
        table = values(*(column(name, kind) for name, kind in _COLUMNS.items()), name="asked")
        asked = table.data(known).cte("asked")
        slow = _slow(*(asked.c[name] for name in _COLUMNS))
        rows = connection.execute(slow, {"now_us": to_microseconds(now)})
        for name, path, slower, slowest in rows:
            found[name][1].append(OpenSlow(JobPath(path), int(slower), int(slowest)))
    return found


def _given(trial: Trial) -> dict[str, Any]:
    """What is asked of a trial whose thresholds are known, in the order of `_COLUMNS`."""
    assert trial.thresholds is not None, "nobody knows what is slow"
    return {
        "of": trial.name,
        "median_us": edge_us(trial.thresholds.median),
        "tail_us": edge_us(trial.thresholds.tail),
        "began_us": to_microseconds(trial.began_at),
        "step_revision": trial.step_revision,
    }


def _hour_of(row: Any) -> HourRow:
    return HourRow(row.hour, JobPath(row.path), *(getattr(row, name) for name in SUMS))
