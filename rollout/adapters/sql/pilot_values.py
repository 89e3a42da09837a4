"""Trials, windows and decisions as rows of a database, and the sums that a window is made of."""

import json
from typing import Any

from sqlalchemy import and_, case, func, or_

from rollout.adapters.sql.outcomes import JUDGED, OUTCOME
from rollout.adapters.sql.tables import from_microseconds
from rollout.pilot.outcome import Outcome
from rollout.pilot.ports import DecisionRecord, WindowRow
from rollout.pilot.trial import Trial
from rollout.routing.decision import JobPath


def sums(taken: Any, median: Any, tail: Any) -> list[Any]:
    """Columns that count jobs: what they took, against the edges of a slow one."""

    def count(condition: Any, label: str) -> Any:
        return func.sum(case((condition, 1), else_=0)).label(label)

    return [
        count(JUDGED, "jobs"),
        count(OUTCOME == Outcome.FAILED, "failed"),
        count(OUTCOME == Outcome.BOTH_FAILED, "both_failed"),
        count(OUTCOME == Outcome.UNJUDGED, "unjudged"),
        # A failed job is no fast job, however soon it failed.
        count(and_(JUDGED, or_(OUTCOME == Outcome.FAILED, taken > median)), "slow_median"),
        count(and_(JUDGED, or_(OUTCOME == Outcome.FAILED, taken > tail)), "slow_tail"),
    ]


def window_of(row: Any) -> WindowRow:
    """A window of admission from its row, the sums behind its place."""
    begin = row.number * row.length
    return WindowRow(
        row.name,
        JobPath(row.assigned_path),
        from_microseconds(begin),
        from_microseconds(begin + row.length),
        *(int(value) for value in row[4:]),
    )


def row_of(trial: Trial) -> dict[str, Any]:
    """The columns of a trial."""
    edges = trial.edges_us() or (None, None, None, None)
    return {
        "name": trial.name,
        "step": trial.step,
        "on_trial": int(trial.on_trial),
        "step_revision": trial.step_revision,
        "began_at": trial.began_at,
        "scored_to": trial.scored_to,
        "window_us": round(trial.window_s * 1_000_000),
        "settle_us": round(trial.settle_s() * 1_000_000),
        "median_us": edges[0],
        "tail_us": edges[1],
        "median_shifted_us": edges[2],
        "tail_shifted_us": edges[3],
        "payload": json.dumps(trial.payload(), separators=(",", ":")),
    }


def decision_of(row: Any) -> DecisionRecord:
    """A decision from its row."""
    return DecisionRecord(
        row.id,
        row.name,
        row.at,
        row.window,
        row.action,
        row.sentence,
        row.revision,
        row.inputs,
        row.answer,
    )
