"""A wall clock that the driver can move, for one process at a time.

The offset stands in a file of the role's name, so that the children of a worker see it, too. Only
the wall clock moves: the monotonic one is the machine's, as when an administrator sets the time.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

from rollout.adapters.clock import SystemClock


def offset_file(flags: Path, role: str) -> Path:
    """Where the offset of a role stands, in seconds; no file is no offset."""
    return flags / f"clock-{role}"


class JumpingClock(SystemClock):
    """The system's clock plus what the driver has written for this role."""

    def __init__(self, flags: Path, role: str) -> None:
        self._file = os.fspath(offset_file(flags, role))

    def now(self) -> datetime:
        """Aware UTC time as this process believes it."""
        try:
            with open(self._file, encoding="ascii") as given:
                return super().now() + timedelta(seconds=float(given.read()))
        except FileNotFoundError:
            return super().now()
