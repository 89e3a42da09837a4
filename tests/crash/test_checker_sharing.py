"""Order and resources: each planted violation is caught, and what is lawful is not."""

from dataclasses import replace
from typing import Any

from tests.crash.evidence import Evidence
from tests.crash.history import Event
from tests.crash.planted import S, at, good, kinds

KEY = "turns 7"


def run(job: str, begin: float, end: float, who: str = "legacy", **facts: Any) -> list[Event]:
    """An attempt of a job, from its claim to its commit."""
    t0 = int((begin - 0.001) * S)
    return [
        at(begin - 0.001, who, "asked", job=job, now=int(begin * 1e6)),
        at(
            begin, who, "claimed", job=job, name="turns", path="legacy", attempt=1, fence=0, t0=t0,
            asked=None, takes={"bench": 1}, **facts,
        ),
        at(end, who, "asked", job=job, now=int(end * 1e6)),
        at(end + 0.001, who, "committed", job=job, attempt=1, path="legacy"),
    ]  # fmt: skip


def submitted(*jobs: str, seconds: float = 1.5) -> Event:
    """Jobs of one key, in this order."""
    return at(seconds, "producer1", "submitted", name="turns", jobs=list(jobs), key=KEY)


def found(*events: Event, capacity: int = 2) -> list[str]:
    """What the rules say of a history with these events; the jobs have no rows, so are lost."""
    later = {event["what"] for event in events} & {"ended"}
    kept = [event for event in good().events if event["what"] not in later]
    whole = sorted([*kept, *events], key=lambda event: int(event["t"]))
    evidence: Evidence = replace(good(), events=whole, capacities={"bench": capacity})
    return [kind for kind in kinds(evidence) if kind != "lost"]


def test_one_after_the_other_is_good() -> None:
    """Also when a later submission's key is another one."""
    story = [submitted("c", "d"), *run("c", 3, 3.5), *run("d", 3.6, 4)]
    assert found(*story) == []


def test_a_job_that_is_claimed_after_a_later_one_of_its_key() -> None:
    """The later one overtook it."""
    story = [submitted("c", "d"), *run("d", 3, 3.5), *run("c", 3.6, 4)]
    assert found(*story) == ["out of order"]


def test_two_jobs_of_a_key_at_once() -> None:
    """In the right order, and the first is not over when the second starts."""
    story = [submitted("c", "d"), *run("c", 3, 4), *run("d", 3.5, 4.5, "forked")]
    assert found(*story) == ["out of order"]


def test_two_jobs_at_once_without_an_order() -> None:
    """Nobody promised anything."""
    together = [*run("c", 3, 4), *run("d", 3.5, 4.5, "forked")]
    assert found(submitted("c"), *together) == []


def test_a_job_that_was_unfiled_or_lost_its_row_has_no_place_of_its_own() -> None:
    """It takes the last one."""
    for what in ("unfiled", "rows gone"):
        story = [submitted("c", "d"), at(2, "driver", what, jobs=["c"]), *run("d", 3, 3.5)]
        assert found(*story, *run("c", 3.6, 4)) == []


def test_more_in_use_than_there_is() -> None:
    """Two that held at one moment, of one."""
    together = [*run("c", 3, 4), *run("d", 3.5, 4.5, "forked")]
    assert found(*together, capacity=1) == ["capacity exceeded"]
    assert found(*together, capacity=2) == []
    assert found(*run("c", 3, 4), *run("d", 4.1, 4.5), capacity=1) == []


def test_an_attempt_that_did_not_commit_may_have_lost_its_job() -> None:
    """A worker that was taken for dead runs on; what it held is free."""
    lost = run("c", 3, 8)[:2]
    assert found(*lost, *run("d", 5, 6, "forked"), capacity=1) == []


def test_one_that_rests_while_nobody_holds_what_it_needs() -> None:
    """With everything up, for longer than a turn of the controller takes."""
    rest = at(9.5, "legacy", "claim refused", job="d", why="taken", needs=["bench"])
    late = at(25, "driver", "ended", open=0)
    assert found(rest, *run("d", 24, 24.5), late, capacity=1) == ["left waiting"]
    called = at(11, "legacy", "called", jobs=["d"])
    assert found(rest, called, *run("d", 24, 24.5), late, capacity=1) == []
    assert found(rest, *run("c", 9.4, 23), *run("d", 24, 24.5), late, capacity=1) == []
