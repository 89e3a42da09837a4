"""`why`, `decision`, `replay`, `history` and the judgement in `status`, through the front door."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.shells.conftest import House


@pytest.fixture
def judged(house: House) -> House:
    """A sub-pipeline that a controller has looked at: started, and held at its first step."""
    house.run("start", "invoices", "--reason", "pilot begins")
    house.tick()
    return house


def flat(text: str) -> str:
    """Output without its line breaks."""
    return " ".join(text.split())


def test_why_says_what_holds_and_what_comes_next(judged: House) -> None:
    """The first line is what is pending; then the next step, its needs and every verdict."""
    result = judged.run("why", "invoices")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()[:2]
    assert first.startswith("invoices: HOLD: 0")
    assert second.startswith("  next           next step 6.25 % not before ")
    said = flat(result.stdout)
    for word in ("bake", "way_back"):
        assert word in said
    for test in ("error_rate", "fast_path", "cycle_time", "sample_ratio", "recovery_watch"):
        assert f"{test} " in said
    assert "way back NOT READY: Legacy has not committed a job yet." in said
    assert "last decision hold at " in said
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_why_as_json(judged: House) -> None:
    """Scripts read the pending decision, its findings, the outlook, the way back, the leader."""
    values = judged.json("why", "invoices")
    assert values["pending"]["action"] == "hold"
    metrics = {one["metric"] for one in values["pending"]["findings"]}
    assert {"error_rate", "fast_path", "cycle_time", "recovery_watch", "sample_ratio"} <= metrics
    assert {one["what"] for one in values["next"]["needs"]} >= {"bake", "way_back"}
    assert values["way_back"]["ready"] is False
    assert values["way_back"]["holdback_bp"] == 500
    assert values["leader"]["alive"]
    assert values["last_decision"]["id"] == 1
    assert values["revert_confirmation"] is None


def test_why_before_any_controller(house: House) -> None:
    """Nobody has judged it and nobody leads: that is what it says, in the first line."""
    result = house.run("why", "invoices")
    assert result.exit_code == 0
    assert result.stdout.startswith("invoices: no controller has looked at it yet")
    assert "NOBODY leads" in result.stdout


def test_why_writes_nothing(judged: House) -> None:
    """Looking uses up no look and records no decision."""
    path = judged.folder / "ledger.db"
    before = dump(path)
    judged.run("why", "invoices")
    judged.run("status")
    assert dump(path) == before


def dump(path: Path) -> list[str]:
    """The whole content of an SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_why_of_an_unknown_name(house: House) -> None:
    """A misspelt name gets a guess."""
    result = house.run("why", "invoicse")
    assert result.exit_code == 1
    assert "did you mean 'invoices'" in result.stderr


def test_a_dead_leader_is_told(judged: House) -> None:
    """A lease that has ended is no leader, however recent the last decision looks."""
    with judged.services() as runtime:
        now = runtime.clock.now() - timedelta(minutes=5)
        with runtime.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE lease SET until = ?", (int(now.timestamp() * 1_000_000),)
            )
    said = flat(judged.run("status").stdout)
    assert said.startswith("NOBODY leads, nothing is judged")
    assert judged.json("status")["leader"]["alive"] is False


def test_a_standby_is_told(judged: House) -> None:
    """A second controller that waits is named beside the leader."""
    with judged.services() as runtime:
        runtime.ledger.take_lease("other:7", runtime.clock.now(), timedelta(seconds=6))
    assert "standby: other:7" in judged.run("status").stdout
    assert judged.json("why", "invoices")["leader"]["standbys"] == ["other:7"]


def test_status_has_judgement_and_way_back(judged: House) -> None:
    """One line says what holds and when the next step can come, one how ready legacy is."""
    result = judged.run("status", "invoices")
    said = flat(result.stdout)
    assert "judgement hold: 0" in said
    assert "next step 6.25 % not before" in said
    assert "way back NOT READY: Legacy has not committed a job yet." in said
    (values,) = judged.json("status")["sub_pipelines"]
    assert values["judgement"]["pending"]["action"] == "hold"
    assert values["judgement"]["way_back"]["ready"] is False


def test_status_with_a_broken_policy(house: House) -> None:
    """A line of a policy that cannot be read hides no fact of the status."""
    house.run("start", "invoices")
    (house.folder / "rollout.toml").write_text("[policy]\nbake_dais = 7\n")
    result = house.run("status", "invoices")
    assert result.exit_code == 0
    said = flat(result.stdout)
    assert "judgement unknown: rollout.toml" in said
    assert "stage split, revision 2" in said


def test_history_is_one_timeline(judged: House) -> None:
    """Changes of people and decisions of the controller, newest first, decisions with their id."""
    result = judged.run("history", "invoices")
    lines = result.stdout.splitlines()
    assert lines[0].endswith("UTC  hold, by controller, revision 2, decision 1")
    assert lines[1] == "    0 of 7 days at this step."
    assert any("start, now split 3.1 %, by ana" in line for line in lines[2:])
    values = judged.json("history", "invoices")
    assert [one["action"] for one in values["decisions"]] == ["hold"]
    assert [one["event"] for one in values["transitions"]] == ["start"]


def test_a_decision_and_its_change_are_one_line(judged: House) -> None:
    """What the controller decided and carried out stands in the timeline once, with its id."""
    from rollout.desk.history import History
    from rollout.pilot.ports import DecisionRecord
    from rollout.routing.ports import TransitionRecord
    from rollout.routing.stages import ControlState, Event

    with judged.services() as runtime:
        now = runtime.clock.now()
    before, after = ControlState("invoices", revision=3), ControlState("invoices", revision=4)
    change = TransitionRecord("invoices", now, Event.REVERT, "controller", "worse", before, after)
    decided = DecisionRecord(9, "invoices", now, "3/revert", "revert", "worse", 3, "{}", "{}")
    (line,) = History("invoices", (change,), (decided,), 20).timeline
    assert (line.event, line.decision_id) == ("revert", 9)


def test_decision_shows_the_evidence(judged: House) -> None:
    """A past decision with its verdicts, and as JSON with everything it was made on."""
    result = judged.run("decision", "1")
    assert result.stdout.startswith("decision 1 on invoices: hold: ")
    assert "sample_ratio" in result.stdout
    values = judged.json("decision", "1")
    assert values["inputs"]["situation"]["state"]["scope_bp"] == 310
    assert values["answer"]["action"] == "hold"


def test_replay_agrees(judged: House) -> None:
    """The decision comes out the same: said, and exit code 0."""
    result = judged.run("replay", "1")
    assert result.exit_code == 0
    assert result.stdout.startswith("decision 1 agrees")
    assert judged.json("replay", "1")["differences"] == []


def tamper(house: House, column: str, value: str) -> None:
    """Rewrite the log behind the database's back, its trigger taken off."""
    with closing(sqlite3.connect(house.folder / "ledger.db")) as connection, connection:
        connection.execute("DROP TRIGGER decision_no_update")
        connection.execute(f"UPDATE decision SET {column} = ?", (value,))


def test_replay_disagrees_with_a_tampered_decision(judged: House) -> None:
    """A rewritten input comes out as another decision: each difference is named, exit code 5."""
    inputs = judged.json("decision", "1")["inputs"]
    inputs["situation"]["state"]["frozen"] = True
    tamper(judged, "inputs", json.dumps(inputs))
    result = judged.run("replay", "1")
    assert result.exit_code == 5
    assert "decision 1 DISAGREES" in result.stdout
    assert "column window" in result.stdout
    assert not judged.json("replay", "1")["agrees"]


def test_an_unreadable_decision_is_said(judged: House) -> None:
    """Inputs that are none: replay refuses with exit code 1, the decision is still shown."""
    tamper(judged, "inputs", "gone")
    result = judged.run("replay", "1")
    assert result.exit_code == 1
    assert "error: decision 1 must hold inputs and answer" in result.stderr
    shown = judged.run("decision", "1")
    assert shown.exit_code == 0
    assert "--json shows what is stored" in flat(shown.stdout)


@pytest.mark.parametrize("command", ["decision", "replay"])
def test_unknown_decision(house: House, command: str) -> None:
    """An id that was never given leads to the list."""
    result = house.run(command, "77")
    assert result.exit_code == 1
    assert "`rollout history NAME` lists decisions" in result.stderr


def test_replay_names_a_tampered_number(judged: House) -> None:
    """A number of the stored answer that was rewritten is named with both values."""
    answer = judged.json("decision", "1")["answer"]
    answer["findings"][0]["n_concurrent"] += 7
    tamper(judged, "answer", json.dumps(answer))
    result = judged.run("replay", "1")
    assert result.exit_code == 5
    assert "findings[0].n_concurrent  7 -> 0" in result.stdout
