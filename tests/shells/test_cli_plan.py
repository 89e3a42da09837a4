"""`plan`, through the front door."""

from pathlib import Path

from typer.testing import CliRunner

from rollout.cli.app import app


def test_stated_traffic_is_enough_where_there_is_no_ledger(no_settings: Path) -> None:
    """A plan before anything is set up: the way is shown, and no file is made."""
    result = CliRunner().invoke(app, ["plan", "invoices", "--jobs-per-day", "1000"])
    assert result.exit_code == 0, result.output
    assert "3.1 % -> 6.25 % -> 12.5 % -> 25 % -> 50 % -> 90 %" in result.output
    assert 'Shadow first where effects are "none" or "commit"' in result.output
    assert list(no_settings.iterdir()) == []


def test_without_traffic_the_ledger_is_asked_for(no_settings: Path) -> None:
    """Nothing is guessed: a plan with no numbers and no ledger is refused."""
    result = CliRunner().invoke(app, ["plan", "invoices"])
    assert result.exit_code != 0
