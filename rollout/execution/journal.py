"""A file of JSON lines that only grows and is safe against a kill at any moment.

The first line says whose it is. A line counts when its end is there: what a killed writer left
behind the last line end is cut off when the file is opened. One process at a time holds it.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

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
        # Without a buffer: what a full disk refused must not be written by a later line's flush,
        # when its step has long been told that it failed.
        self._file: FileIO = path.open("ab", buffering=0)
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
        with self.path.open("rb") as written:
            whole = sum(len(line) for line in written if line.endswith(b"\n"))
        self._file.truncate(whole)

    def _check_owner(self, owner: Any) -> None:
        with self.path.open("rb") as written:
            first = written.readline()
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
        with self.path.open("rb") as written:
            next(written)
            for line in written:
                yield self._read(line)

    def append(self, *entries: Any) -> None:
        """Write lines; when this returns they survive a kill and a power cut.

        Raises:
            OSError: The disk did not take them; none of them is there.
        """
        content = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
        with self._lock:
            before = os.fstat(self._file.fileno()).st_size
            try:
                while content:
                    content = content[self._file.write(content) or 0 :]
                os.fsync(self._file.fileno())
            except BaseException:
                # Half a line would spoil the next one.
                self._file.truncate(before)
                raise

    def cut(self, is_true: Callable[[Any], bool]) -> None:
        """Drop everything from the first line on that is not true any more."""
        with self.path.open("rb") as written:
            kept = len(next(written))
            for line in written:
                if not is_true(self._read(line)):
                    self._file.truncate(kept)
                    return
                kept += len(line)

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
