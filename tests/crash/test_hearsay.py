"""What counts as known to the broker alone, from the histories as they grow."""

import json
from pathlib import Path

import pytest

from tests.crash.hearsay import Hearsay


def tell(folder: Path, file: str, what: str, **facts: object) -> None:
    """Let a process write one event."""
    with (folder / f"{file}.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"what": what, **facts}, separators=(",", ":")) + "\n")


def nowhere(job_id: str) -> bool:
    """Say that the ledger has no row of any job."""
    return False


def test_what_was_submitted_unfiled_stays_until_it_ran(tmp_path: Path) -> None:
    """A submission that was told of no error is the broker's until a worker is through with it."""
    hearsay = Hearsay(tmp_path)
    tell(tmp_path, "producer1-7", "unfiled", jobs=["a", "b"])
    tell(tmp_path, "producer1-7", "submitted", jobs=["a", "b"])
    tell(tmp_path, "producer1-7", "submit failed", why="another one")
    assert hearsay.unfiled(nowhere) == {"a", "b"}
    tell(tmp_path, "legacy-8", "ran unclaimed", job="a")
    assert hearsay.unfiled(nowhere) == {"b"}
    assert hearsay.unfiled(lambda job_id: job_id == "b") == set()


def test_what_the_producer_was_told_of_was_never_submitted(tmp_path: Path) -> None:
    """With ledger and broker away nobody has the job: waiting for it would be for ever."""
    hearsay = Hearsay(tmp_path)
    tell(tmp_path, "producer1-7", "unfiled", jobs=["a"])
    assert hearsay.unfiled(nowhere) == {"a"}, "its message may be on its way"
    tell(tmp_path, "producer1-7", "submit failed", why="Connection refused")
    assert hearsay.unfiled(nowhere) == set()


@pytest.mark.parametrize(("lives", "left"), [(True, {"a"}), (False, set())])
def test_a_dead_producer_has_submitted_what_it_said(
    lives: bool, left: set[str], tmp_path: Path
) -> None:
    """What a producer had under way when it was killed is not demanded of anybody."""
    hearsay = Hearsay(tmp_path)
    tell(tmp_path, "producer1-7", "unfiled", jobs=["a"])
    assert hearsay.unfiled(nowhere, lambda file: lives) == left


def test_a_row_taken_away_is_no_submission(tmp_path: Path) -> None:
    """What the driver took stays unfiled, whatever producers say."""
    hearsay = Hearsay(tmp_path)
    tell(tmp_path, "driver-1", "rows gone", jobs=["a"])
    tell(tmp_path, "producer1-7", "submit failed", why="Connection refused")
    assert hearsay.unfiled(nowhere, lambda file: False) == {"a"}


def test_awaited_calls_are_there_until_they_are_heard(tmp_path: Path) -> None:
    """A chain's last task is awaited from its submission until it has been called."""
    hearsay = Hearsay(tmp_path)
    tell(tmp_path, "producer1-7", "submitted", jobs=["a"], awaited="t")
    assert hearsay.awaited() == {"t"}
    tell(tmp_path, "legacy-8", "heard", tag="t")
    assert hearsay.awaited() == set()
