"""What a decision is made on: recoveries of a fleet, read at once."""

from datetime import timedelta

from rollout.pilot.ports import Recovery
from rollout.pilot.situations import Healed
from rollout.routing.decision import JobPath
from tests.builders import NAME, NOW
from tests.world import World

HOUR = timedelta(hours=1)


def test_recoveries_read_at_once_are_those_of_each_name(world: World) -> None:
    """For every name and time the same as a query of its own, from one reading of the ledger."""
    for name in (NAME, "other"):
        for hours in (3, 1, 2):
            healed = Recovery(
                name=name,
                at=NOW - hours * HOUR,
                kind="drill",
                path=JobPath.LEGACY,
                fault="kill",
                onset_at=NOW - 4 * HOUR,
                seconds=float(hours),
                cap_s=60.0,
            )
            world.ledger.add_recovery(healed)
    together = Healed(world.line, NOW - 3 * HOUR)
    for name in (NAME, "other", "nobody"):
        for since in (NOW - 3 * HOUR, NOW - 2 * HOUR, NOW):
            assert together.of(name, since) == world.ledger.recoveries(name, since)
    assert together.of(NAME, NOW - 3 * HOUR) != []
    assert world.line.trace.count("recoveries") == 1
