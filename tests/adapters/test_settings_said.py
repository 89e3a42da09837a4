"""What is said about settings: no secret, and where the wrong one came from."""

from pathlib import Path

import pytest

from rollout.errors import WrongSettings
from rollout.settings import read_settings, shown


@pytest.fixture(autouse=True)
def folder(no_settings: Path) -> Path:
    """An empty folder and no variables."""
    return no_settings


@pytest.mark.parametrize(
    "given",
    [
        {"notify_urls": ("slack://geheim/geheim/geheim", "mailto://u:geheim@h")},
        {"broker_transport_options": {"sentinel_kwargs": {"password": "geheim"}}},
        {
            "broker_transport_options": {
                "hosts": [{"api_key": "geheim"}],
                "url": "redis://:geheim@h",
            }
        },
        {"ledger_url": "postgresql+psycopg://h/db?password=geheim"},
        {"control_url": "rediss://h/0?ssl_Password=geheim&SECRET=geheim"},
    ],
)
def test_no_secret_is_shown(given: dict[str, object]) -> None:
    """Wherever in a setting it stands."""
    text = str(shown(read_settings(**given)))
    assert "geheim" not in text
    assert "***" in text


def test_what_is_no_secret_is_shown() -> None:
    """Also where its name looks like one."""
    options = {"global_keyprefix": "shop:", "master_name": "m", "visibility_timeout": 60}
    assert shown(read_settings(broker_transport_options=options))["broker_transport_options"] == (
        options
    )
    assert shown(read_settings())["key_prefix"] == "rollout:"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ROLLOUT_BROKER_TRANSPORT_OPTIONS", '{"password": geheim', "must be a JSON object"),
        ("ROLLOUT_BROKER_TRANSPORT_OPTIONS", '"geheim"', "broker_transport_options"),
        ("ROLLOUT_NOTIFY_URLS", '["slack://geheim', "commas between, or a JSON list"),
        ("ROLLOUT_TICK_S", "soon", "got 'soon'"),
        ("ROLLOUT_LEDGER_SCHEMA", "No Schema", "ledger_schema"),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    """As a variable and not as a fault of rollout.toml; a secret is not repeated."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(WrongSettings) as caught:
        read_settings()
    assert says in caught.value.problem
    assert caught.value.hint == f"correct the variable {variable}"
    assert "geheim" not in str(caught.value)
    assert "TOML" not in str(caught.value)


def test_a_wrong_line_of_the_file_is_named(folder: Path) -> None:
    """A list where a text belongs is not repeated either: it may hold a password."""
    (folder / "rollout.toml").write_text('broker_url = ["redis://:geheim@h"]\n', encoding="utf-8")
    with pytest.raises(WrongSettings, match=r"correct broker_url in rollout.toml") as caught:
        read_settings()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("slack://a/b/c", ("slack://a/b/c",)),
        ("json://a, json://b", ("json://a", "json://b")),
        ('["json://a", "json://b"]', ("json://a", "json://b")),
    ],
)
def test_notices_are_listed_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, value: str, urls: tuple[str, ...]
) -> None:
    """One URL, several with commas, or JSON."""
    monkeypatch.setenv("ROLLOUT_NOTIFY_URLS", value)
    assert read_settings().notify_urls == urls
