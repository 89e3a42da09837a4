"""Finished jobs into the totals of their trial's step and into legacy's profile, in SQL."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, select

from rollout.adapters.sql.pilot_tables import drill_span, evidence_hour, pilot
from rollout.adapters.sql.profile_rows import read_profiles, write_profiles
from rollout.adapters.sql.tables import job
from rollout.adapters.sql.upserts import add_up
from rollout.evidence.thresholds import Thresholds
from rollout.jobs.claims import JobState
from rollout.pilot.fold import SUMS, Finished, Frame, HourKey, Sum, fold_finished
from rollout.pilot.profile import LegacyProfile
from rollout.routing.decision import JobPath, Reason

FOLDED_COLUMNS = (
    job.c.reason,
    job.c.revision,
    job.c.fallback_reason,
    job.c.moved_reason,
    job.c.drill,
    job.c.started_at,
)
"""Columns of a finished job that its fold needs beside those of the tallies."""

_PATHS = {str(one): one for one in JobPath}
_STATES = {str(one): one for one in JobState}
_REASONS: dict[str | None, Reason | None] = {None: None, **{str(one): one for one in Reason}}


def fold_into_trials(connection: Connection, insert_into: Any, rows: Sequence[Any]) -> None:
    """Add finished jobs to totals and profiles, in the transaction that marks them folded."""
    names = sorted({row.name for row in rows})
    profiles = read_profiles(connection, names)
    # The mean run time weighs the newest most, and the database gives rows in any order.
    jobs = sorted((_finished(row) for row in rows), key=lambda one: one.finished_at)
    folded = fold_finished(jobs, _frames(connection, names), _spans(connection, names))
    added = {
        name: profiles.get(name, LegacyProfile()).add(finished)
        for name, finished in folded.profiles.items()
    }
    write_profiles(connection, insert_into, added)
    _add_hours(connection, insert_into, folded.hours)


def _finished(row: Any) -> Finished:
    reason = _REASONS[row.reason]
    assert reason is not None, "a job has the reason of its submission"
    return Finished(
        row.name,
        _PATHS[row.assigned_path],
        _PATHS[row.path],
        _STATES[row.state],
        reason,
        row.revision,
        _REASONS[row.fallback_reason],
        _REASONS[row.moved_reason],
        row.drill,
        row.accepted_at,
        row.started_at,
        row.finished_at,
    )


def _frames(connection: Connection, names: Sequence[str]) -> dict[str, Frame]:
    query = select(pilot).where(pilot.c.name.in_(names), pilot.c.on_trial == 1)
    frames = {}
    for row in connection.execute(query):
        held = _held(row.payload)
        frames[row.name] = Frame(row.step, row.step_revision, row.began_at, *held, True)
    return frames


@lru_cache(maxsize=4096)
def _held(payload: str) -> tuple[float, Thresholds | None]:
    """The part of a frame that has no column; a trial's is asked for by every batch of a tick."""
    stored = json.loads(payload)
    found = stored["thresholds"]
    thresholds = None if found is None else Thresholds(*found)
    return stored["hour_s"], thresholds


def _spans(
    connection: Connection, names: Sequence[str]
) -> dict[str, list[tuple[datetime, datetime | None]]]:
    spans: defaultdict[str, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    for row in connection.execute(select(drill_span).where(drill_span.c.name.in_(names))):
        spans[row.name].append((row.began_at, row.ended_at))
    return spans


def _add_hours(connection: Connection, insert_into: Any, hours: dict[HourKey, Sum]) -> None:
    """Add to the totals, in one order so that two folders cannot wait for each other's rows."""
    keys = ("name", "step", "hour", "path")
    rows = [
        dict(zip(keys, key, strict=True)) | {column: getattr(total, column) for column in SUMS}
        for key, total in _in_order(hours.items())
    ]
    add_up(connection, insert_into, evidence_hour, rows)


def _in_order(hours: Iterable[tuple[HourKey, Sum]]) -> list[tuple[HourKey, Sum]]:
    return sorted(hours, key=lambda item: item[0])
