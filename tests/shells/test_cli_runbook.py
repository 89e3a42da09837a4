"""`rollout runbook`: what to do about an alarm, with no server and no checkout."""

from __future__ import annotations

import re

import pytest

from rollout.cli.exit_codes import ExitCode
from rollout.desk.runbooks import command_of, read_runbooks
from tests.shells.conftest import House


@pytest.fixture
def nothing_answers(house: House) -> None:
    """No server does."""
    house.lose_ledger()
    house.lose_store()
    house.lose_broker()


@pytest.mark.usefixtures("nothing_answers")
def test_it_says_what_to_do_with_no_server(house: House) -> None:
    """The commands are those of the sub-pipeline, as a shell takes its name."""
    said = house.run("runbook", "concurrent-path-misbehaves", "--name", "my pilot").stdout
    assert said.startswith("# The concurrent path misbehaves\n")
    assert "    rollout kill 'my pilot' --reason 'fallbacks at 30 % since 03:05'\n" in said
    assert "NAME" not in said


@pytest.mark.usefixtures("nothing_answers")
def test_a_part_of_a_name_will_do(house: House) -> None:
    """Nobody types the whole of it; the whole name wins over others that have it as a part."""
    whole = house.run("runbook", "concurrent-path-misbehaves").stdout
    assert house.run("runbook", "misbehaves").stdout == whole
    assert house.run("runbook", "reverted").stdout.startswith("# The controller reverted\n")
    assert house.run("runbook", "reverted.md").stdout.startswith("# The controller reverted\n")


@pytest.mark.usefixtures("nothing_answers")
@pytest.mark.parametrize("wrong", ["nothing", "re", "../cli", "/etc/passwd"])
def test_another_name_is_refused_with_those_that_are_there(house: House, wrong: str) -> None:
    """What came, and what may come; no other file is ever read."""
    refused = house.run("runbook", wrong)
    assert refused.exit_code == ExitCode.REFUSED
    assert f"got {wrong!r}" in refused.stderr
    assert "reverted" in refused.stderr


@pytest.mark.usefixtures("nothing_answers")
def test_without_a_name_all_are_listed(house: House) -> None:
    """By what one sees; as JSON with their texts."""
    listed = [line.split("  ")[0] for line in house.run("runbook").stdout.splitlines()]
    assert listed == [one.name for one in read_runbooks().runbooks]
    assert [one["name"] for one in house.json("runbook")["runbooks"]] == listed


def test_each_leads_to_others_by_a_command_that_is_there(house: House) -> None:
    """Links of the files are commands on a terminal."""
    known = {command_of(one.file) for one in read_runbooks().runbooks}
    for one in read_runbooks().runbooks:
        said = house.run("runbook", one.name).stdout
        assert "](" not in said
        assert set(re.findall(r"`(rollout runbook [\w-]+)`", said)) <= known
