"""At 80 columns no table is folded unreadably, and nothing but a sentence is wider.

A sentence is never broken, so that it can be searched for and copied; a terminal wraps it. All that
is drawn in columns has to fit.
"""

import re
from datetime import timedelta

import pytest

from rollout.drills.ports import DrillEvent
from rollout.drills.score import Result, Score
from rollout.routing.decision import JobPath
from tests.shells.conftest import House
from tests.shells.test_first_screen import fall_back, hurt

WIDTH = 80

COMMANDS = (
    "", "status", "why NAME", "history NAME", "decision 1", "jobs --failed", "jobs --fallbacks",
    "jobs --running", "job ID", "report NAME", "drill list", "drill show DRILL",
    "drill journal DRILL", "plan NAME --jobs-per-day 1000 --failing 0.01", "policy show NAME",
    "policy check", "doctor", "shadow-report NAME", "messages", "resources",
)  # fmt: skip


@pytest.fixture
def full(house: House) -> House:
    """A plant in which every table has rows, with a name and an error as long as they come."""
    house.run("start", "invoices", "--reason", "a reason that is a whole sentence of some length")
    house.tick()
    fall_back(house, "sqlalchemy.exc.OperationalError: server closed the connection unexpectedly")
    house.begin(house.submit())
    house.fail(house.submit(), "ValueError: customer 4711 of tenant 0815 has no address yet")
    with house.services() as runtime:
        ledger, now = runtime.ledger, runtime.clock.now()
        for build in ("2026-11-24-release-1", "2026-11-25-release-2"):
            ledger.announce("invoices", JobPath.CONCURRENT, build)
        ledger.keep_message("invoices.legacy", "no task named x", "{}", "body" * 40, now)
        facts = {"path": "concurrent", "fault": "kill_child", "deadline_s": 90, "actor": "ana"}
        end = now + timedelta(seconds=5)
        score = Score(
            "20261124T090000-abcdef", JobPath.CONCURRENT, Result.NOT_HEALED, "Not healed by 90 s.",
            now, end, None, 5.0, 90.0, 12, 0, 0,
        )  # fmt: skip
        drill = score.drill_id
        ledger.append_drill(
            [
                DrillEvent(drill, "invoices", now, "declared", facts),
                DrillEvent(drill, "invoices", now, "fault on", {"jobs": 12}),
                DrillEvent(drill, "invoices", end, "ended", score.facts()),
            ]
        )
    hurt(house)
    house.declare("invoices-of-all-customers")
    return house


def typed(command: str, house: House) -> list[str]:
    """The words of a command."""
    there = {"NAME": "invoices", "ID": house.ids[0], "DRILL": "20261124T090000-abcdef"}
    return [there.get(word, word) for word in command.split()]


def is_sentence(line: str) -> bool:
    """Whether a line is words and not columns; a Markdown table is for a ticket, not a screen."""
    return len(re.split(r"\s{2,}", line.strip())) <= 3 or line.startswith("|")


def broken_words(shown: str, words: tuple[str, ...]) -> list[str]:
    """Words that are somewhere in the output once its line breaks are gone, and nowhere whole."""
    together = re.sub(r"\s+", "", shown)
    return [word for word in words if word in together and word not in shown]


WORDS = (
    "concurrent", "kill_child", "not healed", "sub-pipeline", "controller", "insufficient",
    "OperationalError", "2026-11-25-release-2",
)  # fmt: skip
"""Long words that the tables of this plant have to show whole."""


def test_what_stands_in_columns_fits(full: House) -> None:
    """No drawn line is wider than the terminal, and no cell breaks a word.

    All commands look at one plant, which takes longer to fill than all of them to run.
    """
    for command in COMMANDS:
        shown = full.run(*typed(command, full)).stdout
        assert shown.strip(), command
        for line in shown.splitlines():
            assert len(line) <= WIDTH or is_sentence(line), (command, line)
        assert broken_words(shown, WORDS) == [], command


def test_ids_and_times_are_whole(full: House) -> None:
    """What is copied stands on one line."""
    for command, whole in (
        ("jobs --failed", full.ids[2]),
        ("drill list", "20261124T090000-abcdef"[:12]),
        ("history invoices", "start"),
    ):
        lines = full.run(*command.split()).stdout.splitlines()
        assert any(whole in line for line in lines), command
