"""Recorded jobs from CSV and JSON lines; each bad line is named."""

from pathlib import Path

import numpy as np
import pytest

from rollout.adapters.stream_files import BadLine, read_stream
from rollout.rehearsal.job_stream import BadStream

HEADER = "arrival,cycle_s,failed\n"
BOTH = "arrival,key,legacy_s,concurrent_s,legacy_failed,concurrent_failed\n"


def write(folder: Path, text: str, name: str = "jobs.csv") -> Path:
    """A file with this text."""
    file = folder / name
    file.write_text(text)
    return file


def test_both_paths_of_each_job(tmp_path: Path) -> None:
    """Times in seconds, keys shared, spaces in the header."""
    text = BOTH.replace(",key", ", key ") + "0,a,1.5,2,0,1\n2026-01-05T09:00:00Z,b,3,4,true,false\n"
    stream = read_stream(write(tmp_path, text), "pilot")
    assert stream.legacy_us.tolist() == [1_500_000, 3_000_000]
    assert stream.concurrent_us.tolist() == [2_000_000, 4_000_000]
    assert stream.legacy_failed.tolist() == [False, True]
    assert stream.concurrent_failed.tolist() == [True, False]
    assert stream.key is not None
    assert stream.key.tolist() == [0, 1]
    assert stream.at_us[1] == 1_767_603_600_000_000


def test_a_spreadsheets_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    """Excel saves UTF-8 with a mark in front."""
    file = write(tmp_path, "\ufeff" + HEADER + "0,1,0\n")
    assert read_stream(file, "pilot").legacy_us.tolist() == [1_000_000]


def test_one_path_of_each_job_and_the_other_is_drawn(tmp_path: Path) -> None:
    """The path that a job took is as recorded; blank lines are passed over."""
    lines = "".join(
        f'{{"arrival": {n}, "cycle_s": {1 + n % 2}, "path": "{path}", "failed": false}}\n\n'
        for n, path in enumerate(["legacy", "concurrent"] * 20)
    )
    stream = read_stream(write(tmp_path, lines, "jobs.jsonl"), "pilot")
    assert stream.jobs == 40
    assert set(stream.legacy_us.tolist()) == {1_000_000}
    assert set(stream.concurrent_us.tolist()) == {2_000_000}
    assert stream.key is None
    assert np.unique(stream.position).size == 40


def test_finished_instead_of_a_cycle_time(tmp_path: Path) -> None:
    """The cycle time is the difference."""
    stream = read_stream(write(tmp_path, "arrival,finished,failed\n10,12.5,1\n"), "pilot")
    assert stream.legacy_us.tolist() == [2_500_000]
    assert stream.legacy_failed.tolist() == [True]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2,nan,0", "line 3: cycle_s must be 0..2592000 seconds, got 'nan'"),
        ("2,-1,0", "line 3: cycle_s must be 0..2592000 seconds, got '-1'"),
        ("2,1e9,0", "line 3: cycle_s must be 0..2592000 seconds, got '1e9'"),
        ("2,,0", "line 3: cycle_s must be 0..2592000 seconds, got ''"),
        ("0.5,1,0", "line 3: arrival 0.5 is before that of the line before it"),
        ("nan,1,0", "line 3: arrival must be ISO 8601 or seconds since 1970, got 'nan'"),
        ("yesterday,1,0", "line 3: arrival must be ISO 8601 or seconds since 1970"),
        ("2,1,maybe", "line 3: failed must be true or false, got 'maybe'"),
        ("2,1", "line 3: must have 3 cells as the header has, got 2"),
    ],
)
def test_a_line_that_cannot_be(tmp_path: Path, line: str, said: str) -> None:
    """What was expected, what came, and in which line."""
    with pytest.raises(BadLine) as caught:
        read_stream(write(tmp_path, f"{HEADER}1,1,0\n{line}\n3,1,0\n"), "pilot")
    assert said in caught.value.problem
    assert caught.value.line == 3
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arrival,finished,failed\n5,4,0\n", "line 2: finished 4 is before arrival 5"),
        ("arrival,finished,failed\n5,9e8,0\n", "line 2: finished must be at most 2592000 s"),
        ("arrival,cycle,failed\n", "line 1: has an unknown column 'cycle', did you mean 'cycle_s'"),
        ("arrival,cycle_s,failed,path\n1,1,0,fast\n", "path must be legacy or concurrent"),
        (
            "arrival,key,cycle_s\n1,a,1\n2,,1\n",
            "line 3: key must be there in every line or in none",
        ),
        (HEADER, "must hold a job a line, got none"),
        ("", "must hold a job a line, got none"),
        (BOTH + "1,a,1,,0,0\n", "line 2: concurrent_s must be 0..2592000 seconds, got ''"),
    ],
)
def test_a_file_that_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    """Headers, spans and empty files, too."""
    with pytest.raises(BadStream) as caught:
        read_stream(write(tmp_path, text), "pilot")
    assert said in caught.value.problem


@pytest.mark.parametrize("line", ["{", "[1]", '{"arrival": 1, "cycle_s": true, "fail": 1}'])
def test_a_json_line_that_cannot_be(tmp_path: Path, line: str) -> None:
    """Broken JSON, no object, an unknown name."""
    with pytest.raises(BadLine) as caught:
        read_stream(
            write(tmp_path, f'{{"arrival": 1, "cycle_s": 1}}\n{line}\n', "a.jsonl"), "pilot"
        )
    assert caught.value.line == 2


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    """Said, and not a traceback."""
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "none.csv", binary, tmp_path):
        with pytest.raises(BadStream, match="cannot be read"):
            read_stream(file, "pilot")
