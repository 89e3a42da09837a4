"""What the log of one worker says about a job at its end, and another file at its beginning.

A log that is rotated cuts jobs in two: received in one file, done in the next, in whichever order
the files are given.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.audit.job_log import JobLog, Status

BEGINNINGS_MAX = 10_000
"""Ends without a beginning that are remembered of each file: more do not stand at a cut."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A job that was received and whose end is not in its file."""

    job: int
    step: int
    received: float
    capture: int


class Across:
    """Puts the two halves of a job together when all files are read."""

    def __init__(self, log: JobLog) -> None:
        self._log = log
        self._open: dict[str, _Open] = {}
        self._ended: dict[str, int] = {}

    def left_open(self, key: str, job: int, step: int, received: float) -> None:
        """Remember a job that was received and did not end in its file."""
        self._open[key] = _Open(job, step, received, len(self._log.captures) - 1)

    def ended(self, key: str, row: int) -> None:
        """Remember the row of a job that ended and was not received in its file."""
        # Rows that the log drops later move the ones behind them.
        self._ended[key] = row + self._log.dropped

    def close(self) -> None:
        """Join what belongs together; what stays open becomes a run without an end."""
        log = self._log
        for key, job in self._open.items():
            row = self._ended.get(key, -1) - log.dropped
            if row >= 0 and log.ended[row] >= job.received:
                log.received[row] = job.received
                if log.started[row] < job.received:
                    log.started[row] = job.received
            else:
                log.add(job.job, job.step, received=job.received, status=Status.OPEN)
                log.capture[-1] = job.capture
        self._open.clear()
