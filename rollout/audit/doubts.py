"""When a log's times do not carry what is read from how they lie to each other.

Who waits, how many run at once and whether they slow each other down are read from times that lie
close together. Run times and failures do not depend on it and are told all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rollout.audit.job_log import CLOCK_BACK, JobLog
from rollout.figures import seconds_text

WHOLE_RUN_S_MIN = 10.0
"""With whole seconds a run seems to overlap its neighbour by up to one second: half of the runs
have to be ten times as long before that is noise."""
JUMPS_MIN = 10
JUMPS_SHARE = 0.01
"""One clock is set now and then; two in one file contradict each other all the time."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why times do not carry it.

    Attributes:
        because: What is wrong with them.
        tells: What would do.
    """

    because: str
    tells: str


def doubt_of(log: JobLog, runs: Sequence[float]) -> Doubt | None:
    """The doubt about a log's times, if there is one.

    Args:
        log: The log.
        runs: How long each run took, in seconds.
    """
    back = log.problems.get(CLOCK_BACK)
    if back is not None and back.count >= max(JUMPS_MIN, JUMPS_SHARE * len(log)):
        return Doubt(
            f"its clock jumps back {back.count:,} times, as when workers with different time zones "
            "write into one file",
            "a file for each worker, and times with their zone",
        )
    if runs and any(one.whole_seconds for one in log.captures):
        middle = median(runs)
        if middle < WHOLE_RUN_S_MIN:
            return Doubt(
                f"its times are whole seconds, and half of its runs take at most "
                f"{seconds_text(middle)}",
                "a log with parts of a second (Celery's own format has them)",
            )
    return None
