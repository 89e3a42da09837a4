"""Corrupt records: with payload and reason into the dead letter, up to its caps."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.execution import Caps, Chain, ChainEngine, DeadLetter, Stage, reject
from rollout.execution.dead_letter import Rejected, Tally
from rollout.execution.errors import BatchFailed, CorruptRecord, TooManyDeadLetters

ANY = Caps(None, None, None)


def letters(path: Path) -> list[dict[str, Any]]:
    """What is in the dead letter."""
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def number(text: str) -> int:
    """A stage's work per record."""
    return int(text)


def parsing(each: bool = True, size: int = 4) -> Chain:
    """Text to numbers, then their doubles, with more workers than the order would like."""
    stage = Stage("parse", number, 3, each=True, corrupt=ValueError)
    if not each:
        stage = Stage("parse", parse_batch, 3)
    return Chain("numbers", [stage, Stage("double", double, 2)], size=size)


def parse_batch(batch: list[str]) -> list[int]:
    """The same for whole batches."""
    given: list[int] = []
    for record in batch:
        if record.isdigit():
            given.append(int(record))
        else:
            reject(record, f"no number: {record}")
    return given


def double(batch: list[int]) -> list[int]:
    """Reject thirteen, behind the first stage."""
    for record in batch:
        if record == 13:
            reject(record, "unlucky")
    return [record * 2 for record in batch if record != 13]


@pytest.mark.parametrize("each", [True, False])
def test_a_corrupt_record_goes_to_the_dead_letter(tmp_path: Path, each: bool) -> None:
    """With its position in the source, the stage and the payload there; the rest lands."""
    records = [str(record) for record in range(20)]
    records[5] = records[6] = "six"
    letter = DeadLetter(tmp_path / "dead", ANY)
    report = ChainEngine(parsing(each), records, dead_letter=letter).run()
    assert report.output == [record * 2 for record in range(20) if record not in (5, 6, 13)]
    assert report.dead == 3
    found = letters(tmp_path / "dead")
    assert [(one["batch"], one["position"], one["stage"], one["payload"]) for one in found] == [
        (1, 5, "parse", "six"),
        (1, 6, "parse", "six"),
        (3, 13, "double", 13),
    ]
    assert "six" in found[0]["reason"]
    assert found[2]["reason"] == "unlucky"


def test_without_a_dead_letter_a_corrupt_record_fails_its_batch() -> None:
    """Nothing is dropped that nobody would find."""
    with pytest.raises(BatchFailed) as caught:
        ChainEngine(parsing(), ["1", "x"]).run()
    assert isinstance(caught.value.error, CorruptRecord)


def test_other_errors_fail_the_batch(tmp_path: Path) -> None:
    """Only what is declared as corrupt is; a fault of the stage is no fault of the record."""
    records: list[Any] = ["1", None]
    with pytest.raises(BatchFailed, match="TypeError"):
        ChainEngine(parsing(), records, dead_letter=DeadLetter(tmp_path / "dead")).run()


@pytest.mark.parametrize(
    ("caps", "corrupt", "which", "landed"),
    [
        (Caps(2, None, None), [1, 9, 17], "in all", 16),
        (Caps(None, 2, None), [7, 8, 9], "in a row", 8),
        (Caps(None, None, 0.1, 8), [9, 10], "share", 8),
    ],
)
def test_each_cap_stops_the_run_loudly(
    tmp_path: Path, caps: Caps, corrupt: list[int], which: str, landed: int
) -> None:
    """In number, in a row (over the border of two batches), and in share; the prefix has landed."""
    records = ["x" if record in corrupt else "2" for record in range(40)]
    done: list[int] = []
    letter = DeadLetter(tmp_path / "dead", caps)
    engine = ChainEngine(
        parsing(), records, dead_letter=letter, sink=lambda rows, at: done.append(at.records)
    )
    with pytest.raises(TooManyDeadLetters, match=which):
        engine.run()
    assert sum(done) == landed
    assert letters(tmp_path / "dead"), "what was found is there to look at"


def test_up_to_the_cap_it_goes_on(tmp_path: Path) -> None:
    """Exactly as many as allowed are no reason to stop."""
    records = ["x" if record in (1, 2, 9) else "2" for record in range(30)]
    letter = DeadLetter(tmp_path / "dead", Caps(3, 2, 0.1, 30))
    assert ChainEngine(parsing(), records, dead_letter=letter).run().dead == 3


def test_letters_of_batches_that_did_not_land_are_dropped(tmp_path: Path) -> None:
    """A second run writes them anew; none is there twice, and the row goes on over the border."""
    letter = DeadLetter(tmp_path / "dead", Caps(None, 3, None))
    letter.open_for("c", 0, 0)
    letter.take(0, 0, 2, [Rejected(1, "s", "r", "a")])
    letter.take(1, 2, 2, [Rejected(2, "s", "r", "b")])
    letter.close()
    letter.open_for("c", 1, 2)
    assert letter.tally == Tally(2, 1, 1, 1)
    letter.take(1, 2, 2, [Rejected(2, "s", "r", "b"), Rejected(3, "s", "r", "c")])
    with pytest.raises(TooManyDeadLetters, match="in a row up to 3, got 4"):
        letter.take(2, 4, 2, [Rejected(4, "s", "r", "d")])
    letter.close()
    assert [one["payload"] for one in letters(tmp_path / "dead")] == ["a", "b", "c", "d"]


def test_a_payload_that_is_no_json_is_kept_as_text(tmp_path: Path) -> None:
    """Better than to lose it, or to fail because of it."""
    letter = DeadLetter(tmp_path / "dead")
    letter.open_for("c", 0, 0)
    letter.take(0, 0, 1, [Rejected(0, "s", "r", {1, 2})])
    letter.close()
    assert letters(tmp_path / "dead")[0]["payload"] == {"repr": "{1, 2}"}


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 7))
def test_the_tally_does_not_depend_on_the_batches(corrupt: list[bool], size: int) -> None:
    """However the records are cut, the longest row and the number are the same."""
    dead = [Rejected(at, "s", "r", at) for at, one in enumerate(corrupt) if one]
    whole = Tally().after(0, len(corrupt), dead)
    tally = Tally()
    for first in range(0, len(corrupt), size):
        count = min(size, len(corrupt) - first)
        part = [one for one in dead if one.position in range(first, first + count)]
        tally = tally.after(first, count, part)
    assert tally == whole
    rows = "".join("x" if one else " " for one in corrupt).split()
    assert whole.in_a_row_max == max(map(len, rows), default=0)
