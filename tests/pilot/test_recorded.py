"""Decisions and trials that an earlier release stored are read, and judged as they were.

`recorded.jsonl` was written by the code of commit 49073f7 (2026-11): decisions of the pilot in
`test_replay.py` and of the rehearsal in `test_stream_ledger.py`, five more judged on evidence that
latches one test each, and the payloads of the trials they left.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.pilot.ports import DecisionRecord
from rollout.pilot.replay import replay
from rollout.pilot.trial import trial_from
from rollout.pilot.trial_steps import follow
from rollout.policy.policy import Policy
from rollout.routing.stages import Stage
from tests.builders import NAME, NOW, split

LINES: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).with_name("recorded.jsonl").read_text().splitlines()
]
DECISIONS = [line for line in LINES if "trial" not in line]
TRIALS = [line["trial"] for line in LINES if "trial" in line]


@pytest.mark.parametrize("line", DECISIONS, ids=lambda line: line["window"])
def test_a_recorded_decision_is_made_again(line: dict[str, Any]) -> None:
    """Every number of the answer, its action and its sentence, to the last digit."""
    record = DecisionRecord(
        1,
        NAME,
        NOW,
        line["window"],
        line["action"],
        line["sentence"],
        1,
        json.dumps(line["inputs"]),
        json.dumps(line["answer"]),
    )
    assert replay(record).differences == ()


def test_what_was_recorded_is_worth_reading() -> None:
    """Each action, each revert test, and several looks are among them."""
    assert {line["action"] for line in DECISIONS} == {
        "hold", "advance", "graduate", "revert", "confirm",
    }  # fmt: skip
    worse = {
        found["metric"]
        for line in DECISIONS
        for found in line["answer"].get("findings", ())
        if found["verdict"] == "regress"
    }
    assert worse == {"error_rate", "fast_path", "cycle_time", "recovery_watch"}
    assert len(TRIALS) == 3


@pytest.mark.parametrize("payload", TRIALS)
def test_a_recorded_trial_goes_on_in_a_step_of_its_own(payload: dict[str, Any]) -> None:
    """What its revert tests learnt is kept; its totals, counted by another margin, begin anew."""
    columns = {
        "name": NAME,
        "version": 3,
        "step": 2,
        "step_revision": 2,
        "began_at": NOW,
        "scored_to": NOW,
    }
    trial = trial_from(columns, payload, Policy())
    stage, scope_bp, fence, *builds = payload["identity"]
    state = replace(split(scope_bp), stage=Stage(stage), fence_revision=fence)
    after = follow(trial, state, tuple(builds), Policy(), None, NOW)
    assert after.step == 3
    if trial.on_trial:
        assert after.evidence.harm == trial.evidence.harm
    again = trial_from(columns, json.loads(json.dumps(after.payload())), Policy())
    assert again == replace(after, version=3, step=2, step_revision=2, began_at=NOW, scored_to=NOW)
    assert follow(again, state, tuple(builds), Policy(), None, NOW) == again
