"""Drills that page or API began: each runs in a thread of this process, which measures it.

A process that is told to stop takes their faults away; one that dies leaves faults that expire by
themselves, and a drill whose runner died, as with the command line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooSlow
from contextlib import suppress
from secrets import choice

import structlog

from rollout.control.access import Caller
from rollout.drills.drill import Drill
from rollout.drills.drills import Drills
from rollout.drills.errors import DrillRefused
from rollout.drills.ports import DrillEvent
from rollout.errors import RolloutError
from rollout.routing.decision import JobPath
from rollout.web.problems import TooMany

DRILLS_MAX = 4
"""Drills that one process measures at once."""
BEGIN_S = 15.0
"""Reading what is normal and writing the first line takes less."""

MakeDrills = Callable[[Callable[[DrillEvent], None]], Drills]


class Drilling:
    """Runs drills beside the requests.

    Args:
        make: Makes what runs one; what it is given is told each line of the journal.
    """

    def __init__(self, make: MakeDrills) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._running: list[Drill] = []

    def begin(self, drill: Drill, caller: Caller) -> str:
        """Begin a drill; returns its id once its first line is in the journal.

        Raises:
            DrillRefused, UnknownSubPipeline: It may not run now; nothing was started.
            TooMany: This process measures as many as it can.
            LedgerUnreachable, ControlStoreUnreachable: Nothing was started.
        """
        with self._lock:
            if len(self._running) >= DRILLS_MAX:
                raise TooMany("drills at once", 60)
            self._running.append(drill)
        begun: Future[str] = Future()
        threading.Thread(
            target=self._run, args=(drill, caller.actor, begun), name="rollout-drill", daemon=True
        ).start()
        try:
            return begun.result(BEGIN_S)
        except TooSlow:
            raise DrillRefused(
                drill.sub_pipeline, "what is normal could not be read in time",
                "look at `rollout drill list`: it may still begin",
            ) from None  # fmt: skip

    def _run(self, drill: Drill, actor: str, begun: Future[str]) -> None:
        def said(event: DrillEvent) -> None:
            if not begun.done():
                begun.set_result(event.drill_id)

        try:
            self._make(said).run(drill, choice(tuple(JobPath)), actor)
        except BaseException as error:
            if not begun.done():
                begun.set_exception(error)
                return
            log = structlog.get_logger("rollout.drill")
            log.warning("drill ended early", name=drill.sub_pipeline, why=str(error))
            if not isinstance(error, RolloutError):
                raise
        finally:
            with self._lock:
                self._running.remove(drill)

    def close(self) -> None:
        """Take the faults of what still runs away; its runner ends with this process."""
        with self._lock:
            names = {one.sub_pipeline for one in self._running}
        for name in names:
            with suppress(RolloutError):  # it expires by itself
                self._make(_unheard).stop(name)


def _unheard(event: DrillEvent) -> None:
    """Nobody listens any more."""
