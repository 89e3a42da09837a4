"""Opens files to audit: plain or compressed, of any size, or a pipe; XES is read as bytes.

A compressed file that ends too early (it was copied while it was written) is read to there.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import shlex
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import Any, cast

from rollout.audit.job_log import BadAudit, JobLog
from rollout.audit.reading.across import Across
from rollout.audit.reading.detect import READABLE, read_text
from rollout.audit.reading.stacks import Stacks, read_stacks
from rollout.audit.reading.xes import read_xes
from rollout.errors import why_of

_OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
"""First bytes of a compressed file, whatever its name is."""
UNPACKING = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""What a compressed file raises that is cut short or broken."""


def read_files(files: Sequence[Path]) -> JobLog:
    """Read all files into one log.

    Raises:
        BadAudit: A file cannot be read or is of no known kind.
    """
    log = JobLog()
    across = Across(log)
    for file in files:
        first = len(log.captures)
        try:
            with _opened(file) as raw:
                if _is_xes(file, raw):
                    read_xes(log, file.name, raw)
                else:
                    name = _name(file, files)
                    lines = _to_its_end(log, name, _text(raw))
                    read_text(log, name, lines, across)
        except UNPACKING as error:
            raise BadAudit(f"{file} cannot be unpacked: {error}", "copy it again") from error
        except OSError as error:
            raise BadAudit(
                f"{file} cannot be read: {why_of(error)}", _what_to_give(error)
            ) from error
        for capture in log.captures[first:]:
            capture.given = shlex.quote(str(file))
    across.close()
    return log


def _what_to_give(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "name a log that is there, or - for what is piped in"
    return f"give {READABLE}"


def _to_its_end(log: JobLog, name: str, lines: Iterable[str]) -> Iterator[str]:
    """All lines; the end of a compressed file that is cut short is counted, and no more."""
    read = 0
    try:
        for line in lines:
            read += 1
            yield line
    except UNPACKING:
        if not read:
            raise
        log.wrong("a compressed file that ends too early", f"{name} after line {read}")


def read_stack_file(file: Path) -> Stacks:
    """Read collapsed stacks.

    Raises:
        BadAudit: The file cannot be read or holds none.
    """
    try:
        with open_text(file) as lines:
            stacks = read_stacks(lines)
    except (OSError, EOFError) as error:
        raise BadAudit(
            f"{file} cannot be read: {why_of(error)}", "py-spy record --format raw writes it"
        ) from error
    if not stacks.samples:
        raise BadAudit(
            f"{file} must hold collapsed stacks, got none", "py-spy record --format raw writes them"
        )
    return stacks


def open_text(file: Path) -> AbstractContextManager[Iterable[str]]:
    """Open a file as lines of text, whatever compressed it. Raises OSError, EOFError."""
    return _lines_of(file)


@contextmanager
def _lines_of(file: Path) -> Iterator[Iterable[str]]:
    with _opened(file) as raw:
        yield _text(raw)


def _name(file: Path, files: Sequence[Path]) -> str:
    """The file's name; with its folder where two have one name."""
    alike = sum(one.name == file.name for one in files) > 1
    return str(file) if alike else file.name


@contextmanager
def _opened(file: Path) -> Iterator[BufferedReader[Any]]:
    """The bytes of a file, unpacked; opened once, because a pipe cannot be read twice."""
    with ExitStack() as stack:
        if str(file) == "-":
            raw: BufferedReader[Any] = BufferedReader(cast("RawIOBase", sys.stdin.buffer))
        else:
            raw = stack.enter_context(file.open("rb"))
        opener = _OPENERS.get(raw.peek(2)[:2])
        if opener is None:
            yield raw
        else:
            yield stack.enter_context(BufferedReader(opener(raw, "rb")))


def _text(raw: BufferedReader[Any]) -> TextIOWrapper:
    """Its text; what PowerShell writes is UTF-16."""
    head = raw.peek(2)[:3]
    wide = head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if wide else "utf-8-sig" if head == codecs.BOM_UTF8 else "utf-8"
    return TextIOWrapper(raw, encoding, errors="replace", newline="")


def _is_xes(file: Path, raw: BufferedReader[Any]) -> bool:
    if file.suffix.lower() == ".xes" or file.name.lower().endswith((".xes.gz", ".xes.bz2")):
        return True
    head = raw.peek(400)[:400]
    return b"<log" in head and b"xes" in head
