"""What becomes of a step by how its parents ended: a table, and nothing else.

The rule looks at the worst of the parents only, so it is decided as soon as one parent ended too
badly, and a step never waits for the rest in vain.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum


class StepState(IntEnum):
    """Where a step is. Those from `succeeded` on are final, in order from good to bad."""

    WAITING = 0
    """It waits for parents."""
    READY = 1
    """Its parents let it run; it waits for a slot, a resource or a pause between attempts."""
    RUNNING = 2
    """It runs."""
    SUCCEEDED = 3
    """It ended with a result."""
    FAILED = 4
    """It ran, and its last attempt raised, ran out of time, or did not pass its check."""
    BLOCKED = 5
    """It never ran, because of how a parent ended."""
    CANCELLED = 6
    """It never ran to its end, because the whole run was stopped."""

    @property
    def word(self) -> str:
        """The state in reports."""
        return self.name.lower()


class FailurePolicy(StrEnum):
    """What a step makes of parents that did not succeed."""

    BLOCK = "block"
    """It runs when all parents succeeded (the default)."""
    ALLOW_FAILURE = "allow_failure"
    """It runs when all parents ran, succeeded or not; a failed one hands over its `Failure`."""
    ALWAYS = "always"
    """It runs when all parents ended in whatever way: for clean-up."""


class Fate(StrEnum):
    """What a step does once its parents have ended."""

    RUNS = "runs"
    """It is ready."""
    BLOCKED = "blocked"
    """It never runs; its own dependents see a blocked parent."""
    CANCELLED = "cancelled"
    """The run is being stopped."""


_S, _P, _F = StepState, FailurePolicy, Fate
TRUTH: Mapping[tuple[FailurePolicy, StepState], Fate] = {
    (_P.BLOCK, _S.SUCCEEDED): _F.RUNS,
    (_P.BLOCK, _S.FAILED): _F.BLOCKED,
    (_P.BLOCK, _S.BLOCKED): _F.BLOCKED,
    (_P.BLOCK, _S.CANCELLED): _F.CANCELLED,
    (_P.ALLOW_FAILURE, _S.SUCCEEDED): _F.RUNS,
    (_P.ALLOW_FAILURE, _S.FAILED): _F.RUNS,
    (_P.ALLOW_FAILURE, _S.BLOCKED): _F.BLOCKED,
    (_P.ALLOW_FAILURE, _S.CANCELLED): _F.CANCELLED,
    (_P.ALWAYS, _S.SUCCEEDED): _F.RUNS,
    (_P.ALWAYS, _S.FAILED): _F.RUNS,
    (_P.ALWAYS, _S.BLOCKED): _F.RUNS,
    (_P.ALWAYS, _S.CANCELLED): _F.CANCELLED,
}
"""What a step does, by its policy and the worst end among its parents."""


def fate(policy: FailurePolicy, parents: Iterable[StepState]) -> Fate:
    """Say what a step does whose parents have all ended so; without parents it runs."""
    return TRUTH[policy, max(parents, default=StepState.SUCCEEDED)]
