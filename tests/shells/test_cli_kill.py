"""The kill switch says exactly what is true, whatever is away."""

from typing import Any

import pytest

from rollout.cli import kill_progress
from rollout.desk.status import read_status
from rollout.routing.effects import Effects
from tests.shells.conftest import NOBODY, House

KEYS = {
    "kill_id",
    "name",
    "actor",
    "reason",
    "at",
    "names",
    "starts_blocked_ms",
    "store_error",
    "commits_fenced_ms",
    "ledger_error",
    "queued_sent_back",
    "running_abandoned",
    "unsafe_finishing",
    "broker_error",
    "held_by",
    "many",
    "left",
    "hanging",
    "complete",
    "holds",
}


def gate(house: House, name: str = "invoices") -> Any:
    """What a start would get now."""
    return house.json("status", name)["sub_pipelines"][0]["gate"]


def test_both_halves(house: House) -> None:
    """With everything there, starts are blocked and commits fenced when it returns."""
    house.run("start", "invoices")
    result = house.run("kill", "invoices", "--reason", "totals are wrong")
    assert result.exit_code == 0
    assert "invoices: KILLED. No further job starts on the concurrent path" in result.stdout
    assert "starts blocked  yes, in " in result.stdout
    assert "commits fenced  yes, in " in result.stdout
    assert "rollout rearm invoices" in result.stdout
    assert gate(house)["reason"] == "killed"


def test_kill_as_json(house: House) -> None:
    """Scripts read both halves and how long they took."""
    report = house.json("kill", "invoices", "--reason", "x")
    assert set(report) == KEYS
    assert report["complete"] is True
    assert report["names"] == ["invoices"]
    assert report["starts_blocked_ms"] > 0
    assert report["commits_fenced_ms"] > 0


def test_jobs_are_sent_back(house: House) -> None:
    """Queued jobs go back to legacy, running ones are abandoned and run there again."""
    house.run("start", "invoices")
    house.submit()
    house.begin(house.submit())
    result = house.run("kill", "invoices", "--reason", "x")
    assert "queued jobs     1 sent back to legacy" in result.stdout
    assert "running jobs    1 abandoned" in result.stdout
    with house.services() as runtime:
        assert sum(runtime.queues.held("invoices").waiting.values()) >= 2
    assert house.json("history", "invoices")["transitions"][0]["met"] == {"queued": 1, "running": 1}
    told = " ".join(house.run("history", "invoices").stdout.split())
    assert "x (met 1 queued, 1" in told


def test_unsafe_jobs_finish(house: House) -> None:
    """A running job with unsafe effects may finish, and the headline does not deny it."""
    house.declare("letters", effects=Effects.UNSAFE)
    house.begin(house.submit("letters"), "letters", Effects.UNSAFE)
    result = house.run("kill", "letters", "--reason", "x")
    assert result.exit_code == 0
    assert "only 1 unsafe may commit" in result.stdout
    assert "1 running; they are allowed to finish" in result.stdout


def test_broker_away(house: House) -> None:
    """Both halves hold without the broker; what was not sent is said."""
    house.submit()
    house.lose_broker()
    result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == 0
    assert "1 moved to legacy in the ledger, not all sent" in result.stdout


def test_store_away(house: House) -> None:
    """The ledger alone fences, says what starts do, and what closes the gap."""
    house.lose_store()
    result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == 3
    assert "KILLED in the ledger; the control store is missing" in result.stdout
    assert "starts blocked  NOT by the store: the control store at" in result.stdout
    assert "refuses the claim" in result.stdout
    assert "commits fenced  yes" in result.stdout
    assert house.json("status")["sub_pipelines"][0]["killed"] is True


def test_ledger_away(house: House) -> None:
    """The store alone blocks starts; the controller's next turn fences, and rearm undoes both."""
    house.run("start", "invoices")
    with house.services() as runtime:
        ledger_url = runtime.settings.ledger_url
    house.lose_ledger()
    result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == 3
    assert "KILLED in the control store; the fence in the ledger is missing" in result.stdout
    assert "commits fenced  NOT: the ledger at" in result.stdout
    assert "No commit is possible while the ledger is away" in " ".join(result.stdout.split())
    assert "could not be checked" in " ".join(result.stdout.split())
    house.setenv("ROLLOUT_LEDGER_URL", ledger_url)
    assert gate(house)["reason"] == "killed"
    assert "control store only" in " ".join(house.run("status").stdout.split())
    house.tick()
    assert house.json("status")["sub_pipelines"][0]["killed"] is True
    assert house.run("rearm", "invoices", "--reason", "mended").exit_code == 0
    house.tick()
    assert gate(house)["open"] is True


def test_ledger_held(house: House) -> None:
    """Somebody holds what the fence needs: said while it waits, and what holds is said, too."""
    house.run("start", "invoices")
    with house.services() as runtime, runtime.database.write():
        result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == 3
    assert "waiting: starts are blocked since" in result.stderr
    assert "single writer" in result.stderr
    told = " ".join(result.stdout.split())
    assert "KILLED in the control store; the fence in the ledger is missing" in told
    assert "somebody holds what is needed" in told
    assert "Jobs that run already may commit until then" in told
    assert "No commit is possible" not in told
    house.tick()
    assert house.json("status")["sub_pipelines"][0]["killed"] is True


def test_a_script_is_answered_before_a_long_queue_is_moved(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is left; the controller moves it."""
    monkeypatch.setattr(kill_progress, "JSON_MOVES_S", -1.0)
    house.run("start", "invoices")
    house.submit()
    report = house.json("kill", "invoices", "--reason", "x")
    assert (report["complete"], report["left"], report["queued_sent_back"]) == (True, True, 0)
    house.tick()
    assert house.json("kill", "invoices", "--reason", "again")["left"] is True
    monkeypatch.setattr(kill_progress, "JSON_MOVES_S", 5.0)
    assert house.json("kill", "invoices", "--reason", "again")["left"] is False


def test_both_away(house: House) -> None:
    """With neither half it says loudly that nothing is killed, and what to do by hand."""
    house.lose_store()
    house.lose_ledger()
    result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == 4
    assert "NOT KILLED" in result.stdout
    assert "error: invoices is NOT killed" in result.stderr
    assert "queue invoices.concurrent" in result.stderr
    everything = house.run("kill", "--all", "--reason", "x")
    assert "every queue that ends in .concurrent" in everything.stderr


def test_broken_app_is_no_obstacle(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the app that names the servers cannot be imported, the ledger half is done."""
    monkeypatch.delenv("ROLLOUT_BROKER_URL")
    monkeypatch.delenv("ROLLOUT_CONTROL_URL")
    result = house.run("-A", "no_such_module", "kill", "invoices", "--reason", "x")
    assert result.exit_code == 3
    assert "no_such_module" in result.stdout
    assert "commits fenced  yes" in result.stdout
    assert house.run("-A", "no_such_module", "status").exit_code == 1


def test_wrong_store_url_is_no_obstacle(house: House) -> None:
    """A store whose address is nonsense is a store that did not answer."""
    house.setenv("ROLLOUT_CONTROL_URL", "nonsense")
    result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == 3
    assert "commits fenced  yes" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["invoice", "--reason", "x"], 1, "did you mean 'invoices'"),
        (["*", "--reason", "x"], 1, "no sub-pipeline named '*'"),
        (["invoices"], 1, "'kill' needs a reason"),
        (["invoices", "--reason", "  "], 1, "'kill' needs a reason"),
        (["--all"], 1, "'kill' needs a reason"),
        (["--reason", "x"], 2, "give either NAME or --all"),
        (["invoices", "--all", "--reason", "x"], 2, "give either NAME or --all"),
    ],
)
def test_refused(house: House, arguments: list[str], code: int, said: str) -> None:
    """A kill that names nothing, or says no why, kills nothing."""
    result = house.run("kill", *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert house.json("status")["sub_pipelines"][0]["killed"] is False


def test_all_and_back(house: House) -> None:
    """`kill --all` covers every sub-pipeline, and those declared while it is latched."""
    house.run("start", "invoices")
    assert "all (invoices): KILLED" in house.run("kill", "--all", "--reason", "x").stdout
    house.declare("letters")
    assert house.json("status", "letters")["sub_pipelines"][0]["killed"] is True
    one = house.run("rearm", "invoices", "--reason", "x")
    assert one.exit_code == 1
    assert "`rollout rearm --all`" in one.stderr
    rearmed = house.json("rearm", "--all", "--reason", "mended")["rearmed"]
    assert [line["name"] for line in rearmed] == ["invoices", "letters"]
    house.tick()
    assert gate(house)["open"] is True


def test_the_latch_of_all_is_no_sub_pipeline(house: House) -> None:
    """After `kill --all` its row cannot be changed as if it were one; its log can be read."""
    house.run("kill", "--all", "--reason", "x")
    for command in ("freeze", "revert", "kill", "rearm"):
        result = house.run(command, "*", "--reason", "x")
        assert result.exit_code == 1
        assert house.json("history", "--all")["transitions"][0]["event"] == "kill"
    assert len(house.json("history", "--all")["transitions"]) == 1


def test_own_kill_outlives_the_kill_of_all(house: House) -> None:
    """What was killed by itself before `kill --all` stays killed after `rearm --all`."""
    house.declare("letters")
    house.run("kill", "invoices", "--reason", "mine")
    house.run("kill", "--all", "--reason", "x")
    house.run("kill", "--all", "--reason", "again")
    rearmed = house.json("rearm", "--all", "--reason", "mended")["rearmed"]
    assert [line["name"] for line in rearmed] == ["letters"]
    house.tick()
    with house.services() as runtime:
        killed = {
            one.state.name: (one.state.killed, one.gate.killed)
            for one in read_status(runtime.ledger, runtime.control, runtime.clock, None)
        }
    assert killed == {"invoices": (True, True), "letters": (False, False)}


def test_rearm_tells_of_another_kill(house: House) -> None:
    """A second kill that only the store holds is not lifted by rearming the first."""
    house.run("kill", "invoices", "--reason", "first")
    with house.services() as runtime:
        ledger_url = runtime.settings.ledger_url
    house.lose_ledger()
    house.run("kill", "invoices", "--reason", "second")
    house.setenv("ROLLOUT_LEDGER_URL", ledger_url)
    result = house.run("rearm", "invoices", "--reason", "first is mended")
    assert result.exit_code == 3
    assert "another kill of 'invoices' is latched in the control store" in result.stderr


def test_second_kill_replaces_the_latch_of_the_first(house: House, valkey: str) -> None:
    """Killed twice, the second time without the store, one rearm lifts both."""
    house.run("start", "invoices")
    house.run("kill", "invoices", "--reason", "first")
    house.lose_store()
    house.run("kill", "invoices", "--reason", "second")
    house.setenv("ROLLOUT_CONTROL_URL", valkey)
    house.tick()
    assert house.run("rearm", "invoices", "--reason", "mended").exit_code == 0
    house.tick()
    assert gate(house)["open"] is True


def test_rearm_with_the_store_away(house: House) -> None:
    """A latch that could not be lifted in the store is said."""
    house.run("kill", "invoices", "--reason", "x")
    house.setenv("ROLLOUT_CONTROL_URL", NOBODY)
    result = house.run("rearm", "invoices", "--reason", "mended")
    assert result.exit_code == 3
    assert "controller's next tick" in result.stderr


def test_missing_driver_is_no_obstacle(house: House) -> None:
    """A database whose driver is not installed is a ledger that does not answer."""
    house.setenv("ROLLOUT_LEDGER_URL", "postgresql+pg8000://u@127.0.0.1:1/x")
    result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == 3
    assert "starts blocked  yes" in result.stdout
