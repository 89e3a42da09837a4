"""Submits jobs 0 to N-1 in bursts; a submission that fails is tried again, as its caller would.

One line in the given file for each submission that returned.
"""

import sys
import time
from pathlib import Path

from tests.crash.side_by_side.app import job

_BURST = 50
_BURST_PAUSE_S = 0.7


def main(jobs: int, told: Path) -> None:
    """Submit all jobs."""
    for number in range(jobs):
        while True:
            try:
                job.apply_async(kwargs={"number": number}, task_id=f"side-{number}")
                break
            except Exception as error:  # the broker is away, and the caller is told
                sys.stderr.write(f"{number}: {type(error).__name__}: {error}\n")
                time.sleep(0.2)
        with told.open("a", encoding="ascii") as lines:
            lines.write(f"{number}\n")
        if number % _BURST == _BURST - 1:
            time.sleep(_BURST_PAUSE_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
