"""The file of JSON lines: whole lines or none, whatever happens to the disk or the process."""

import errno
import json
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.execution.journal import Journal

OWNER = {"chain": "c"}


def read(path: Path) -> list[Any]:
    """The lines behind the owner's."""
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


class FullDisk:
    """A file on a disk that takes so many bytes more."""

    def __init__(self, file: FileIO, room: int) -> None:
        self.file, self.room = file, room

    def write(self, content: bytes) -> int:
        """Take what has room; nothing is an error, as write(2) has it."""
        if not self.room:
            raise OSError(errno.ENOSPC, "no space left on device")
        taken = self.file.write(content[: self.room])
        assert taken is not None
        self.room -= taken
        return taken

    def __getattr__(self, name: str) -> Any:
        """The rest as it is."""
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 1, 9])
def test_a_full_disk_leaves_no_half_line_and_no_late_one(tmp_path: Path, room: int) -> None:
    """The line is refused; the next one, when there is room again, is whole and alone."""
    path = tmp_path / "journal"
    journal = Journal(path, OWNER)
    journal.append({"n": 1})
    whole: Any = journal._file
    full: Any = FullDisk(whole, room)
    journal._file = full
    with pytest.raises(OSError, match="no space"):
        journal.append({"n": 2, "long": "x" * 50})
    journal._file = whole
    assert read(path) == [{"n": 1}]
    journal.append({"n": 3})
    journal.close()
    assert read(path) == [{"n": 1}, {"n": 3}]


def test_a_write_in_parts_is_finished(tmp_path: Path) -> None:
    """A file may take less at once than it was given."""
    path = tmp_path / "journal"
    journal = Journal(path, OWNER)
    whole: Any = journal._file

    class Parts(FullDisk):
        """Ten bytes at a time."""

        def write(self, content: bytes) -> int:
            """Take a part."""
            self.room = 10
            return super().write(content)

    parts: Any = Parts(whole, 10)
    journal._file = parts
    journal.append({"n": 1}, {"n": "x" * 40})
    journal._file = whole
    journal.close()
    assert read(path) == [{"n": 1}, {"n": "x" * 40}]


@given(st.integers(0, 6), st.integers(0, 40))
def test_whatever_a_kill_left_only_whole_lines_count(lines: int, torn: int) -> None:
    """Cut anywhere, the file is read up to its last whole line, and goes on there."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        journal = Journal(path, OWNER)
        for number in range(lines):
            journal.append({"n": number})
        journal.close()
        content = path.read_bytes()
        path.write_bytes(content[: max(0, len(content) - torn)])
        kept = path.read_bytes().count(b"\n")
        journal = Journal(path, OWNER)
        assert list(journal.lines()) == [{"n": number} for number in range(max(0, kept - 1))]
        journal.append({"n": "next"})
        journal.close()
        assert read(path)[-1] == {"n": "next"}
        assert len(read(path)) == max(0, kept - 1) + 1


def test_cutting_keeps_what_is_before(tmp_path: Path) -> None:
    """No moment has less in it than what stays true: the end is cut off, nothing is rewritten."""
    path = tmp_path / "journal"
    journal = Journal(path, OWNER)
    for number in range(5):
        journal.append({"n": number})
    journal.cut(lambda line: line["n"] < 3)
    assert read(path) == [{"n": 0}, {"n": 1}, {"n": 2}]
    journal.cut(lambda line: True)
    journal.append({"n": 9})
    journal.close()
    assert read(path) == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 9}]
