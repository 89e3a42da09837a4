"""What recoveries say of a trial: drills are evidence, incidents never are."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.pilot.ports import Recovery
from rollout.pilot.readings import with_recovery
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policy
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.builders import NAME, NOW, split
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY
AFTER = NOW + timedelta(minutes=1)
HANGING = Recovery(NAME, AFTER, "drill", C, "raise", AFTER, 60.0, 60.0)
"""A drill whose concurrent path had not healed at its cap."""


def test_a_drill_that_never_healed_reverts() -> None:
    """At once: one is enough."""
    begun = begin(split(3200), (None, None), Policy(), None, NOW)
    assert with_recovery(begun, HANGING, []).latched
    early = replace(HANGING, onset_at=NOW - timedelta(minutes=1))
    assert with_recovery(begun, early, []) == begun.evidence, "it belongs to an earlier trial"


@pytest.mark.parametrize("seconds", [30.0, 60.0, 86_400.0])
def test_no_incident_is_evidence(seconds: float) -> None:
    """However slow, however many, and however well legacy's own incidents heal."""
    begun = begin(split(3200), (None, None), Policy(), None, NOW)
    incident = replace(HANGING, kind="incident", seconds=seconds, jobs_lost=1)
    legacy = [replace(incident, path=L, seconds=1.0, jobs_lost=0)] * 20
    trial = begun
    for _ in range(20):
        trial = replace(trial, evidence=with_recovery(trial, incident, legacy))
    assert trial == begun


def test_slow_drills_are_held_against_drills_of_legacy_only() -> None:
    """Legacy's incidents, which were long, set no median."""
    begun = begin(split(3200), (None, None), Policy(), None, NOW)
    slow = replace(HANGING, seconds=40.0)
    drills = [replace(slow, path=L, seconds=10.0)] * 3
    incidents = [replace(slow, path=L, kind="incident", seconds=50_000.0)] * 9
    assert with_recovery(begun, slow, drills + incidents) == begun.evidence.recovered(True)


def test_incidents_in_the_ledger_change_no_trial(world: World) -> None:
    """Twenty slow ones of the concurrent path, and a turn that read them: nothing latches."""
    world.ledger.ensure(NAME, Effects.NONE, 500, NOW)
    world.runtime.changes.change(NAME, Event.START, "a person", "", scope_bp=5_000)
    world.runtime.tick.turn()
    world.clock.advance(60)
    now = world.clock.now()
    for path, seconds in [(L, 10.0)] * 20 + [(C, 9_000.0)] * 20:
        world.ledger.add_recovery(
            replace(HANGING, at=now, onset_at=now, path=path, kind="incident", seconds=seconds)
        )
    world.clock.advance(60)
    assert world.runtime.tick.turn().errors == []
    (row,) = world.ledger.trial_rows()
    recovery = row.payload["evidence"]["recovery"]
    assert (recovery["slow"]["n"], recovery["latched"]) == (0, False)
    world.ledger.add_recovery(replace(HANGING, at=world.clock.now(), onset_at=now))
    world.clock.advance(60)
    world.runtime.tick.turn()
    assert world.runtime.ledger.control(NAME).scope_bp == 0, "a drill is evidence"
