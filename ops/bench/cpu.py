"""What processors have done, by process: the only figure that a busy machine does not stretch."""

import time
from contextlib import suppress
from pathlib import Path

import psutil


class Busy:
    """What the processors have done for us: this process, and the database server's.

    Args:
        server: Of the database; None when it runs in this process.
    """

    def __init__(self, server: psutil.Process | None) -> None:
        self._server = server

    def seconds(self) -> float:
        """Seconds so far."""
        busy = time.process_time()
        if self._server is not None:
            for one in (self._server, *self._server.children()):
                spent = one.cpu_times()
                busy += spent.user + spent.system
        return busy


def spent_us(process: psutil.Process) -> float:
    """Microseconds of a process, its children and all their threads, those that ended left out.

    Source: Linux's Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat.
    """
    nanoseconds = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(OSError):  # it has ended
            for thread in Path(f"/proc/{one.pid}/task").iterdir():
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e3


def postmaster(folder: Path) -> psutil.Process:
    """The PostgreSQL server whose data lie in this folder."""
    return psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))


def child_named(words: str) -> psutil.Process:
    """The child of this process that has these words in its command line."""
    (found,) = [one for one in psutil.Process().children() if words in " ".join(one.cmdline())]
    return found
