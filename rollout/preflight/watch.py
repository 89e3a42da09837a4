"""What an event of the interpreter says about a run: does it write, and where.

Python raises an audit event before it opens a file, starts a program or connects a socket, and who
listens may refuse by raising (PEP 578). The table here says which of them touch the world. What a
library in C does by itself raises none: SQLite's files (asked by its authorizer instead) and the
bytes inside a connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from posixpath import normpath
from typing import Any

from rollout.preflight.facts import Touch, Touched

_HARMLESS = ("/dev/null", "/dev/tty", "/dev/stdout", "/dev/stderr", "/proc/self/")
_CHANGES = re.compile(rb"(POST|PUT|PATCH|DELETE) (\S+) HTTP/")
_FTP_CHANGES = ("STOR", "STOU", "APPE", "DELE", "RNFR", "RNTO", "MKD", "RMD")
_STATEMENT = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(INSERT|UPDATE|DELETE|MERGE|REPLACE|CREATE|ALTER|DROP|TRUNCATE"
    r"|GRANT|REVOKE|COPY|LOCK|CALL|NOTIFY|VACUUM|REINDEX)\b",
    re.IGNORECASE | re.DOTALL,
)
_WITH_WRITES = re.compile(
    r"\s*WITH\b.*\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\b", re.IGNORECASE | re.DOTALL
)
READ_ONLY = re.compile(r"read-only transaction|readonly database|not authorized", re.IGNORECASE)
"""What PostgreSQL and SQLite say to a write that they were told to refuse."""


_CHANGED = {"os.rename": slice(2), "os.link": slice(1, 2), "os.symlink": slice(1, 2)}
"""Which of its paths an event changes, where it is not the first alone: a file that is written as
scratch and moved to its place is written there."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What may be written in spite of it all.

    Attributes:
        folder: The run's own folder for temporary files.
        writing_flags: The bits of `os.open` that mean a write.
        allowed: Texts; what contains one of them is let through.
    """

    folder: str
    writing_flags: int
    allowed: Sequence[str] = ()

    def touch(self, event: str, args: Sequence[Any]) -> Touch | None:
        """What an audit event touches; None for nothing that matters."""
        judge = _EVENTS.get(event)
        return None if judge is None else judge(self, event, args)

    def refuses(self, touch: Touch) -> bool:
        """Whether it must not happen: everything but a connection, and what was let through."""
        if touch.kind is Touched.CONNECTION:
            return False
        return not any(text in touch.what for text in self.allowed)

    def made(self, path: Any) -> Touch | None:
        """What making a file touches."""
        return _path(self, "make", path)

    def is_own(self, path: str) -> bool:
        """Whether a path is no part of the world: scratch, a terminal, a compiled module."""
        text = normpath(path)  # the way up from one's own folder leads out of it
        own = text == self.folder or text.startswith((f"{self.folder}/", *_HARMLESS))
        return own or "/__pycache__/" in text


def statement_touch(text: str) -> Touch | None:
    """What a statement writes; None when it reads."""
    match = _STATEMENT.match(text) or _WITH_WRITES.match(text)
    if match is None:
        return None
    words = " ".join(text.split()[:4])
    return Touch(Touched.STATEMENT, words[:80])


def _file(watch: Watch, event: str, args: Sequence[Any]) -> Touch | None:
    path, mode, flags = args[0], args[1], args[2]
    writes = bool(flags & watch.writing_flags) if isinstance(flags, int) else False
    writes = writes or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))
    if not writes or isinstance(path, int):
        return None
    return _path(watch, "open", path)


def _change(watch: Watch, event: str, args: Sequence[Any]) -> Touch | None:
    paths = args[_CHANGED.get(event, slice(1))]
    touches = [
        _path(watch, event.removeprefix("os."), one) for one in paths if not isinstance(one, int)
    ]
    return next((one for one in touches if one is not None), None)


def _path(watch: Watch, verb: str, path: Any) -> Touch | None:
    text = path.decode("utf-8", "replace") if isinstance(path, bytes) else str(path)
    return None if watch.is_own(text) else Touch(Touched.FILE, f"{verb} {text}")


def _program(watch: Watch, event: str, args: Sequence[Any]) -> Touch:
    first = args[0] if args and args[0] is not None else (args[1] if len(args) > 1 else "")
    program = first[0] if isinstance(first, list | tuple) and first else first
    text = program.decode("utf-8", "replace") if isinstance(program, bytes) else str(program)
    return Touch(Touched.PROGRAM, text.split(" ")[0][:80])


def _connection(watch: Watch, event: str, args: Sequence[Any]) -> Touch:
    address = args[1] if len(args) > 1 else ""
    if isinstance(address, tuple) and len(address) >= 2:
        return Touch(Touched.CONNECTION, f"{address[0]}:{address[1]}")
    return Touch(Touched.CONNECTION, str(address)[:80])


def _request(watch: Watch, event: str, args: Sequence[Any]) -> Touch | None:
    data = args[1] if len(args) > 1 else b""
    match = _CHANGES.match(bytes(data)) if isinstance(data, bytes | bytearray) else None
    if match is None:
        return None
    host = getattr(args[0], "host", "")
    path = match[2].decode("ascii", "replace").split("?")[0]
    return Touch(Touched.REQUEST, f"{match[1].decode()} {host}{path}"[:120])


def _mail(watch: Watch, event: str, args: Sequence[Any]) -> Touch:
    return Touch(Touched.MAIL, "a message by SMTP")


def _upload(watch: Watch, event: str, args: Sequence[Any]) -> Touch | None:
    command = str(args[1]) if len(args) > 1 else ""
    return Touch(Touched.MAIL, f"FTP {command[:4]}") if command.startswith(_FTP_CHANGES) else None


_EVENTS: dict[str, Callable[[Watch, str, Sequence[Any]], Touch | None]] = {
    "open": _file,
    **dict.fromkeys(
        (
            "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
            "os.symlink", "os.truncate", "os.utime",
        ),
        _change,
    ),
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"),
        _program,
    ),
    "socket.connect": _connection,
    "socket.sendto": _connection,
    "http.client.send": _request,
    "smtplib.send": _mail,
    "ftplib.sendcmd": _upload,
}  # fmt: skip
"""Events of CPython 3.11 and later (docs.python.org, "Audit events table") and who judges them."""
