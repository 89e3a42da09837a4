"""The demo's jobs: parts of airports' days, submitted at a steady rate while the script acts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

from rollout.demo.paths import PART_RECORDS
from rollout.pipeline import SubPipeline

Part = tuple[str, str, int]
"""Day, origin, number of the part."""


def parts_of(days: Sequence[tuple[str, str, int]]) -> list[Part]:
    """Cut days of `jobs(folder)` into parts, in order."""
    return [
        (day, origin, part)
        for day, origin, records in days
        for part in range(-(-records // PART_RECORDS))
    ]


class Stream:
    """Submits each part once, `rate_per_s` of them, in a thread of this script.

    Args:
        flights: The sub-pipeline.
        folder: Prepared data.
        parts: What to load.
        rate_per_s: Jobs a second; may be changed while it runs.
    """

    def __init__(
        self, flights: SubPipeline, folder: Path, parts: Sequence[Part], rate_per_s: float
    ) -> None:
        self.rate_per_s = rate_per_s
        self.submitted: list[str] = []
        self._flights = flights
        self._folder = folder
        self._left: Iterator[Part] = iter(parts)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="stream", daemon=True)
        self._error: Exception | None = None

    def start(self) -> None:
        """Begin to submit."""
        self._thread.start()

    def stop(self) -> None:
        """Submit no more; what was submitted goes its way."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def over(self) -> bool:
        """Whether every part is submitted. Raises what the thread met."""
        if self._error is not None:
            raise self._error
        return self._thread.ident is not None and not self._thread.is_alive()

    def submit(self, day: str, origin: str, part: int | None, fault: str | None = None) -> None:
        """Submit one job beside the stream's own."""
        kwargs = {"folder": str(self._folder), "day": day, "origin": origin, "part": part}
        self.submitted.append(self._flights.apply_async(kwargs={**kwargs, "fault": fault}).id)

    def _run(self) -> None:
        try:
            due = time.monotonic()
            for part in self._left:
                self.submit(*part)
                due = max(due + 1 / self.rate_per_s, time.monotonic() - 1)
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
        except Exception as error:  # the script hears of it when it next looks
            self._error = error
