"""A command that is given neither an app nor a broker says which server it asks."""

import pytest

from tests.shells.conftest import House

WARNING = "no setting and no app names the broker, so redis://localhost:6379/0 is asked"


def test_the_default_broker_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgotten -A: the store of another application may answer there, or nobody."""
    monkeypatch.delenv("ROLLOUT_BROKER_URL")
    monkeypatch.delenv("ROLLOUT_CONTROL_URL", raising=False)
    told = house.run("status")
    assert WARNING in told.stderr
    assert "give -A MODULE, or app or broker_url in rollout.toml" in told.stderr
    assert WARNING in house.run("kill", "invoices", "--reason", "wrong totals").stderr


def test_a_named_one_needs_no_warning(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting says where; a command that asks no server but the ledger says nothing, too."""
    assert house.run("status").stderr == ""
    monkeypatch.delenv("ROLLOUT_BROKER_URL")
    monkeypatch.delenv("ROLLOUT_CONTROL_URL", raising=False)
    assert house.run("history", "invoices").stderr == ""
