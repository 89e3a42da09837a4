"""The broker in memory: order, hands, redelivery, loss."""

import pytest

from rollout.adapters.memory.queues import MemoryMessage, MemoryQueues
from rollout.errors import BrokerUnreachable
from rollout.jobs.ports import Handed, Held
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME

L, C = JobPath.LEGACY, JobPath.CONCURRENT


def message(job_id: str, path: JobPath = C, name: str = NAME) -> MemoryMessage:
    """One message."""
    return MemoryMessage(name, path, job_id, "{}")


def filled(*job_ids: str) -> MemoryQueues:
    """Queues with these jobs waiting on the concurrent path."""
    queues = MemoryQueues()
    for job_id in job_ids:
        queues.send(message(job_id))
    return queues


def test_the_oldest_message_is_taken_first_and_stays_in_hand() -> None:
    """What a worker holds is neither waiting nor gone until it is acknowledged."""
    queues = filled("a", "b")
    taken = queues.take(NAME, C)
    assert taken is not None
    assert taken.job_id == "a"
    assert queues.held(NAME) == Held(frozenset("a"), {C: "b", L: None}, {C: 1, L: 0})
    queues.acknowledge(taken)
    assert queues.held(NAME) == Held(frozenset(), {C: "b", L: None}, {C: 1, L: 0})
    assert queues.take(NAME, L) is None


def test_handed_jobs_go_to_the_end_of_legacy() -> None:
    """But for those whose envelope nobody kept."""
    queues = filled()
    queues.send_jobs([Handed("a", NAME, "E", Reason.KILLED), Handed("b", NAME, "", Reason.KILLED)])
    taken = queues.take(NAME, L)
    assert taken is not None
    assert (taken.job_id, taken.envelope, taken.path) == ("a", "E", L)
    assert queues.take(NAME, L) is None


def test_one_sub_pipelines_queues_are_its_own() -> None:
    """Waiting messages are counted by name."""
    queues = filled("a")
    queues.send(message("b", L, "bills"))
    assert queues.held(NAME).waiting == {C: 1, L: 0}
    assert queues.held("bills").waiting == {C: 0, L: 1}


def test_a_broker_that_is_away_says_so_and_keeps_what_it_has() -> None:
    """Every call raises BrokerUnreachable."""
    queues = filled("a", "b")
    taken = queues.take(NAME, C)
    assert taken is not None
    queues.reachable = False
    for act in (
        lambda: queues.send(message("c")),
        lambda: queues.take(NAME, C),
        lambda: queues.acknowledge(taken),
        lambda: queues.held(NAME),
        lambda: queues.send_jobs([]),
    ):
        with pytest.raises(BrokerUnreachable):
            act()
    queues.reachable = True
    assert queues.held(NAME) == Held(frozenset("a"), {C: "b", L: None}, {C: 1, L: 0})
