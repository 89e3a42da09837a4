"""Each `rollout` command of a runbook is typed, as it stands there, on a plant that needs it.

The plant is a ledger on SQLite with a real Valkey: a pilot at a quarter, with a decision, a job
that failed, one that fell back and one that runs. What a command changes is looked at afterwards.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.drills.ports import DrillEvent
from rollout.routing.stages import ControlState, Event, Stage
from tests.docs.runbook_steps import PAGES, Block, Where, blocks
from tests.shells.conftest import House
from tests.shells.test_cli_drill import GOOD
from tests.shells.test_first_screen import fall_back

APP = """
from celery import Celery
from rollout import SubPipeline

app = Celery("shop", broker="redis://localhost:1/0")
invoices = SubPipeline("invoices", app=app, effects="commit", time_limit=60)


@invoices.legacy
@invoices.concurrent
def bill():
    return 1


@invoices.commit
def write(value, job):
    return value
"""

AT_BP = 2500

CODES = {
    ("doctor",): {0, 5},  # no worker listens here, which it is right to say
    ("policy", "check"): {0, 5},
    ("plan",): {1},  # the plant of the test has no traffic, and it says which options to give
    ("drill", "run"): {1},  # nobody works here, so it is refused, as the page says it can be
}
"""Exit codes that are no mistake of the page."""


@dataclass
class Plant:
    """The house of one page, and the ids that stand for ID."""

    house: House
    failed: str
    drill: str = "d1234567"

    def state(self) -> ControlState:
        """How the sub-pipeline stands."""
        with self.house.services() as runtime:
            return runtime.ledger.control("invoices")

    def typed(self, line: str) -> list[str]:
        """The words of a line, with what a person would put for NAME and ID."""
        words = shlex.split(line)[1:]
        ids = {"decision": "1", "replay": "1", "drill": self.drill}
        there = {"NAME": "invoices", "ID": ids.get(words[0], self.failed)}
        few = ["--runs", "2", "--processes", "2"] if words[0] == "determinism" else []
        return [*(there.get(word, word) for word in words), *few]

    def prepare(self, block: Block) -> None:
        """Bring the sub-pipeline into a state in which somebody would type the block."""
        verbs, state = [line.split()[1] for line in block.lines], self.state()
        with self.house.services() as runtime:
            changes = runtime.changes
            if state.killed and "rearm" not in verbs:
                changes.rearm("invoices", "ana", "test")
            if state.frozen:
                changes.change("invoices", Event.UNFREEZE, "ana", "")
            if "start" in verbs:
                changes.change("invoices", Event.REVERT, "ana", "test")
                if "rearm" in verbs and not state.killed:  # reverted first, then killed
                    changes.kill("invoices", "ana", "test")
                return
            if state.stage is Stage.LEGACY:
                changes.change("invoices", Event.START, "ana", "")
            if state.scope_bp != AT_BP:
                changes.change("invoices", Event.SCOPE, "ana", "", scope_bp=AT_BP)
            if "rearm" in verbs and not state.killed:
                changes.kill("invoices", "ana", "test")


EFFECTS: dict[str, Callable[[ControlState, list[str]], bool]] = {
    "kill": lambda state, words: state.killed,
    "rearm": lambda state, words: not state.killed,
    "revert": lambda state, words: state.stage is Stage.LEGACY,
    "start": lambda state, words: state.stage is Stage.SPLIT,
    "scope": lambda state, words: state.scope_bp == int(words[2]),
    "double": lambda state, words: state.scope_bp == 2 * AT_BP,
    "freeze": lambda state, words: state.frozen,
    "unfreeze": lambda state, words: not state.frozen,
}
"""What is true after a command that changes something."""


@pytest.fixture
def plant(house: House) -> Plant:
    """A pilot that has something of everything, and the files that commands name."""
    module = f"shop_{abs(hash(house.folder))}"
    Path(f"{module}.py").write_text(APP)
    Path("drill.toml").write_text(GOOD)
    house.setenv("ROLLOUT_APP", module)
    house.setenv("PYTHONPATH", str(house.folder))
    house.run("start", "invoices")
    house.tick()
    house.begin(house.submit())
    fall_back(house, "ValueError: customer 7 has no address")
    failed = house.submit()
    house.fail(failed)
    plant = Plant(house, failed)
    with house.services() as runtime:
        facts = {"path": "concurrent", "fault": "raise", "deadline_s": 90}
        now = runtime.clock.now()
        events = [
            DrillEvent(plant.drill, "invoices", now, "declared", facts),
            DrillEvent(plant.drill, "invoices", now, "ended", {"result": "nobody hurt"}),
        ]
        runtime.ledger.append_drill(events)
    return plant


def of_page(page: Path) -> list[Block]:
    """What is typed on a page, each block once."""
    mine = [one for one in blocks(Where.PLANT) if one.page == page.name]
    return list(dict.fromkeys(mine))


@pytest.mark.parametrize("page", [one for one in PAGES if of_page(one)], ids=lambda one: one.stem)
def test_each_step_of_a_runbook_is_typed(page: Path, plant: Plant) -> None:
    """It ends well and does what the page says that it does."""
    for block in of_page(page):
        plant.prepare(block)
        for line in block.lines:
            words = plant.typed(line)
            done = plant.house.run(*words)
            allowed = next(
                (codes for verb, codes in CODES.items() if tuple(words[: len(verb)]) == verb), {0}
            )
            assert done.exit_code in allowed, (line, done.stdout, done.stderr)
            assert done.stdout or done.stderr, line
            if words[0] in EFFECTS:
                assert EFFECTS[words[0]](plant.state(), words), line
            if words[0] == "retry":
                assert plant.house.json("job", plant.failed)["state"] == "accepted"
                plant.house.fail(plant.failed)


def test_a_drill_that_cannot_be_run_says_why_as_the_page_does(plant: Plant) -> None:
    """The runbook's list of refusals has the one that a quiet sub-pipeline gives."""
    said = plant.house.run("drill", "run", "drill.toml", "--pair").stderr
    assert "windows" in said or "no job" in said
    page = next(one for one in PAGES if one.name == "drill-overdue.md").read_text()
    assert "too few windows had jobs" in page
