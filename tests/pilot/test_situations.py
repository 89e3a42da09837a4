"""What a decision is made on: recoveries of a fleet, read at once."""

from datetime import timedelta

from rollout.evidence.counts import Counts
from rollout.pilot.ports import HourRow, Recovery
from rollout.pilot.situations import Healed, totals_of
from rollout.routing.decision import JobPath
from tests.builders import NAME, NOW
from tests.world import World

HOUR = timedelta(hours=1)


def test_bad_inputs_count_alike_on_both_paths_in_the_totals() -> None:
    """Jobs that failed on both paths were once left out of one path's totals and not of legacy's:
    5 % bad inputs hid 5 % of failures of the concurrent path."""
    hours = [
        HourRow(0, JobPath.CONCURRENT, 95, 5, 5, 0, 40, 4),
        HourRow(0, JobPath.LEGACY, 100, 5, 0, 0, 50, 5),
    ]
    totals = totals_of(hours, [])
    assert totals.failures == Counts(100, 10, 100, 5)
    assert totals.median == Counts(100, 45, 100, 50)
    assert totals.tail == Counts(100, 9, 100, 5)


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
