"""`order="key"`: jobs of one routing key start in the order in which they were submitted.

A place in the ledger is taken at submission and given up at the outcome. A job whose place is not
the first of its key does not start: its message is acknowledged and it waits in the ledger, without
a worker's slot, until the one in front has its outcome and sends it. What is left undone by a
worker that died in between is found by the controller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from rollout.jobs.claims import JobState
from rollout.routing.effects import Effects

if TYPE_CHECKING:
    from rollout.jobs.ports import Handed

KEY_BYTES_MAX = 2_000
"""Longest key of which an order is kept: an index of PostgreSQL holds 2704 bytes, the
sub-pipeline's name among them."""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""`not_before` of a job that waits for its place: no queue has it, and it is not lost."""


class OnFailure(StrEnum):
    """What a job that is kept as failed does with the jobs of its key behind it."""

    HOLD = "hold"
    """They wait until a person retries it or lets it go."""
    SKIP = "skip"
    """The next one starts."""


def on_failure_of(effects: Effects) -> OnFailure:
    """The default: what touches the world must not go on behind a job that did not."""
    return OnFailure.HOLD if effects.holds_order else OnFailure.SKIP


def gives_up(state: JobState | None, on_failure: OnFailure) -> bool:
    """Whether a job gives up its place; None is a job that the ledger no longer has."""
    if state is JobState.FAILED:
        return on_failure is OnFailure.SKIP
    return state is None or state.finished


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job stands among those of its key."""

    name: str
    key: str
    job_id: str
    on_failure: OnFailure


@dataclass(frozen=True, slots=True)
class InFront:
    """The first job of a key, and how many places are before the one that was asked about."""

    job_id: str
    state: JobState | None
    places: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """Sub-pipelines and keys that nobody sends, and where the walk goes on; 0 is from the start."""

    keys: tuple[tuple[str, str], ...]
    after: int


class JobOrder(Protocol):
    """The ledger, as far as it keeps the order of keys. All raise LedgerUnreachable."""

    def line_up(self, places: Sequence[Place]) -> None:
        """Take places behind those that are taken, in this order; a job keeps the one it has."""
        ...

    def stands_behind(self, place: Place, now: datetime) -> str | None:
        """None when the job is the first of its key and may start; else who is in front.

        A job without a place takes the last one; one that has its outcome takes none, and its
        claim says so. One that may not start is noted as waiting, so
        that the job in front sends it. Raises UnknownJob for one that has to be filed first.
        """
        ...

    def next_of(self, name: str, key: str, now: datetime) -> "Handed | None":
        """Give up places of jobs that have their outcome; the next one, if it waits to be sent."""
        ...

    def keys_stuck(self, limit: int, after: int = 0) -> Stuck:
        """Keys whose first job has its outcome, or waits to be sent.

        Found at once where the outcome is new (before the fold), else by a walk over all places,
        `limit` of them behind number `after` at a time.
        """
        ...

    def in_front_of(self, name: str, job_id: str) -> InFront | None:
        """Who is the first of a waiting job's key; None for one that stands behind nobody."""
        ...

    def let_go(self, name: str, job_id: str, actor: str, reason: str, now: datetime) -> str:
        """Take its place from a failed job that holds its key; gives the key.

        Raises:
            UnknownJob, IllegalTransition: There is no such job, it has not failed or holds nothing.
        """
        ...
