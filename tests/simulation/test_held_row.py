"""A control row that somebody holds: the controller beats, and fences when the row is free."""

from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.simulation.limits import LONG_QUEUE, SLICE, TICK_S
from tests.simulation.producer import Kind
from tests.simulation.world import World

HELD, OTHER = (Kind(name, Effects.COMMIT, 0) for name in ("parts", "mails"))


def opened() -> World:
    """A calm world in which both sub-pipelines run concurrently."""
    world = World(3, [HELD, OTHER], calm=True)
    for kind in (HELD, OTHER):
        world.person(lambda one, name=kind.name: one.change(name, Event.START, None, seen=True))  # type: ignore[misc]  # bound now
    world.scheduler.run(world.scheduler.now_s + 3 * TICK_S)
    return world


def test_a_held_row_costs_no_heartbeat_and_no_other_scope() -> None:
    """Starts are blocked at once; nobody else is sent to legacy for it; the fence follows."""
    world = opened()
    world.ledger.held_rows.add(HELD.name)
    world.person(lambda one: one.kill(HELD.name))
    for _ in range(40):
        world.scheduler.run(world.scheduler.now_s + TICK_S / 2)
        assert world.store.read(OTHER.name).supervised
    assert world.store.read(HELD.name).killed
    assert not world.ledger.control(HELD.name).killed
    world.ledger.held_rows.clear()
    world.scheduler.run(world.scheduler.now_s + 2 * TICK_S)
    assert world.ledger.control(HELD.name).killed
    assert world.judge.found == []


def test_a_long_queue_is_moved_in_slices_beside_everything_else() -> None:
    """More jobs than a slice; each ends once, and the other sub-pipeline keeps its scope."""
    world = opened()
    assert LONG_QUEUE > 3 * SLICE
    for number in range(LONG_QUEUE):
        world.submit(HELD, f"long-{number}")
    world.person(lambda one: one.kill(HELD.name))
    world.scheduler.run(world.scheduler.now_s + TICK_S)
    assert world.store.read(OTHER.name).supervised
    world.settle()
    assert world.judge.found == []
    assert not [job for job in world.open_jobs(HELD.name) if job.path is JobPath.CONCURRENT]
