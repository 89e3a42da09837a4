"""The clock of the simulation: what stops goes on when it is told to."""

from tests.simulation.scheduler import Scheduler


def test_a_second_shorter_stop_does_not_hide_the_first() -> None:
    """Found by seed 182: a controller slept on after everything had been healed."""
    scheduler = Scheduler()
    ran: list[float] = []
    actor = scheduler.spawn("paused", lambda: ran.append(scheduler.now_s), after_s=1)
    scheduler.stop(actor, 1_000)
    scheduler.run(10)
    scheduler.stop(actor, 50)
    scheduler.run(100)
    scheduler.go_on(actor)
    scheduler.run(200)
    assert ran == [100]
