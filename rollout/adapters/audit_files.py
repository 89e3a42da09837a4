"""Opens files to audit: plain, gzipped or bzipped, of any size; XES is read as bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from rollout.audit.job_log import BadAudit, JobLog
from rollout.audit.reading.detect import READABLE, read_text
from rollout.audit.reading.stacks import Stacks, read_stacks
from rollout.audit.reading.xes import read_xes

_OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
"""First bytes of a compressed file, whatever its name is."""


def read_files(files: Sequence[Path]) -> JobLog:
    """Read all files into one log.

    Raises:
        BadAudit: A file cannot be read or is of no known kind.
    """
    log = JobLog()
    for file in files:
        first = len(log.captures)
        try:
            if _is_xes(file):
                with _open(file, "rb") as raw:
                    read_xes(log, file.name, raw)
            else:
                with _open(file, "rt") as opened:
                    read_text(log, _name(file, files), opened)
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise BadAudit(f"{file} cannot be read: {error}", f"give {READABLE}") from error
        for capture in log.captures[first:]:
            capture.given = shlex.quote(str(file))
    return log


def read_stack_file(file: Path) -> Stacks:
    """Read collapsed stacks.

    Raises:
        BadAudit: The file cannot be read or holds none.
    """
    try:
        with _open(file, "rt") as opened:
            stacks = read_stacks(opened)
    except (OSError, EOFError) as error:
        raise BadAudit(
            f"{file} cannot be read: {error}", "py-spy record --format raw writes it"
        ) from error
    if not stacks.samples:
        raise BadAudit(
            f"{file} must hold collapsed stacks, got none", "py-spy record --format raw writes them"
        )
    return stacks


def open_text(file: Path) -> IO[Any]:
    """Open a file as lines of text, whatever compressed it. Raises OSError, EOFError."""
    return _open(file, "rt")


def _name(file: Path, files: Sequence[Path]) -> str:
    """The file's name; with its folder where two have one name."""
    alike = sum(one.name == file.name for one in files) > 1
    return str(file) if alike else file.name


def _open(file: Path, mode: str) -> IO[Any]:
    with file.open("rb") as raw:
        opener = _OPENERS.get(raw.read(2), open)
    if mode == "rb":
        opened: IO[Any] = opener(file, mode)
        return opened
    text: IO[Any] = opener(file, mode, encoding="utf-8", errors="replace", newline="")
    return text


def _is_xes(file: Path) -> bool:
    if file.suffix.lower() == ".xes" or file.name.lower().endswith((".xes.gz", ".xes.bz2")):
        return True
    with _open(file, "rb") as opened:
        head = opened.read(400)
    return b"<log" in head and b"xes" in head
