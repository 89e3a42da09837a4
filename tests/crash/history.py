"""One append-only history file per process; a line that was written survives `kill -9`.

Each line is one `os.write` to a file opened with O_APPEND, so a killed process leaves whole lines
and the page cache keeps them. `t` is CLOCK_MONOTONIC, which all processes of a machine share; `w`
is the wall clock, which only relates `t` to the ledger's own times (see `times.py`).
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]

ENOUGH = "enough"
"""Flag file on which producers submit no more, and end."""
TWIN = "twin-"
"""How ids begin that are submitted to two sub-pipelines."""


def share_done(flags: Path, who: str) -> Path:
    """Flag file by which a producer says that it has submitted its share."""
    return flags / f"share-{who}"


class History:
    """Appends events of this process.

    Args:
        folder: Where all processes of a run write.
        who: Name of the role, such as `producer1`; the pid is added.
    """

    def __init__(self, folder: Path, who: str) -> None:
        self._folder = folder
        self._who = who
        self._pid = 0
        self._file = -1

    def write(self, what: str, **facts: Any) -> None:
        """Append one event, durable against the death of this process when it returns."""
        if self._pid != os.getpid():  # a forked worker process writes a file of its own
            self._pid = os.getpid()
            path = self._folder / f"{self._who}-{self._pid}.jsonl"
            self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
        event = {
            "t": time.monotonic_ns(), "w": time.time_ns(), "who": self._who, "what": what, **facts
        }  # fmt: skip
        os.write(self._file, (json.dumps(event, separators=(",", ":")) + "\n").encode())


def label(name: str, job_id: str) -> str:
    """What the history calls a job: twins have one id in two sub-pipelines."""
    return f"{job_id}@{name}" if job_id.startswith(TWIN) else job_id


def read_file(path: Path) -> Iterator[Event]:
    """Read one process's events in order."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield {"file": path.stem, **json.loads(line)}


def read_all(folder: Path) -> list[Event]:
    """Read the events of all processes, in the order of the shared monotonic clock."""
    events = [event for path in sorted(folder.glob("*.jsonl")) for event in read_file(path)]
    events.sort(key=lambda event: int(event["t"]))
    return events
