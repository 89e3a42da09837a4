"""What is true after a kill, and who is told of it while it comes true."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rollout.control.recall import Moved
from rollout.routing.ports import Kill


@dataclass(frozen=True, slots=True)
class KillReport:
    """What is true after a kill. A half that failed carries its error instead of milliseconds.

    `held_by` says who held what the fence needs, when the ledger answers and could not fence.
    `many` says that the kill met more jobs than it counted; `left`, that jobs are still to be
    moved: the controller does it, or the same command again.
    """

    kill: Kill
    names: tuple[str, ...]
    starts_blocked_ms: float | None = None
    store_error: str | None = None
    commits_fenced_ms: float | None = None
    ledger_error: str | None = None
    queued_sent_back: int = 0
    running_abandoned: int = 0
    unsafe_finishing: int = 0
    broker_error: str | None = None
    held_by: tuple[str, ...] = ()
    many: bool = False
    left: bool = False

    def to_json(self) -> dict[str, Any]:
        """What scripts read about a kill."""
        values = asdict(self)
        kill = values.pop("kill")
        kill["at"] = self.kill.at.isoformat()
        return {**kill, **values, "complete": self.complete, "holds": self.holds}

    @property
    def complete(self) -> bool:
        """Whether both halves hold."""
        return self.store_error is None and self.ledger_error is None

    @property
    def holds(self) -> bool:
        """Whether at least one half holds, which alone stops starts where it is reached."""
        return self.store_error is None or self.ledger_error is None


def _nothing(*heard: object) -> None:
    """Nobody listens."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is told of a kill while it is under way.

    `blocked`: the first half was done, or not. `waiting`: the fence waits for somebody, said in a
    sentence; maybe from another thread. `holds`: what is true now stays true; only jobs are moved
    from here on. `moved`: so many of so many. `stopped` is asked between two slices; True leaves
    the rest to the controller.
    """

    blocked: Callable[[KillReport], None] = _nothing
    waiting: Callable[[KillReport, str], None] = _nothing
    holds: Callable[[KillReport], None] = _nothing
    moved: Callable[[int, int], None] = _nothing
    stopped: Callable[[], bool] = _never


NOBODY = Heard()


class Count:
    """Adds up what was moved, for those who watch."""

    def __init__(self, heard: Heard, total: int) -> None:
        self._heard = heard
        self._total = total
        self._done = 0

    def add(self, moved: Moved) -> None:
        """Tell that a slice is done."""
        self._done += moved.jobs
        self._heard.moved(self._done, max(self._done, self._total))
