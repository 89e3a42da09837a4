"""A kill says each half when it holds, and moves the jobs after that, slice by slice."""

from typing import Any

from rollout.control.kill_report import Heard, KillReport
from rollout.control.recall import SLICE
from rollout.errors import LedgerBusy
from rollout.routing.decision import JobPath
from rollout.routing.ports import Kill
from tests.builders import NAME, filing
from tests.world import GONE, World

JOBS = 3 * SLICE + 7


def waiting(world: World) -> int:
    """Jobs on the concurrent path."""
    counts = world.ledger.open_counts()
    return sum(count.jobs for count in counts if count.path is JobPath.CONCURRENT)


def test_each_half_is_said_before_the_first_job_is_moved(world: World) -> None:
    """The latch, then the fence, then the jobs; what was said stays true."""
    world.declare()
    world.ledger.file([filing(f"job-{number}") for number in range(JOBS)])
    order: list[tuple[str, int, bool]] = []

    def note(what: str) -> Any:
        def heard(report: KillReport) -> None:
            order.append((what, waiting(world), world.ledger.control(NAME).killed))

        return heard

    moved: list[tuple[int, int]] = []
    heard = Heard(
        blocked=note("blocked"),
        holds=note("holds"),
        moved=lambda done, total: moved.append((done, total)),
    )
    report = world.runtime.changes.kill(NAME, "ada", "errors", heard=heard)
    assert order == [("blocked", JOBS, False), ("holds", JOBS, True)]
    assert moved == [(SLICE * n, JOBS) for n in (1, 2, 3)] + [(JOBS, JOBS)]
    assert (report.queued_sent_back, report.left) == (JOBS, False)


def test_a_kill_that_is_stopped_has_lost_nothing_and_can_be_repeated(world: World) -> None:
    """Stopped between two slices: both halves hold, the rest waits, a second kill moves it."""
    world.declare()
    world.ledger.file([filing(f"job-{number}") for number in range(JOBS)])
    slices: list[int] = []
    heard = Heard(moved=lambda done, total: slices.append(done), stopped=lambda: len(slices) == 2)
    report = world.runtime.changes.kill(NAME, "ada", "errors", heard=heard)
    assert report.complete
    assert report.left
    assert len(world.queues.sent) == 2 * SLICE
    assert waiting(world) == JOBS - 2 * SLICE
    again = world.runtime.changes.kill(NAME, "ada", "errors")
    assert not again.left
    assert sorted(world.queues.sent) == sorted(f"job-{number}" for number in range(JOBS))


def test_a_fence_that_is_held_is_reported_as_such(world: World) -> None:
    """Starts are blocked, commits are not fenced, and the report says who is in the way."""
    world.declare()

    def refuse(kill: Kill, **given: Any) -> Any:
        given["waiting"]("session 7 (psql)")
        raise LedgerBusy("sqlite:///x", GONE, ("session 7 (psql)",))

    world.ledger.kill = refuse  # type: ignore[method-assign]
    heard: list[str] = []
    report = world.runtime.changes.kill(
        NAME, "ada", "errors", heard=Heard(waiting=lambda report, who: heard.append(who))
    )
    assert heard == ["session 7 (psql)"]
    assert (report.complete, report.holds) == (False, True)
    assert report.held_by == ("session 7 (psql)",)
    assert "somebody holds" in str(report.ledger_error)
