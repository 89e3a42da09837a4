"""The first screen tells what is true at the moment at which it matters."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.evidence.counts import Counts
from rollout.evidence.revert_test import Window
from rollout.pilot.trial import trial_from
from rollout.policy.policy import Policy
from tests.shells.conftest import House


def flat(text: str) -> str:
    """Output without its line breaks."""
    return " ".join(text.split())


def test_what_is_pending_is_judged_by_the_leaders_policy(house: House) -> None:
    """The file was changed after the controller's start: what it says is not what will happen."""
    Path("rollout.toml").write_text("[policy]\nbake_days = 5\n")
    house.run("start", "invoices")
    house.tick()
    assert house.json("status")["policy_difference"] is None
    Path("rollout.toml").write_text("[policy]\nbake_days = 2\n")
    said = flat(house.run("why", "invoices").stdout)
    assert "of 5 days at this step" in said
    for command in ("status", "why invoices", "doctor"):
        said = flat(house.run(*command.split()).stdout)
        assert "bake_days is 5.0 in force and 2.0 in the file" in said, command
        assert "restart" in said, command
    assert "bake_days" in house.json("status")["policy_difference"]
    assert "bake_days" in house.json("why", "invoices")["policy_difference"]
    house.tick()  # a controller that begins now reads the file
    assert house.json("status")["policy_difference"] is None
    said = flat(house.run("why", "invoices").stdout)
    assert "5 days are in force at this step" in said
    assert "the policy's 2 hold from the next step on" in said


def test_a_broken_file_hides_no_judgement_of_the_leader(house: House) -> None:
    """The leader goes on by what it read; that today's file cannot be read is said beside it."""
    house.run("start", "invoices")
    house.tick()
    Path("rollout.toml").write_text("[policy]\nnonsense = 1\n")
    values = house.json("status")
    assert values["sub_pipelines"][0]["judgement"]["pending"]["action"] == "hold"
    assert "today's cannot be read" in values["policy_difference"]


def hurt(house: House) -> None:
    """Let the evidence of the step say that the concurrent path fails, and no controller act."""
    with house.services() as runtime:
        ledger, now = runtime.ledger, runtime.clock.now()
        token = ledger.take_lease("died before it judged", now, timedelta(seconds=1))
        assert token is not None
        (row,) = ledger.trial_rows()
        trial = trial_from(row.columns, row.payload, Policy())
        worse = Window(Counts(200, 200, 200, 0), None, None, 200, 200)
        end = trial.scored_to + timedelta(seconds=10)
        trial = trial.observe(worse, trial.scored_to, end, 0.0, 1.0)
        assert trial.evidence.latched
        ledger.save_trials(token, [replace(trial, scored_to=trial.began_at)])
        ledger.drop_lease(token)


def test_evidence_begins_anew_after_a_kill(house: House) -> None:
    """A person killed, mended and rearmed: what was seen before decides nothing any more."""
    house.run("start", "invoices")
    house.tick()
    hurt(house)
    assert house.json("why", "invoices")["pending"]["action"] == "revert"
    house.run("kill", "invoices", "--reason", "a bug")
    house.run("scope", "invoices", "100")
    house.run("rearm", "invoices", "--reason", "mended")
    pending = house.json("why", "invoices")["pending"]
    assert pending["action"] == "hold"
    house.tick()
    (after,) = house.json("status")["sub_pipelines"]
    assert (after["stage"], after["scope_bp"]) == ("split", 100)
    assert "0 of 0" not in house.run("history", "invoices").stdout


LOOKING = (
    "status", "why invoices", "history invoices", "doctor", "job 1", "jobs --failed", "messages",
    "policy show", "drill list", "decision 1",
)  # fmt: skip


@pytest.mark.parametrize("command", LOOKING)
def test_looking_for_a_ledger_that_is_not_there_makes_none(house: House, command: str) -> None:
    """A moved plant is not answered with a new and empty one: it is asked where the ledger was."""
    house.setenv("ROLLOUT_LEDGER_URL", "sqlite:///moved/ledger.db")
    done = house.run(*command.split())
    said = flat(done.stdout + done.stderr)
    assert not (house.folder / "moved").exists()
    if command != "policy show":
        assert done.exit_code in (4, 5)
        assert "was it moved, or is this another folder?" in said
    assert house.run("migrate").exit_code == 0
    assert (house.folder / "moved" / "ledger.db").exists()


def test_an_empty_folder_is_one_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is here: what is missing need not be said five times."""
    for variable in ("LEDGER_URL", "BROKER_URL", "CONTROL_URL"):
        monkeypatch.delenv(f"ROLLOUT_{variable}")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    done = house.run("doctor")
    assert done.exit_code == 5
    assert done.stdout.count("MISSING") == 1
    assert "nothing of rollout is here" in flat(done.stdout)
    assert list((tmp_path / "empty").iterdir()) == []
