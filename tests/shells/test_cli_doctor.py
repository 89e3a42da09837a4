"""`doctor`: what is configured, what answers, what is missing, what to do."""

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from rollout.routing.decision import JobPath
from rollout.settings import without_password
from tests.conftest import Postgresql
from tests.shells.conftest import House


def findings(house: House, *arguments: str) -> dict[str, Any]:
    """What doctor found, by what it looked at."""
    return {one["what"]: one for one in house.json(*arguments, "doctor")["findings"]}


def test_healthy(house: House) -> None:
    """With everything there, doctor says so and exits with 0."""
    house.tick()
    result = house.run("doctor")
    assert result.exit_code == 0, result.stdout
    assert "MISSING" not in result.stdout
    assert "lost_after_s" in result.stdout
    assert house.json("doctor")["ok"] is True


def test_no_controller(house: House) -> None:
    """Without supervision jobs run on legacy, and doctor names what to start."""
    result = house.run("doctor")
    assert result.exit_code == 5
    assert findings(house)["controller"]["todo"] == "start `rollout controller`"
    assert "MISSING: none heard of" in result.stdout


def test_two_releases_beside_each_other(house: House) -> None:
    """A restart that is under way, or a straggler that was forgotten, is a note."""
    house.tick()
    with house.services() as runtime:
        for build in ("v1", "v2"):
            runtime.database_ledger.announce("invoices", JobPath.CONCURRENT, build)
    found = findings(house)["builds"]
    assert found["level"] == "note"
    assert "'v1', invoices concurrent: 'v2'" in found["found"]


def test_a_store_whose_user_may_not_run_info(house: House, valkey: str) -> None:
    """A right that only `doctor` would use is a note and no fault."""
    house.tick()
    with Redis.from_url(valkey) as admin:
        admin.execute_command(
            "ACL", "SETUSER", "shop", "on", "nopass", "~*", "&*", "+@all", "-info"
        )
        host = valkey.removeprefix("redis://")
        house.setenv("ROLLOUT_CONTROL_URL", f"redis://shop:x@{host}")
        found = findings(house)["control store"]
        admin.execute_command("ACL", "DELUSER", "shop")
    assert found["level"] == "note"
    assert "may not run INFO" in found["found"]
    assert "noeviction" in found["todo"]


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("ROLLOUT_CONTROL_URL", "redis://127.0.0.1:1/0", "control store"),
        ("ROLLOUT_BROKER_URL", "redis://127.0.0.1:1/0", "broker"),
        ("ROLLOUT_LEDGER_URL", "sqlite:////proc/nowhere/ledger.db", "ledger"),
        ("ROLLOUT_LEDGER_URL", "sqlite:///empty.db", "ledger"),
        ("ROLLOUT_LEDGER_URL", "mysql://h/x", "ledger"),
        ("ROLLOUT_CONTROL_URL", "nonsense", "control store"),
        ("ROLLOUT_TICK_S", "60", "settings"),
        ("ROLLOUT_TICK", "1", "settings"),
    ],
)
def test_each_missing_thing(house: House, variable: str, value: str, what: str) -> None:
    """Each thing that is away is a finding with something to do, and never ends the report."""
    house.tick()
    house.setenv(variable, value)
    assert house.run("doctor").exit_code == 5
    finding = findings(house)[what]
    assert finding["level"] == "missing"
    assert finding["todo"]


def test_lagging_store(house: House) -> None:
    """A store that holds an older revision than the ledger is a finding."""
    house.tick()
    store = house.setenv
    with house.services() as runtime:
        url = runtime.settings.control_url or ""
    house.lose_store()
    house.run("start", "invoices")
    store("ROLLOUT_CONTROL_URL", url)
    assert "lags for invoices" in findings(house)["sub-pipelines"]["found"]


def test_evicting_store(house: House, valkey: str) -> None:
    """A store that may drop a kill latch to save memory is a finding."""
    house.tick()
    client = Redis.from_url(valkey, protocol=2)
    try:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert "may drop a kill latch" in findings(house)["control store"]["found"]
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")
        client.close()


def test_a_store_and_a_broker_that_take_no_writes(house: House, valkey: str) -> None:
    """Both answer every question; a kill, or a job, would find out."""
    house.tick()
    client = Redis.from_url(valkey, protocol=2)
    try:
        client.config_set("maxmemory", "1")
        told = findings(house)
    finally:
        client.config_set("maxmemory", "0")
        client.close()
    for what in ("control store", "broker"):
        assert told[what]["level"] == "missing"
        assert "no memory left to write" in told[what]["found"]
        assert "raise maxmemory" in told[what]["todo"]


def test_a_ledger_that_may_not_be_written(
    house: House, postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, at the newest migration, and says no to every job."""
    name = postgresql.create()
    try:
        monkeypatch.setenv("ROLLOUT_LEDGER_URL", postgresql.url(name))
        assert house.run("migrate").exit_code == 0
        postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        told = findings(house)["ledger"]
        assert told["level"] == "missing"
        assert "it is read-only" in told["found"]
        assert "docs/plants.md" in told["todo"]
        postgresql.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        postgresql.execute(f"ALTER DATABASE {name} SET search_path = elsewhere")
        told = findings(house)["ledger"]
        assert "has a ledger in schema public" in told["found"]
        assert "set ROLLOUT_LEDGER_SCHEMA to it" in told["todo"]
    finally:
        postgresql.drop(name)


def test_passwords_are_hidden(house: House) -> None:
    """No password is printed, whatever answers."""
    house.setenv("ROLLOUT_LEDGER_URL", "postgresql+psycopg://u:geheim@127.0.0.1:1/x")
    house.setenv("ROLLOUT_BROKER_URL", "redis://:geheim@127.0.0.1:1/0")
    house.setenv("ROLLOUT_CONTROL_URL", "redis://:geheim@127.0.0.1:1/0")
    for result in (house.run("doctor"), house.run("doctor", "--json")):
        assert "geheim" not in result.output
        assert "***" in result.output


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h/0", "redis://h/0"),
        ("redis://:a:b@h/0", "redis://:***@h/0"),
        ("amqp://u:p@ss/word@h//", "amqp://u:***@h//"),
        ("redis://h/0?password=x&db=1", "redis://h/0?password=***&db=1"),
        ("sqlite:///l.db", "sqlite:///l.db"),
    ],
)
def test_hiding(url: str, shown: str) -> None:
    """Passwords are cut out of every kind of URL."""
    assert without_password(url) == shown


def test_broker_of_the_app(house: House, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a broker in the settings, that of the app counts."""
    monkeypatch.delenv("ROLLOUT_BROKER_URL")
    monkeypatch.delenv("ROLLOUT_CONTROL_URL")
    monkeypatch.syspath_prepend(str(house.folder))
    module = f"shop_{house.folder.name}"
    call = f"Celery('shop', broker={valkey!r}, set_as_current=False)"
    text = f"from celery import Celery\napp = {call}\n"
    Path(house.folder, f"{module}.py").write_text(text)
    assert "is assumed" in findings(house)["address"]["found"]
    found = findings(house, "-A", module)
    assert f"from the app '{module}'" in found["address"]["found"]
    assert found["broker"]["level"] == "ok"
    assert found["control store"]["level"] == "ok"
    assert findings(house, "-A", "no_such_module")["app"]["level"] == "missing"


def test_nothing_declared(house: House) -> None:
    """An empty ledger is no fault, but doctor says how to begin."""
    house.setenv("ROLLOUT_LEDGER_URL", "sqlite:///fresh.db")
    house.run("migrate")
    found = findings(house)
    assert found["sub-pipelines"]["level"] == "note"
    assert found["ledger"]["level"] == "ok"


def test_doctor_names_the_first_of_many(house: House) -> None:
    """A thousand names are no answer: ten, and how many more."""
    house.declare(*(f"many-{number}" for number in range(60)))
    found = findings(house)["sub-pipelines"]["found"]
    assert found.count("many-") <= 2 * 10
    assert found.count("more") == 2
