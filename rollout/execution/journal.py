"""A file of JSON lines that only grows and is safe against a kill at any moment.

The first line says whose it is. A line counts when its end is there: what a killed writer left
behind the last line end is cut off when the file is opened. One process at a time holds it.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import IO, Any

from rollout.execution.errors import ReceiptsInUse, ReceiptsUnusable


class Journal:
    """JSON lines in a file.

    Args:
        path: Made when it is not there; its folder must be.
        owner: What the lines are about, as JSON; another owner's file is refused.

    Raises:
        ReceiptsInUse: Another run holds the file.
        ReceiptsUnusable: It is about something else, or no journal.
    """

    def __init__(self, path: Path, owner: Any) -> None:
        self.path = path
        self._lock = Lock()
        # Closed by `close`; a descriptor of its own, for the lock goes with it.
        self._file: IO[bytes] = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ReceiptsInUse(path) from None
        try:
            self._cut_torn_line()
            self._check_owner(owner)
        except BaseException:
            self._file.close()
            raise

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if line.endswith(b"\n"):
                whole += len(line)
        self._file.truncate(whole)

    def _check_owner(self, owner: Any) -> None:
        self._file.seek(0)
        first = self._file.readline()
        if not first:
            self.append(owner)
            return
        if self._read(first) != json.loads(json.dumps(owner)):
            raise ReceiptsUnusable(
                f"{self.path} must be of {str(owner)[:80]}, got {first.decode()[:80].strip()}",
                "use another file, or delete it to begin anew",
            )

    def lines(self) -> Iterator[Any]:
        """Every line but the owner's, oldest first."""
        self._file.seek(0)
        for number, line in enumerate(self._file):
            if number:
                yield self._read(line)

    def append(self, *entries: Any) -> None:
        """Write lines; when this returns they survive a kill and a power cut."""
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        with self._lock:
            self._file.write(text.encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def keep(self, entries: list[Any]) -> None:
        """Have only these lines after the owner's: what else was there is not true any more."""
        self._file.seek(0)
        self._file.readline()
        self._file.truncate(self._file.tell())
        if entries:
            self.append(*entries)

    def close(self) -> None:
        """Let others have it."""
        self._file.close()

    def _read(self, line: bytes) -> Any:
        try:
            return json.loads(line)
        except ValueError as error:
            raise ReceiptsUnusable(
                f"{self.path} must hold lines of JSON, got {line[:80]!r}: {error}",
                "use another file, or delete it to begin anew",
            ) from error
