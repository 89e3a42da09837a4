"""Settings: sources and their rank, unknown names, wrong values."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.errors import WrongSettings
from rollout.settings import Settings, as_variables, environment, read_settings, user_name


@pytest.fixture(autouse=True)
def folder(no_settings: Path) -> Path:
    """An empty folder and no variables."""
    return no_settings


def write(path: Path, text: str) -> None:
    """Write a settings file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_defaults_are_right(folder: Path) -> None:
    """Without any source the program runs on this machine."""
    settings = read_settings()
    assert settings.ledger_url == "sqlite:///.rollout/ledger.db"
    assert settings.control() == "redis://localhost:6379/0"
    assert settings.silent_after == settings.lost_after == timedelta(seconds=30)
    assert settings.supervision == timedelta(seconds=10)


def test_every_setting_has_a_sentence() -> None:
    """`rollout doctor` and the docs show it."""
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name


def test_the_stronger_source_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given values, then variables, then rollout.toml, then what `up` wrote."""
    write(folder / ".rollout/run.toml", 'key_prefix = "run"\ntick_s = 2\nsnapshot_s = 7\n')
    write(folder / "rollout.toml", 'key_prefix = "toml"\ntick_s = 3\n')
    assert read_settings().key_prefix == "toml"
    monkeypatch.setenv("ROLLOUT_KEY_PREFIX", "env")
    assert read_settings().key_prefix == "env"
    assert read_settings(key_prefix="given").key_prefix == "given"
    assert (read_settings().tick_s, read_settings().snapshot_s) == (3, 7)


def test_values_reach_a_child_process_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text, numbers, lists and tables, as `up` hands them to its processes."""
    given = read_settings(
        app="shop",
        tick_s=0.5,
        notify_urls=("json://a", "json://b"),
        broker_transport_options={"global_keyprefix": "shop:", "priority_steps": [0, 5]},
    )
    for name, value in as_variables(given).items():
        monkeypatch.setenv(name, value)
    assert read_settings() == given


def test_transport_options_may_be_json_text(folder: Path) -> None:
    """The file that `up` writes has no tables; text that is no JSON is refused."""
    write(folder / "rollout.toml", "broker_transport_options = '{\"priority_steps\": [0]}'\n")
    assert read_settings().broker_transport_options == {"priority_steps": [0]}
    write(folder / "rollout.toml", "broker_transport_options = 'a'\n")
    with pytest.raises(WrongSettings, match="broker_transport_options"):
        read_settings()


def test_an_unknown_variable_is_refused_with_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo must not leave the default in force."""
    monkeypatch.setenv("ROLLOUT_LEDGER_ULR", "x")
    with pytest.raises(WrongSettings) as caught:
        read_settings()
    assert "'ledger_ulr' (in ROLLOUT_LEDGER_ULR), did you mean 'ledger_url'?" in str(caught.value)
    assert "rollout doctor" in caught.value.hint


def test_an_unknown_name_in_the_file_is_refused_with_a_guess(folder: Path) -> None:
    """The same for rollout.toml."""
    write(folder / "rollout.toml", "tik_s = 2\n")
    with pytest.raises(WrongSettings, match=r"'tik_s' \(in rollout.toml\), did you mean 'tick_s'"):
        read_settings()


def test_a_key_of_policies_is_sent_to_its_table(folder: Path) -> None:
    """`bake_days` is no misspelt `keep_days`."""
    write(folder / "rollout.toml", "bake_days = 14\n")
    with pytest.raises(WrongSettings, match=r"it is a key of policies; write it .* below \[policy"):
        read_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TICK_S", "soon"), ("TICK_S", "0"), ("TICK_S", "-1"), ("TICK_S", "nan"),
        ("SILENT_AFTER_S", "inf"), ("METRICS_PORT", "70000"), ("KEY_PREFIX", ""),
        ("PAYLOAD_BYTES_MAX", "0"), ("CONCURRENT_POOL", "gevent"), ("LEGACY_CONCURRENCY", "0"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """The message has the name, the value and where to correct it."""
    monkeypatch.setenv(f"ROLLOUT_{variable}", value)
    with pytest.raises(WrongSettings) as caught:
        read_settings()
    assert f"setting '{variable.lower()}'" in str(caught.value)
    assert f"ROLLOUT_{variable}" in caught.value.hint


def test_times_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single late tick must not close the gate."""
    monkeypatch.setenv("ROLLOUT_TICK_S", "6")
    with pytest.raises(WrongSettings, match="at least twice tick_s"):
        read_settings()
    assert read_settings(supervision_s=12).tick_s == 6


def test_a_file_that_is_not_toml_is_refused(folder: Path) -> None:
    """The message names the file."""
    write(folder / "rollout.toml", "= =")
    with pytest.raises(WrongSettings, match=r"rollout.toml must be TOML"):
        read_settings()


@pytest.mark.parametrize(
    ("given", "app", "broker", "control"),
    [
        ({}, "redis://app/1", "redis://app/1", "redis://app/1"),
        ({}, "rediss://h/0?ssl_cert_reqs=required", *["rediss://h/0?ssl_cert_reqs=required"] * 2),
        ({"broker_url": "redis://set"}, "amqp://app", "redis://set", "redis://set"),
        ({"control_url": "redis://c"}, "amqp://app", "amqp://app", "redis://c"),
        ({}, None, "redis://localhost:6379/0", "redis://localhost:6379/0"),
    ],
)
def test_broker_and_control_store_follow_each_other(
    given: dict[str, str], app: str | None, broker: str, control: str
) -> None:
    """The app's broker serves when none is set, and as control store when it speaks Redis."""
    settings = read_settings(**given)
    assert settings.broker(app) == broker
    assert settings.control(app) == control


@pytest.mark.parametrize(
    "broker",
    [
        "amqp://app",
        "redis+cluster://a:7000",
        "redis://a/0;redis://b/0",
        "sqs://",
    ],
)
def test_a_control_store_that_cannot_be_derived_is_asked_for(broker: str) -> None:
    """Nobody is sent to a Redis on this machine that the other machines do not have."""
    with pytest.raises(WrongSettings, match="set ROLLOUT_CONTROL_URL"):
        read_settings().control(broker)


def test_the_environment_of_a_child_has_the_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy, so this process keeps its own."""
    monkeypatch.setenv("ROLLOUT_APP", "a")
    assert environment(ROLLOUT_APP="b")["ROLLOUT_APP"] == "b"
    assert environment()["ROLLOUT_APP"] == "a"


@pytest.mark.parametrize("known", [True, False])
def test_who_acts_is_named_as_the_system_knows_them(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the user; the number where it has no name, as in a container; never a crash."""

    def entry(uid: int) -> tuple[str]:
        if not known:
            raise KeyError(uid)
        return ("ana",)

    for variable in ("ROLLOUT_ACTOR", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", entry)
    assert user_name() == ("ana" if known else f"uid {os.getuid()}")
    monkeypatch.setenv("ROLLOUT_ACTOR", "on call")
    assert user_name() == "on call"
    read_settings()  # and it is no unknown setting
