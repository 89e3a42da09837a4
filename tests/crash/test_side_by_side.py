"""The side-by-side table counts what is lost, what waits and what was done twice."""

from tests.crash.side_by_side.__main__ import markdown
from tests.crash.side_by_side.case import Count, Order, count, faults_of


def test_a_job_is_done_waits_or_is_lost() -> None:
    """A job with a message left is not lost yet; one done twice is done."""
    counted = count({1, 2, 3, 4, 5}, [1, 2, 2], held={3}, forgotten={1, 5})
    assert counted == Count(
        submitted=5, done=2, lost=2, lost_with_memory=1, waiting=1, done_twice=1
    )


def test_the_same_faults_hit_every_way_of_running_the_jobs() -> None:
    """They are drawn from the seed; a pool of threads has no children to kill."""
    bare, ours = (Order(mode, "prefork", 2000, 1) for mode in ("celery", "rollout"))
    assert faults_of(bare) == faults_of(ours)
    kinds = [kind for _, kind in faults_of(ours)]
    assert (kinds.count("child killed"), kinds.count("worker killed")) == (20, 3)
    assert {"broker killed, file", "broker killed, no file"} < set(kinds)
    assert "child killed" not in [kind for _, kind in faults_of(Order("rollout", "threads", 9, 1))]


def test_the_table_is_markdown() -> None:
    """One row for each way and pool."""
    row = {
        "way": "bare", "pool": "prefork", "submitted": 9, "lost": 5, "lost_with_memory": 3,
        "waiting": 1, "done_twice": 4,
    }  # fmt: skip
    assert markdown([row]).splitlines()[-1] == "| bare | prefork | 9 | 3 | 2 | 1 | 4 |"
