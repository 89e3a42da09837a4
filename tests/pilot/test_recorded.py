"""Decisions and trials that an earlier release stored are read, and judged as they were.

`recorded.jsonl` was written by the code of commit 49073f7 (2026-11): decisions of the pilot in
`test_replay.py` and of the rehearsal in `test_stream_ledger.py`, five more judged on evidence that
latches one test each, and the payloads of the trials they left.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from rollout.pilot.ports import DecisionRecord
from rollout.pilot.replay import replay
from rollout.pilot.trial import trial_from
from rollout.policy.policy import Policy
from tests.builders import NAME, NOW

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
def test_a_recorded_trial_is_read_and_written_the_same(payload: dict[str, Any]) -> None:
    """Nothing is lost, added or rounded."""
    columns = {
        "name": NAME,
        "version": 3,
        "step": 2,
        "step_revision": 2,
        "began_at": NOW,
        "scored_to": NOW,
    }
    trial = trial_from(columns, payload, Policy())
    assert json.loads(json.dumps(trial.payload())) == payload
