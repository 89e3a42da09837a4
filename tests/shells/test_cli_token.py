"""Tokens at the command line: made, revoked, and who did it in the log of acts."""

import json
import re

import pytest

from rollout.control.acts import Came
from tests.shells.conftest import House


def acted(house: House) -> list[tuple[str, Came, str]]:
    """What the log of acts says, newest first."""
    with house.services() as runtime:
        acts = runtime.ledger.acts(None, 10)
    return [(one.action, one.came, one.said) for one in acts]


def test_who_hands_out_a_token_is_in_the_log(house: House) -> None:
    """So is who revokes one, and what was refused."""
    made = json.loads(
        house.run("token", "create", "--role", "admin", "--for", "ana", "--json").stdout
    )
    assert acted(house) == [("token", Came.DONE, "a token for ana: admin, every sub-pipeline")]
    assert made["secret"] not in str(acted(house))
    assert house.run("token", "revoke", made["id"]).exit_code == 0
    assert acted(house)[0] == ("token", Came.DONE, f"token {made['id']} is revoked")
    assert house.run("token", "revoke", made["id"]).exit_code == 1
    assert acted(house)[0][1] is Came.REFUSED


@pytest.mark.parametrize("days", ["nan", "inf", "1e300", "4000"])
def test_a_time_that_is_none_is_refused(house: House, days: str) -> None:
    """In a sentence, and no token is made."""
    result = house.run("token", "create", "--role", "viewer", "--days", days)
    assert result.exit_code in (1, 2)
    assert re.search(r"days", result.output + result.stderr)
    assert json.loads(house.run("token", "list", "--json").stdout) == {"tokens": []}


def test_a_bound_after_now_is_refused(house: House) -> None:
    """A local time that was meant as such is often one: nothing came since is no answer to it."""
    for command in (("jobs", "--failed"), ("report", "invoices")):
        result = house.run(*command, "--since", "2199-01-01 00:00")
        assert result.exit_code == 2
        assert "--since must lie before now" in " ".join((result.output + result.stderr).split())


@pytest.mark.parametrize("since", ["99999999d", "1e9d", "9" * 400 + "s"])
def test_a_bound_before_all_calendars_is_refused(house: House, since: str) -> None:
    """In a sentence."""
    result = house.run("jobs", "--failed", "--since", since)
    assert result.exit_code == 2
    assert "--since must" in " ".join((result.output + result.stderr).split())
