"""Runs jobs of a concurrent path as told on stdin, and refuses what they would write.

Everything here happens in a process of its own, which `rollout.up.trial` starts. The watch cannot
be taken off again (an audit hook stays for the life of its interpreter), and its notes go to a file
so that those of forked children are among them.

What it refuses by: Python's audit hook (files, programs, requests), SQLAlchemy's events, SQLite's
authorizer, PostgreSQL's `default_transaction_read_only`, and the app's own `send_task`.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, TextIO

from rollout.adapters.envelope import from_json, to_json
from rollout.errors import LedgerUnreachable
from rollout.jobs.interrupts import INTERRUPTS
from rollout.jobs.ports import Job
from rollout.preflight.facts import Touch, Touched
from rollout.preflight.watch import Watch, statement_touch
from rollout.routing.decision import JobPath
from rollout.up.hand import READY
from rollout.up.subject import Subject, subject_of

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

FRESH = 17
"""The order, and the exit code, by which a process makes room for a fresh one."""


class Refused(PermissionError):
    """A write that was not made; a path sees it as a lack of permission."""

    def __init__(self, touch: Touch) -> None:
        super().__init__(errno.EACCES, f"rollout preflight makes no writes: {touch.what}")


class Watcher:
    """Notes and refuses, while a run is under way.

    Args:
        watch: What is what.
        notes: A file; every process of the run appends to it.
    """

    def __init__(self, watch: Watch, notes: Path) -> None:
        self._watch = watch
        self._notes = os.open(notes, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._read_to = 0
        self._on = False

    def arm(self, app: Any) -> None:
        """Begin to listen, for good."""
        self._listen_to_databases()
        self._listen_to_celery(app)
        sys.addaudithook(self._audit)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Refuse within the block."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def note(self, touch: Touch) -> bool:
        """Write a touch down; whether it is to be refused."""
        refused = self._watch.refuses(touch)
        allowed = not refused and touch.kind is not Touched.CONNECTION
        line = json.dumps([str(touch.kind), touch.what, allowed])
        os.write(self._notes, line.encode() + b"\n")
        return refused

    def taken(self) -> list[list[Any]]:
        """Touches since the last call, each once."""
        came = b""
        while chunk := os.pread(self._notes, 65_536, self._read_to):
            came += chunk
            self._read_to += len(chunk)
        return [json.loads(line) for line in dict.fromkeys(came.splitlines())]

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._on:
            return
        touch = self._watch.touch(event, args)
        if event == "sqlite3.connect" and not _is_there(args[0]):
            touch = self._watch.made(args[0])
        if touch is not None and self.note(touch):
            raise Refused(touch)

    def wrap_sqlite(self) -> None:
        """Give each connection that a run opens an authorizer; before anybody imports `connect`."""
        import sqlite3
        from sqlite3 import dbapi2

        plainly = sqlite3.connect
        denies = _authorizer(self)

        def connect(*args: Any, **options: Any) -> Any:
            connection = plainly(*args, **options)
            if self._on:
                connection.set_authorizer(denies)
            return connection

        sqlite3.connect = dbapi2.connect = connect

    def _listen_to_databases(self) -> None:
        from sqlalchemy import Engine, event

        from rollout.adapters.sql.hook_connection import HookConnection

        def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            # What a commit hook writes through the ledger's transaction is taken back.
            if not self._on or isinstance(connection, HookConnection):
                return
            touch = statement_touch(statement)
            if touch is not None and self.note(touch):
                raise Refused(touch)

        event.listen(Engine, "before_cursor_execute", before)

    def _listen_to_celery(self, app: Any) -> None:
        from celery.result import AsyncResult, ResultSet
        from kombu.utils.uuid import uuid

        def send_task(name: str, *args: Any, **options: Any) -> Any:
            self.note(Touch(Touched.MESSAGE, name))
            return AsyncResult(options.get("task_id") or uuid(), app=app)

        def wait(result: Any, *args: Any, **options: Any) -> Any:
            self.note(Touch(Touched.WAIT, "it waited for the result of another task"))
            raise RuntimeError("rollout preflight runs no other task, so none can be waited for")

        app.send_task = send_task
        for kind, names in (
            (AsyncResult, ("get", "wait")), (ResultSet, ("get", "join", "join_native")),
        ):  # fmt: skip
            for name in names:
                setattr(kind, name, wait)


def _is_there(database: Any) -> bool:
    """Whether connecting makes no new file; a URI is left to the authorizer."""
    text = database.decode() if isinstance(database, bytes) else str(database)
    return text in ("", ":memory:") or text.startswith("file:") or Path(text).exists()


def _authorizer(watcher: Watcher) -> Any:
    """Let SQLite refuse by itself what changes a database."""
    import sqlite3

    reads = {
        sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT, sqlite3.SQLITE_PRAGMA,
        sqlite3.SQLITE_RECURSIVE,
    }  # fmt: skip

    def allow(action: int, what: str | None, *_: Any) -> int:
        if action in reads:
            return sqlite3.SQLITE_OK
        refused = watcher.note(Touch(Touched.STATEMENT, f"SQLite: a change of {what}"))
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    return allow


def main(module: str, name: str, folder: str, hooks: str, allowed: list[str]) -> None:
    """Fork a fresh process whenever one is asked for; what paths print goes to stderr."""
    with os.fdopen(os.dup(1), "w") as line:
        os.dup2(2, 1)
        watcher = Watcher(Watch(folder, _WRITES, allowed), Path(folder) / f"notes-{os.getpid()}")
        watcher.wrap_sqlite()
        subject = subject_of(module, name)
        watcher.arm(subject.app)
        print(READY, file=line, flush=True)
        ended = FRESH
        while ended == FRESH:
            # As Celery's own pool: whatever a job leaves behind is in this process alone.
            child = os.fork()
            if child == 0:
                os._exit(_serve(subject, watcher, line, hooks=bool(hooks)))
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _serve(subject: Subject, watcher: Watcher, line: TextIO, *, hooks: bool) -> int:
    """Run jobs as told on stdin; the exit code says whether a fresh process is asked for."""
    watcher.taken()  # notes of a process before this one
    if hooks:
        with suppress(LedgerUnreachable):  # which each hook will tell
            subject.connect_ledger()
    # From here on PostgreSQL refuses writes on connections of libpq's drivers; the ledger's own is
    # open, and what hooks write there is taken back.
    os.putenv("PGOPTIONS", "-c default_transaction_read_only=on")
    # One order is answered before the next is sent, so that nothing is read ahead.
    for order in sys.stdin:
        told = from_json(order)
        if told == [FRESH]:
            print(READY, file=line, flush=True)
            return FRESH
        args, kwargs, hook = told
        answer = _run_once(subject, watcher, args, kwargs, hook=hook)
        print(to_json(subject.name, "a result", answer), file=line, flush=True)
    return 0


def _run_once(
    subject: Subject, watcher: Watcher, args: list[Any], kwargs: dict[str, Any], *, hook: bool
) -> list[Any]:
    """Result text, error, seconds, touches, whether the hook ran, and the hook's error."""
    job = Job(
        "preflight", subject.name, "", JobPath.CONCURRENT, 0, tuple(deepcopy(args)),
        deepcopy(kwargs),
    )  # fmt: skip
    text, error, hook_error, hook_ran = "", None, None, False
    began = time.perf_counter()
    seconds = 0.0
    try:
        with watcher.watching():
            value = subject.call(job)
        seconds = time.perf_counter() - began
        text = subject.to_text(value)
        if hook:
            hook_ran = True
            hook_error = _try_hook(subject, watcher, value, job)
    except INTERRUPTS:
        raise
    except BaseException as raised:
        seconds = seconds or time.perf_counter() - began
        error = f"{type(raised).__name__}: {raised}"[:300]
    return [text, error, seconds, watcher.taken(), hook_ran, hook_error]


def _try_hook(subject: Subject, watcher: Watcher, value: Any, job: Job) -> str | None:
    """Run the commit hook in a transaction that is taken back; what it raised."""
    with suppress(*INTERRUPTS):
        try:
            with watcher.watching():
                subject.try_hook(value, job)
        except BaseException as raised:
            return f"{type(raised).__name__}: {raised}"[:300]
    return None


if __name__ == "__main__":
    app_module, task, scratch, hooked, *let_through = sys.argv[1:]
    main(app_module, task, scratch, hooked, let_through)
