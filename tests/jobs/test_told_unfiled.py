"""What a producer's log says while the ledger is away: the first job at once, then their number."""

from structlog.testing import capture_logs

from rollout.routing.effects import Effects
from tests.builders import NAME, filing
from tests.world import World


def test_an_outage_is_a_line_each_ten_seconds_and_its_end(world: World) -> None:
    """A line for each job would fill the disk of every producer."""
    submit, clock = world.runtime.submit, world.clock

    def file(number: int) -> bool:
        return submit.file(NAME, Effects.NONE, 0, [filing(f"job-{number}")])

    world.line.cut("file")
    with capture_logs() as logs:
        assert not any(file(number) for number in range(50))
        clock.advance(10)
        assert not file(50)
        assert not file(51)
        world.line.mend()
        assert file(52)
        assert file(53)
    told = [(one["event"], one.get("jobs", one.get("unfiled"))) for one in logs]
    assert told == [
        ("jobs go to legacy unfiled", 1),
        ("jobs go to legacy unfiled", 50),
        ("jobs are filed again", 1),
    ]
