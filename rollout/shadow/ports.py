"""What shadow runs need from outside: their account in the ledger, a budget, a queue.

Beside `jobs/ports.py`, which the way of every job needs. Methods of the account raise
LedgerUnreachable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rollout.jobs.ports import Job
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.shadow.compare import Comparison


class ShadowPaths(Protocol):
    """The declared sub-pipeline, as far as a shadow needs it. It has no commit hook."""

    name: str
    effects: Effects
    comparison: Comparison

    @property
    def builds(self) -> Mapping[JobPath, str]:
        """Names of the paths' builds; a path without one is not in it."""
        ...

    def call(self, path: JobPath, job: Job) -> Any:
        """Run the path's function with the job's arguments."""
        ...

    def to_text(self, value: Any) -> str:
        """Write a path's value as JSON text. Raises ArgumentsUnusable, or what the value raises."""
        ...

    def read(self, result: str) -> Any:
        """Read JSON text back."""
        ...

    def input_of(self, envelope: str) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Read a job's arguments. Raises ValueError, KeyError, TypeError for none of ours."""
        ...


@dataclass(frozen=True, slots=True)
class ShadowBegun:
    """A shadow that begins to run; `path` is legacy for an old-against-old run."""

    run_id: str
    name: str
    job_id: str
    path: JobPath
    legacy_s: float
    at: datetime


@dataclass(frozen=True, slots=True)
class ShadowEnd:
    """How a shadow ended.

    Attributes:
        run_id: As begun.
        name: The sub-pipeline.
        at: When.
        shadow_s: Seconds the path took; None when it did not return.
        trouble: What went wrong; None when the results were compared.
        why: The trouble in words, short and redacted.
        fields: Fields that differ; empty when the results are equal.
        signature: What mismatches of one cause have in common; empty when equal.
        diff: The readable difference.
    """

    run_id: str
    name: str
    at: datetime
    shadow_s: float | None = None
    trouble: str | None = None
    why: str = ""
    fields: frozenset[str] = frozenset()
    signature: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """A stored shadow; `state` is running, equal, different or trouble.

    `fields` are known only while it is folded.
    """

    run_id: str
    name: str
    job_id: str
    path: JobPath
    state: str
    legacy_s: float
    began_at: datetime
    ended_at: datetime | None
    shadow_s: float | None
    trouble: str | None
    why: str | None
    signature: str | None
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MismatchGroup:
    """Mismatches of one cause: how many, and one example."""

    path: JobPath
    signature: str
    runs: int
    first_at: datetime
    last_at: datetime
    example_job_id: str
    example: str


@dataclass(frozen=True, slots=True)
class ShadowAccount:
    """All that is kept of a sub-pipeline's shadows since they began.

    `evidence` is what the fold made, None before the first; `counts` are runs by what became of
    them, such as `equal:concurrent`, `trouble:legacy:raised`, `shed:rate`.
    """

    name: str
    evidence: Any
    counts: Mapping[str, int]
    groups: Sequence[MismatchGroup]


ShadowFold = Callable[[Any, ShadowRun], Any]
"""From the stored evidence (None at first) and a run that has just ended to the next evidence."""


class Shadows(Protocol):
    """The ledger's account of shadows.

    It begins anew when stage shadow (or, from legacy, the first step) begins, and when the build of
    either path changes. Every run is folded into the evidence once, in the transaction that ends
    it; rows of runs may then be deleted without losing any evidence.
    """

    def begin_shadow(self, begun: ShadowBegun, shed: Mapping[str, int]) -> bool:
        """Record a run as running, and what was shed before it; False for a message seen before."""
        ...

    def end_shadow(self, end: ShadowEnd, fold: ShadowFold) -> bool:
        """Record how a run ended and fold it; False when it has ended before."""
        ...

    def settle_shadows(
        self, name: str, began_before: datetime, now: datetime, fold: ShadowFold, limit: int
    ) -> int:
        """End runs that began long ago and were never heard of again as lost; how many."""
        ...

    def count_shadows(self, name: str, counts: Mapping[str, int], now: datetime) -> None:
        """Add to the counts, for what has no run."""
        ...

    def shadow_names(self) -> frozenset[str]:
        """Sub-pipelines that have an account; it may be one whose trial is over."""
        ...

    def shadow_account(self, name: str) -> ShadowAccount:
        """Read the account. Raises UnknownSubPipeline."""
        ...

    def shadow_runs(self, name: str, limit: int) -> list[ShadowRun]:
        """List runs, newest first."""
        ...

    def prune_shadows(self, name: str, ended_before: datetime, limit: int) -> int:
        """Delete runs that ended before then; how many."""
        ...


class ShadowBudget(Protocol):
    """Counts copies over all workers of all machines; a part of the control store."""

    def take(self, name: str, rate_per_s: float, per_day: int) -> str | None:
        """Take one copy's share of rate and day's budget; else name the `Shed` that refuses it.

        Never raises: a store that does not answer refuses, with `store`.
        """
        ...


class ShadowQueue(Protocol):
    """The shadow's queue at the broker; every call is bounded in time."""

    def publish(self, name: str, copy: Mapping[str, Any], limit_s: float) -> None:
        """Send a copy, to be killed after `limit_s` of running. Raises BrokerUnreachable."""
        ...

    def backlog(self, name: str) -> int:
        """Count copies that wait. Raises BrokerUnreachable."""
        ...
