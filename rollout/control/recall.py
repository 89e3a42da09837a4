"""Moves what a kill or a revert left on the concurrent path to legacy, a bounded slice at a time.

A queue may hold a million jobs. A slice is one short transaction and its messages, so that a
heartbeat, a judgement and everybody else's transactions pass between two of them, and a mover that
is stopped between two has lost nothing: what is not moved yet still waits in its queue, where the
gate sends each job to legacy at its start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rollout.errors import BrokerUnreachable
from rollout.jobs.ports import Handed, Ledger, Queues
from rollout.routing.clock import Clock
from rollout.routing.decision import Reason

SLICE = 250
"""Jobs of one transaction: some 10 ms of the single writer on SQLite, and some 200 ms to send."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Jobs moved to legacy: how many waited, how many ran; `more` says that others are left."""

    waiting: int = 0
    working: int = 0
    error: str | None = None
    more: bool = False

    def __add__(self, other: "Moved") -> "Moved":
        """This and what was moved after it."""
        return Moved(
            self.waiting + other.waiting,
            self.working + other.working,
            self.error or other.error,
            other.more,
        )

    @property
    def jobs(self) -> int:
        """Both kinds."""
        return self.waiting + self.working


class Recall:
    """Moves jobs in the ledger and sends their messages; `size` is that of a slice."""

    def __init__(self, ledger: Ledger, queues: Queues, clock: Clock, size: int = SLICE) -> None:
        self._size = size
        self._ledger = ledger
        self._queues = queues
        self._clock = clock

    def part(self, name: str, reason: Reason, *, running: bool) -> Moved:
        """Move a slice of what waits, then one of what runs; the oldest first.

        Raises:
            LedgerUnreachable: Nothing more was moved.
        """
        waiting, error = self._part(name, reason, running=False)
        if error is not None or waiting == self._size or not running:
            return Moved(waiting, 0, error, waiting == self._size)
        working, error = self._part(name, Reason.FENCED, running=True)
        return Moved(waiting, working, error, working == self._size)

    def whole(
        self,
        name: str,
        reason: Reason,
        *,
        running: bool,
        heard: Callable[[Moved], None],
        stopped: Callable[[], bool],
    ) -> Moved:
        """Move slice after slice until nothing is left, the broker is away, or `stopped` says so.

        Raises:
            LedgerUnreachable: What was moved before is moved.
        """
        total = Moved(more=True)
        while total.more and total.error is None and not stopped():
            moved = self.part(name, reason, running=running)
            total += moved
            heard(moved)
        return total

    def _part(self, name: str, reason: Reason, *, running: bool) -> tuple[int, str | None]:
        handed = self._ledger.recall(
            name, running=running, reason=reason, now=self._clock.now(), limit=self._size
        )
        return len(handed), self.send(handed)

    def send(self, handed: Sequence[Handed]) -> str | None:
        """Send jobs that the ledger has moved to legacy; an error is mended by the sweeper."""
        if not handed:
            return None
        try:
            self._queues.send_jobs(handed)
        except BrokerUnreachable as error:
            return str(error)
        return None
