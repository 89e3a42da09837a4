"""A shadow comes before the first job: suggested where a sub-pipeline allows one and had none."""

from collections.abc import Mapping
from typing import Protocol

from rollout.routing.effects import Effects
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import Event, Stage

_RECENT = 50
"""Changes among which the start of the pilot is looked for."""


class Beginnings(Protocol):
    """The ledger, as far as it knows how pilots began. Both raise LedgerUnreachable."""

    def transitions(self, name: str, limit: int) -> list[TransitionRecord]:
        """Read the changes, newest first. Raises UnknownSubPipeline."""
        ...

    def declared_effects(self) -> Mapping[str, Effects]:
        """Effects of every declared sub-pipeline, by name."""
        ...


def suggested(name: str, *, sure: bool) -> str:
    """What a shadow gives, before a pilot has begun; not `sure` while nobody knows the effects."""
    where = "" if sure else ' where effects are "none" or "commit"'
    return (
        f"Shadow first{where}: `rollout shadow {name}` runs copies of legacy jobs on the new path "
        "and compares them; no job depends on it yet."
    )


def may_go_first(ledger: Beginnings, name: str, effects: Effects | None) -> bool:
    """Whether a shadow may run before the first job, and none has.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: It cannot be read.
    """
    if effects is None or not effects.shadowable:
        return False
    return all(one.event is not Event.SHADOW for one in ledger.transitions(name, _RECENT))


def began_unshadowed(ledger: Beginnings, name: str) -> bool:
    """Whether the pilot that runs began from legacy, though a shadow may run before it."""
    if not may_go_first(ledger, name, ledger.declared_effects().get(name)):
        return False  # a shadow before an earlier start counts: its account is there to read
    starts = (one for one in ledger.transitions(name, _RECENT) if one.event is Event.START)
    return any(one.before.stage is Stage.LEGACY for one in starts)


def read_suggestion(ledger: Beginnings, name: str) -> str | None:
    """What to say to somebody who has just started; None where there is nothing to suggest.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: It cannot be read.
    """
    if not began_unshadowed(ledger, name):
        return None
    return (
        f"no shadow has compared the paths of {name} before this start. A shadow goes first, and "
        f"no job depends on it: `rollout revert {name} --reason 'shadow first'`, then "
        f"`rollout shadow {name}`"
    )
