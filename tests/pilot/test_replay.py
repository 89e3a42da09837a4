"""Every kind of decision that a controller really made comes out the same when made again."""

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.adapters.sql.ledger import SqlLedger
from rollout.cli.why_view import render
from rollout.desk.pending import Why
from rollout.errors import UnreadableDecision
from rollout.pilot.ports import DecisionRecord
from rollout.pilot.replay import evidence_of, replay
from rollout.policy.policy import Cohort, Policies, Policy
from rollout.routing.effects import Effects
from rollout.routing.stages import Event, Stage
from rollout.wiring import build
from tests.builders import NAME
from tests.hand_clock import HandClock
from tests.stream import Stream
from tests.world import CutLedger, FakeQueues, World

SECOND = "refunds"
QUICK = Policy(
    drills_min=0,
    quiet=(),
    bake_days=1,
    ladder_bp=(5000, 7000),
    budget_failed=100.0,
    budget_late=150.0,
    cooldown_days=0,
)
"""A day a step and a wide budget: a few hundred jobs take a pilot up the whole ladder."""


@dataclass
class Pilot:
    """What a whole pilot left behind: its decisions, and what `why` said on the way."""

    decisions: list[DecisionRecord]
    climbing: Why
    reverted: Why
    confirmed: Why

    def of(self, action: str) -> DecisionRecord:
        """The first decision of a kind."""
        return next(one for one in self.decisions if one.action == action)


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory, migrated_file: bytes) -> Iterator[Pilot]:
    """Up the ladder, not proven once on the way, graduated, followed by its cohort, reverted."""
    folder = tmp_path_factory.mktemp("pilot")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        world = _world(folder, migrated_file)
        yield _fly(world)
        world.runtime.close()


def _world(folder: Path, migrated_file: bytes) -> World:
    (folder / "ledger.db").write_bytes(migrated_file)
    runtime = build(ledger_url="sqlite:///ledger.db", control_url="memory:")
    runtime.clock, runtime.queues = HandClock(), FakeQueues()
    runtime.policies = Policies(
        default=QUICK, cohorts=(Cohort(name="billing", members=(NAME, SECOND)),)
    )
    ledger = SqlLedger(runtime.database)
    runtime.ledger = ledger
    control = runtime.control
    assert isinstance(control, MemoryControlStore)
    return World(runtime, runtime.clock, control, ledger, CutLedger(ledger), runtime.queues)


def _fly(world: World) -> Pilot:
    for name in (NAME, SECOND):
        world.ledger.ensure(name, Effects.COMMIT, 3000, world.clock.now())
    stream = Stream(world, jobs_a_day=800)
    stream.tick_s = 3600.0
    stream.days(1)
    world.runtime.changes.change(NAME, Event.START, "ada", "go")
    world.runtime.changes.change(NAME, Event.SCOPE, "ada", "half", scope_bp=5000)
    stream.days(1.2)  # the first look: equal paths are not proven without a margin
    climbing = world.runtime.explanations.why(NAME)
    stream.slow_concurrent = 0.4
    while world.ledger.control(NAME).stage is not Stage.GRADUATED:
        stream.days(0.5)
        assert world.clock.now() < HandClock().at.replace(day=10), "not graduated in a week"
    stream.days(0.1)
    stream.fail_concurrent = 1.0
    stream.until(lambda: world.ledger.control(NAME).stage is Stage.LEGACY, hours=12)
    reverted = world.runtime.explanations.why(NAME)
    stream.days(0.1)
    confirmed = world.runtime.explanations.why(NAME)
    decisions = world.ledger.decisions(None, 1000)[::-1]
    return Pilot(decisions, climbing, reverted, confirmed)


def test_every_kind_of_decision_was_made(pilot: Pilot) -> None:
    """The pilot is worth replaying: it has held, looked in vain, climbed, followed, reverted."""
    actions = {one.action for one in pilot.decisions}
    assert actions == {"hold", "advance", "graduate", "revert", "confirm"}
    windows = {one.window.split("/", 1)[1] for one in pilot.decisions}
    assert "enter" in windows
    assert any(one.action == "hold" and "/look/" in one.window for one in pilot.decisions)


def test_every_decision_agrees(pilot: Pilot) -> None:
    """The same inputs give the same answer to the last digit."""
    for record in pilot.decisions:
        assert replay(record).differences == ()


def _with_inputs(record: DecisionRecord, change: Callable[[Any], None]) -> DecisionRecord:
    inputs = json.loads(record.inputs)
    change(inputs)
    return replace(record, inputs=json.dumps(inputs))


def _fewer_failures(inputs: Any) -> None:
    inputs["situation"]["evidence"]["fast"]["latched"] = False
    inputs["situation"]["evidence"]["errors"]["latched"] = False


def _earlier(inputs: Any) -> None:
    inputs["situation"]["now"] = inputs["situation"]["began_at"]


def _stricter(inputs: Any) -> None:
    inputs["situation"]["totals"]["failures"][1] += 500


def _still_concurrent(inputs: Any) -> None:
    inputs["confirm"]["routed"]["concurrent"] = 1


def _reverted_member(inputs: Any) -> None:
    inputs["entry"]["members"][NAME]["reverted"] = True


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("revert", _fewer_failures),
        ("advance", _earlier),
        ("graduate", _stricter),
        ("confirm", _still_concurrent),
    ],
)
def test_tampered_inputs_disagree(pilot: Pilot, action: str, change: Callable[[Any], None]) -> None:
    """A decision whose inputs were altered comes out as another one."""
    assert not replay(_with_inputs(pilot.of(action), change)).agrees


def test_a_tampered_entry_disagrees(pilot: Pilot) -> None:
    """A member that entered with its cohort would not have, had its first one been reverted."""
    record = next(one for one in pilot.decisions if one.window.endswith("/enter"))
    assert record.name == SECOND
    assert not replay(_with_inputs(record, _reverted_member)).agrees


@pytest.mark.parametrize("column", ["action", "sentence", "window"])
def test_a_tampered_line_of_the_log_disagrees(pilot: Pilot, column: str) -> None:
    """What the log shows beside the answer is held against it, too."""
    altered = replace(pilot.of("revert"))
    object.__setattr__(altered, column, "something else")  # the column is chosen by name
    (difference,) = replay(altered).differences
    assert difference.where == f"column {column}"


def test_a_tampered_answer_names_the_number(pilot: Pilot) -> None:
    """A number of the stored answer that was altered is named with both values."""
    record = pilot.of("revert")
    answer = json.loads(record.answer)
    answer["findings"][0]["n_concurrent"] += 1
    (difference,) = replay(replace(record, answer=json.dumps(answer))).differences
    assert difference.where == "findings[0].n_concurrent"
    assert int(difference.decided) == int(difference.replayed) + 1


@pytest.mark.parametrize("inputs", ["", "{}", "[]", "null", '{"policy": {}, "situation": {}}'])
def test_unreadable_inputs_are_refused(pilot: Pilot, inputs: str) -> None:
    """What this release cannot read is an error with a hint, never an agreement."""
    with pytest.raises(UnreadableDecision, match="must hold inputs and answer"):
        replay(replace(pilot.of("advance"), inputs=inputs))


def test_the_evidence_of_a_past_decision_is_read_back(pilot: Pilot) -> None:
    """A revert shows the situation and the verdict that it was made on."""
    found = evidence_of(pilot.of("revert"))
    assert found.seen is not None
    assert found.seen.state.scope_bp == 7000
    assert "regress" in {one.verdict.value for one in found.findings}
    assert found.reasons


def test_why_while_climbing(pilot: Pilot) -> None:
    """Unproven after the first look: the pending decision, its proofs, and what they still take."""
    why = pilot.climbing
    assert why.last is not None
    assert why.last.window.endswith("/look/1")
    pending = why.pending
    assert pending.made is not None
    assert pending.outlook is not None
    assert pending.outlook.to_bp == 7000
    needs = {one.what: one for one in pending.outlook.needs}
    assert {"bake", "cycle_median", "cycle_tail"} & set(needs) >= {"bake"}
    assert pending.outlook.not_before == needs["bake"].at
    assert pending.not_ready == ()
    assert why.leader.alive


STATISTIC = re.compile(r"\bz\b|\bphi\b|-2\.35|333|\de-0|p-value|statistic|_step\b|_t[a-z]+l\b")
"""What nobody can use at three in the morning, and names that only code knows."""


def screens(why: Why) -> tuple[str, str]:
    """What `why` prints before its statistics, and those."""
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(why))
    first, _, numbers = console.export_text().partition("statistics\n")
    return first, numbers


def test_the_first_screen_is_in_jobs_a_week(pilot: Pilot) -> None:
    """What is shown so far, the budget, how long it still takes, a bar; the rest stands below."""
    first, numbers = screens(pilot.climbing)
    (late,) = [line for line in first.splitlines() if "extra late jobs a week" in line]
    assert re.search(r"[#.]{10} late jobs +Shown so far: at most \d+ extra late jobs", late)
    assert "the budget is 150" in late
    assert " more at this rate (" in first or "not at present rates" in first
    assert STATISTIC.findall(first) == []
    assert "333.3" in numbers
    assert "-2.35" in numbers


def test_no_decision_is_said_in_statistics(pilot: Pilot) -> None:
    """History, status and notices show these sentences as they are."""
    for one in pilot.decisions:
        assert STATISTIC.findall(one.sentence) == [], one.sentence
    first, _ = screens(pilot.reverted)
    assert STATISTIC.findall(first) == []


def test_a_graduation_says_what_was_shown_and_what_is_open(pilot: Pilot) -> None:
    """In jobs a week, of failed and of late ones."""
    said = pilot.of("graduate").sentence
    assert re.search(r"between \d+ (fewer|more) and \d+ (fewer|more) failed jobs a week", said)
    assert re.search(r"between [\d,]+ (fewer|more) and [\d,]+ (fewer|more) late jobs a week", said)


def test_why_asks_as_the_controller_does(pilot: Pilot) -> None:
    """What was pending while it climbed is the hold that the controller recorded after it."""
    made = pilot.climbing.pending.made
    assert made is not None
    windows = [one.window for one in pilot.decisions if one.name == NAME]
    assert made.window in windows


def test_why_after_a_revert(pilot: Pilot) -> None:
    """The revert with its reason; confirmed only when routing has shown it."""
    for why in (pilot.reverted, pilot.confirmed):
        assert why.last is not None
        assert why.last.action == "revert"
    assert pilot.reverted.confirmation == "not confirmed yet: no job was admitted since the revert"
    assert pilot.confirmed.confirmation is not None
    assert pilot.confirmed.confirmation.startswith("routing confirms the revert: 0 of ")
