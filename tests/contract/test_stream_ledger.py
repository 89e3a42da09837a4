"""A stream in memory and a real ledger with the same jobs give the same windows and decisions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np

from rollout.policy.policy import Policies, Policy
from rollout.rehearsal.job_stream import (
    SECOND_US,
    JobStream,
    Whole,
    numbers_of,
    positions_of,
    us_of,
)
from rollout.rehearsal.rehearse import Plan, Rehearsable, rehearse
from rollout.rehearsal.stream_draw import draw_drills
from rollout.rehearsal.stream_ledger import StreamLedger
from tests.builders import NAME
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.sql_stream import SqlStream

DAY_S = 3600.0
POLICY = Policy(day_s=DAY_S, bake_days=2, drills_min=6, quiet=(), ladder_bp=(4000, 8000, 9500))
BEGIN = datetime(2026, 1, 5, 9, 0, 0, 123_457, tzinfo=UTC)
START = BEGIN + timedelta(seconds=DAY_S)
JOBS = 2_500
DAYS = 5.5
PLAN = Plan(
    BEGIN,
    START,
    BEGIN + timedelta(seconds=DAYS * DAY_S),
    Policies(default=POLICY),
    drills=draw_drills(NAME, 28, 0.8, START, DAYS, DAY_S, 5),
    tick_s=7200.0,
    wider_s=0.0,
)
"""Compressed days with drills, ticks minutes apart, and windows as narrow as the policy's."""

ASKED = ("windows", "hours", "open_slow", "key_spread", "routed_since", "fold")


class Asked:
    """Passes everything on to a ledger and remembers what it answered to a tick's questions."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.answers: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        if name not in ASKED:
            return value

        def call(*args: Any) -> Any:
            answer = value(*args)
            in_order = sorted(answer, key=repr) if isinstance(answer, list) else answer
            self.answers.append((name, in_order))
            return answer

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_ledger", "answers"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._ledger, name, value)


def draw() -> tuple[JobStream, list[str]]:
    """Jobs with shared keys, failures on either path and on both, and times that overlap ticks."""
    rng = np.random.default_rng(3)
    at_us = np.sort(rng.integers(0, round(DAYS * DAY_S * SECOND_US), JOBS)) + us_of(BEGIN)
    keys = [f"customer-{number}" for number in rng.integers(0, 700, JOBS)]
    late = at_us >= us_of(BEGIN) + round(4.2 * DAY_S * SECOND_US)

    def times(median_s: float) -> Whole:
        drawn: Whole = np.rint(median_s * np.exp(rng.standard_normal(JOBS)) * 1e6).astype(np.int64)
        return drawn

    stream = JobStream(
        NAME,
        at_us,
        positions_of(NAME, keys, JOBS),
        numbers_of(keys),
        times(20.0),
        times(10.0),
        rng.random(JOBS) < 0.08,
        rng.random(JOBS) < np.where(late, 0.6, 0.02),
    )
    return stream, keys


@on_databases
def test_same_answers_and_decisions_as_a_real_ledger(ledger_case: LedgerCase) -> None:
    """From the first look over a climb to the revert, every number a decision was made on."""
    ledger = ledger_case.sql
    stream, keys = draw()
    memory = Asked(StreamLedger(stream))
    real = Asked(SqlStream(ledger, stream, keys, BEGIN))
    in_memory = rehearse(cast(Rehearsable, memory), PLAN)
    in_sql = rehearse(cast(Rehearsable, real), PLAN)

    actions = [one.action for one in in_sql.decisions]
    assert "advance" in actions, "a step was climbed"
    assert actions[-2:] == ["revert", "confirm"], "and a revert made and confirmed"
    for (asked, mine), (also, theirs) in zip(memory.answers, real.answers, strict=True):
        assert (asked, mine) == (also, theirs)
    both_failed = sum(
        row.both_failed for name, rows in real.answers if name == "windows" for row in rows
    )
    assert both_failed, "some jobs failed on both paths"
    for ours, its in zip(in_memory.decisions, in_sql.decisions, strict=True):
        assert (ours.at, ours.window, ours.sentence) == (its.at, its.window, its.sentence)
        assert json.loads(ours.inputs) == json.loads(its.inputs)
        assert json.loads(ours.answer) == json.loads(its.answer)
    assert in_memory.errors == in_sql.errors == []
    assert memory.controls() == ledger.controls()
    assert memory.profiles() == ledger.profiles()
    (mine,), (theirs,) = memory.trial_rows(), ledger.trial_rows()
    assert (mine.columns, mine.payload) == (dict(theirs.columns), theirs.payload)
