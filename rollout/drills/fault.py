"""What a drill can break, and the plan by which it enters the workers.

A plan lies in the control store under a key of its own, beside the state that every concurrent
start reads anyway. It names its end twice: as a time inside it and as the key's expiry, so that it
vanishes whatever becomes of the process that planted it.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from xxhash import xxh3_64_intdigest

from rollout.routing.decision import JobPath

ONE_WORKER = "one"
"""A target that means: whichever worker comes by first, and only that one."""

SHARE_ALL = 10_000


class Fault(StrEnum):
    """What can be broken on purpose, one sentence each.

    `breaks` says it to somebody who runs no workers.
    """

    breaks: str

    def __new__(cls, word: str, breaks: str = "") -> "Fault":
        """Make a member of a word and what it does."""
        one = str.__new__(cls, word)
        one._value_ = word
        one.breaks = breaks
        return one

    RAISE = "raise", "jobs raise an error"
    """The path raises an error before it does anything."""
    DELAY = "delay", "jobs are slowed down"
    """The path begins `fault_s` later."""
    HANG = "hang", "jobs hang"
    """The path hangs until its time limit stops it, at the longest until the fault is off."""
    KILL_CHILD = "kill_child", "processes die in the middle of a job"
    """The worker's child dies by SIGKILL when the path has done its work and nothing is saved."""
    MEMORY = "memory", "jobs run out of memory"
    """The path takes memory up to `memory_mb` and then has none left."""
    CORRUPT = "corrupt", "jobs give unusable results"
    """The path's result is unusable; whatever the commit hook makes of it is rolled back."""
    STORE_CUT = "store_cut", "a worker cannot reach the control store"
    """The worker reaches the control store no more."""
    LEDGER_CUT = "ledger_cut", "a worker cannot reach the ledger"
    """The worker reaches the ledger no more."""
    LOCK = "lock", "the ledger's write lock is held"
    """The worker holds the ledger's write lock for `fault_s`, and everybody else waits."""
    DOWNSTREAM = "downstream", "a service that the jobs need answers with errors"
    """What `rollout.downstream` names answers every request with an error 503."""
    WAY_BACK = "way_back", "every job is sent back to legacy"
    """Every start on the concurrent path is sent to legacy, as a revert would send it."""

    @property
    def needs_seconds(self) -> bool:
        """Whether the fault lasts `fault_s` in each job it hits."""
        return self in (Fault.DELAY, Fault.LOCK)

    @property
    def before_claim(self) -> bool:
        """Whether the fault strikes before the job is claimed, and every delivery anew."""
        return self in (Fault.STORE_CUT, Fault.LEDGER_CUT, Fault.WAY_BACK)

    @property
    def at_the_gate(self) -> bool:
        """Whether it turns starts away at the gate, which legacy does not have."""
        return self in (Fault.STORE_CUT, Fault.WAY_BACK)

    @property
    def repeats_no_effect(self) -> bool:
        """Whether an unsafe job may suffer it: the path runs once, or not at all."""
        return self is Fault.DELAY or self.at_the_gate


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One fault on one sub-pipeline for a while.

    Attributes:
        drill_id: The drill it belongs to, at most 64 characters.
        name: The sub-pipeline.
        paths: Paths it is aimed at.
        fault: What breaks.
        until: Aware UTC time at which it is over, wherever it was read.
        jobs_max: Jobs it may hurt, over all workers.
        share_bp: Share of jobs that may be chosen, in basis points.
        worker: Node whose jobs may be chosen; `ONE_WORKER` is the first that comes by.
        fault_s: Seconds of a delay or a lock.
        memory_mb: Megabytes of a memory blow-up.
        stub_url: Address of the stub that answers errors.
    """

    drill_id: str
    name: str
    paths: tuple[JobPath, ...]
    fault: Fault
    until: datetime
    jobs_max: int
    share_bp: int = SHARE_ALL
    worker: str | None = None
    fault_s: float = 0.0
    memory_mb: int = 0
    stub_url: str = ""

    def chooses(self, job_id: str, node: str) -> bool:
        """Say whether this job on this worker is one that may be hurt; the same for each try."""
        if self.worker not in (None, ONE_WORKER, node):
            return False
        drawn = xxh3_64_intdigest(f"{self.drill_id}\x1f{job_id}".encode()) % SHARE_ALL
        return drawn < self.share_bp

    def to_json(self) -> str:
        """Write the plan as JSON text."""
        return json.dumps({**asdict(self), "until": self.until.isoformat()})


def read_plan(name: str, text: str | None) -> FaultPlan | None:
    """Read a stored plan; what is not wholly one breaks nothing."""
    if text is None:
        return None
    try:
        values: dict[str, Any] = json.loads(text)
        plan = FaultPlan(
            drill_id=str(values["drill_id"]),
            name=str(values["name"]),
            paths=tuple(JobPath(path) for path in values["paths"]),
            fault=Fault(values["fault"]),
            until=datetime.fromisoformat(values["until"]),
            jobs_max=int(values["jobs_max"]),
            share_bp=int(values["share_bp"]),
            worker=None if values["worker"] is None else str(values["worker"]),
            fault_s=float(values["fault_s"]),
            memory_mb=int(values["memory_mb"]),
            stub_url=str(values["stub_url"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return plan if plan.name == name and plan.until.tzinfo is not None else None
