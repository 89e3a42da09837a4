"""Commands that change the control state, through the front door."""

from pathlib import Path

import pytest

from rollout.routing.effects import Effects
from tests.shells.conftest import House


def test_whole_trial(house: House) -> None:
    """A pilot goes up and back by hand; each command says what is true now."""
    started = house.run("start", "invoices", "--reason", "pilot")
    assert started.exit_code == 0
    assert "invoices: stage split, scope 3.1 % (310 of 10000 bp), revision 2" in started.stdout
    assert "scope 6.2 % (620" in house.run("double", "invoices").stdout
    assert "scope 95 % (9500" in house.run("scope", "invoices", "9500").stdout
    assert "stage graduated" in house.run("graduate", "invoices").stdout
    assert "FROZEN" in house.run("freeze", "invoices").stdout
    assert "FROZEN" not in house.run("unfreeze", "invoices").stdout
    reverted = house.run("revert", "invoices", "--reason", "slower")
    assert "stage legacy, scope 0 %" in reverted.stdout
    assert "every job runs on legacy" in reverted.stdout


def test_change_as_json(house: House) -> None:
    """Scripts read the state after the change, and whether the store has it."""
    assert house.json("start", "invoices") == {
        "event": "start",
        "name": "invoices",
        "stage": "split",
        "scope_bp": 310,
        "scope_bp_max": 9500,
        "killed": False,
        "frozen": False,
        "revision": 2,
        "projected": True,
        "not_projected": None,
        "unheard": [
            f"no worker listens on queue invoices.{path}, so its jobs wait: start `celery -A "
            f"MODULE worker -Q invoices.{path}`, or `rollout up`"
            for path in ("legacy", "concurrent")
        ],
        "shadow_first": "no shadow has compared the paths of invoices before this start. A shadow "
        "goes first, and no job depends on it: `rollout revert invoices --reason 'shadow first'`, "
        "then `rollout shadow invoices`",
    }


def test_a_shadow_is_suggested_where_there_was_none(house: House) -> None:
    """At start and in the plan; not after one, and not where a copy may not run."""
    hint = "`rollout shadow invoices` runs copies of legacy jobs"
    assert hint in house.run("plan", "invoices", "--jobs-per-day", "1000").stdout
    assert "no shadow has compared" in house.run("start", "invoices").stdout
    said = house.run("plan", "invoices", "--jobs-per-day", "1000").stdout
    assert hint not in said
    assert "Way:    3.1 %" in said
    house.run("revert", "invoices", "--reason", "shadow first")
    house.run("shadow", "invoices")
    assert hint not in house.run("plan", "invoices", "--jobs-per-day", "1000").stdout
    assert "no shadow has compared" not in house.run("start", "invoices").stdout
    house.declare("payments", effects=Effects.IDEMPOTENT)
    assert "no shadow has compared" not in house.run("start", "payments").stdout


def test_start_takes_the_first_step_of_the_policy(house: House) -> None:
    """A ladder that begins higher begins higher by hand, too."""
    Path("rollout.toml").write_text("[policy]\nladder_bp = [2000, 9500]\n")
    assert "scope 20 % (2000" in house.run("start", "invoices").stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["start", "invoice"], "did you mean 'invoices'"),
        (["double", "invoices"], "cannot 'double' 'invoices' in stage legacy"),
        (["revert", "invoices"], "'revert' needs a reason"),
        (["rearm", "invoices"], "'rearm' needs a reason"),
        (["rearm", "invoices", "--reason", "x"], "cannot 'rearm' 'invoices' while it is not"),
        (["rearm", "--all", "--reason", "x"], "while it is not killed"),
        (["start", "invoices", "--revision", "7"], "at revision 1, this change was made on 7"),
        (["freeze", "*"], "no sub-pipeline named '*'"),
        (["history", "nothing"], "no sub-pipeline named 'nothing'"),
    ],
)
def test_refused(house: House, command: list[str], said: str) -> None:
    """A refused change is two lines on stderr, exit code 1, and nothing changed."""
    result = house.run(*command)
    assert result.exit_code == 1
    assert result.stdout == ""
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert said in error
    assert hint.startswith("hint: ")
    assert house.json("status", "invoices")["sub_pipelines"][0]["revision"] == 1


@pytest.mark.parametrize("scope_bp", ["9501", "12000"])
def test_scope_out_of_range(house: House, scope_bp: str) -> None:
    """A scope past what the holdback leaves is refused with the largest that works."""
    house.run("start", "invoices")
    result = house.run("scope", "invoices", scope_bp)
    assert result.exit_code == 1
    assert "scope_bp must be 0..9500" in result.stderr
    assert "use 9500" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["start"],
        ["scope", "invoices"],
        ["scope", "invoices", "half"],
        ["start", "invoices", "--revision", "x"],
        ["rearm", "--reason", "x"],
        ["rearm", "invoices", "--all", "--reason", "x"],
        ["rearm", "--all", "--revision", "3", "--reason", "x"],
        ["start", "invoices", "--nonsense"],
        ["strat", "invoices"],
        ["history", "invoices", "--limit", "0"],
    ],
)
def test_wrong_usage(house: House, command: list[str]) -> None:
    """Wrong options and arguments are exit code 2 and change nothing."""
    result = house.run(*command)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert house.json("status")["sub_pipelines"][0]["revision"] == 1


def test_second_operator_is_refused(house: House) -> None:
    """Two operators saw the same revision; the second change is refused, rearm included."""
    assert house.run("start", "invoices", "--revision", "1").exit_code == 0
    assert house.run("scope", "invoices", "5000", "--revision", "1").exit_code == 1
    house.run("kill", "invoices", "--reason", "x")
    late = house.run("rearm", "invoices", "--reason", "x", "--revision", "2")
    assert late.exit_code == 1
    assert "at revision 3, this change was made on 2" in late.stderr
    in_time = house.run("rearm", "invoices", "--reason", "x", "--revision", "3")
    assert in_time.exit_code == 0


def test_history_tells_who_and_why(house: House) -> None:
    """The log holds the given actor and reason, whatever characters they have."""
    house.run("start", "invoices", "--actor", "ben", "--reason", "go \x1b[31m[red]now[/red]")
    (line,) = house.json("history", "invoices")["transitions"]
    assert (line["actor"], line["event"]) == ("ben", "start")
    assert line["reason"] == "go \x1b[31m[red]now[/red]"
    assert line["before"]["stage"] == "legacy"
    assert line["after"]["scope_bp"] == 310
    shown = house.run("history", "invoices").stdout
    assert "\x1b" not in shown
    assert "[red]" in shown.replace("\n", "")


def test_history_before_the_first_change(house: House) -> None:
    """A sub-pipeline that was only declared says how to begin."""
    assert "`rollout start invoices`" in house.run("history", "invoices").stdout


def test_history_limit(house: House) -> None:
    """The newest changes come first, as many as asked for."""
    house.run("freeze", "invoices")
    house.run("unfreeze", "invoices")
    (line,) = house.json("history", "invoices", "--limit", "1")["transitions"]
    assert line["event"] == "unfreeze"


def test_default_actor(house: House) -> None:
    """Without --actor the log holds the user of the process."""
    house.run("freeze", "invoices")
    assert house.json("history", "invoices")["transitions"][0]["actor"] == "ana"


def test_store_away(house: House) -> None:
    """A change that only the ledger holds says so, says what closes the gap, and exits with 3."""
    house.lose_store()
    result = house.run("start", "invoices")
    assert result.exit_code == 3
    assert "stage split" in result.stdout
    assert "warning: the ledger holds this change" in result.stderr
    assert "controller's next tick" in result.stderr
    assert house.json("double", "invoices")["projected"] is False


def test_ledger_away(house: House) -> None:
    """Without the ledger nothing is changed, and the exit code says it was a server."""
    house.lose_ledger()
    result = house.run("start", "invoices")
    assert result.exit_code == 4
    assert "error: the ledger at" in result.stderr


def test_ledger_without_tables(house: House) -> None:
    """A ledger that was never migrated names the command that helps; then it helps."""
    house.setenv("ROLLOUT_LEDGER_URL", f"sqlite:///{house.folder}/new/ledger.db")
    result = house.run("status")
    assert result.exit_code == 4
    assert "`rollout migrate`" in result.stderr
    assert house.json("migrate")["before"] is None
    assert "already at migration" in house.run("migrate").stdout
    assert "no sub-pipeline is declared" in house.run("status").stdout


def test_ledger_of_a_newer_release(house: House) -> None:
    """A migration that this release does not know is refused without a traceback."""
    with house.services() as runtime, runtime.database.write() as connection:
        connection.exec_driver_sql("UPDATE rollout_version SET version_num = '9999'")
    result = house.run("migrate")
    assert result.exit_code == 1
    assert "at migration 9999" in result.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ROLLOUT_LEDGER_URL", "mysql://u:geheim@h/x", "begins with 'mysql'"),
        ("ROLLOUT_LEDGER_URL", "nonsense", "begins with 'nonsense'"),
        ("ROLLOUT_CONTROL_URL", "amqp://u:geheim@h", "scheme 'amqp'"),
        ("ROLLOUT_TICK", "1", "did you mean 'tick_s'"),
        ("ROLLOUT_TICK_S", "60", "at least twice tick_s"),
    ],
)
def test_wrong_settings(house: House, variable: str, value: str, said: str) -> None:
    """A wrong setting is a clear error that shows no password."""
    house.setenv(variable, value)
    house.setenv("ROLLOUT_CONTROL_URL", value if "CONTROL" in variable else "redis://:geheim@h/0")
    result = house.run("status")
    assert result.exit_code == 1
    assert said in result.stderr
    assert "geheim" not in result.stderr
