"""What an action would do, said before it is done: nothing is changed to find out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.jobs.claims import JobState
from rollout.jobs.ports import OpenCount
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState, Event

_NOTHING = "Nothing changes: it is so already."


class Looks(Protocol):
    """The ledger, as far as consequences are looked up. All raise LedgerUnreachable."""

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline."""
        ...

    def controls(self) -> list[ControlState]:
        """Read all control rows, by name."""
        ...

    def effects(self, name: str) -> Effects:
        """What a sub-pipeline's paths do to the world. Raises UnknownSubPipeline."""
        ...

    def open_counts(self) -> Sequence[OpenCount]:
        """Unfinished jobs by sub-pipeline, path and state."""
        ...


@dataclass(frozen=True, slots=True)
class Consequence:
    """What would be so afterwards.

    Attributes:
        action: What would be done.
        name: The sub-pipeline; None for all.
        sentence: It in words.
        waiting: Jobs that wait on the concurrent path now.
        running: Jobs that run there now.
        finishing: Those of the running that may finish, because half an effect cannot be undone.
        after: The state afterwards; None for all, and where only jobs are concerned.
        changes: Whether anything would be otherwise than it is.
    """

    action: str
    name: str | None
    sentence: str
    waiting: int = 0
    running: int = 0
    finishing: int = 0
    after: ControlState | None = None
    changes: bool = True

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        after = self.after
        return {
            "dry_run": True,
            "action": self.action,
            "sub_pipeline": self.name,
            "sentence": self.sentence,
            "waiting": self.waiting,
            "running": self.running,
            "finishing": self.finishing,
            "after": None
            if after is None
            else {
                "stage": str(after.stage),
                "scope_bp": after.scope_bp,
                "killed": after.killed,
                "frozen": after.frozen,
            },
        }


def of_kill(ledger: Looks, name: str | None) -> Consequence:
    """What a kill would meet now.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: It cannot be said.
    """
    if name is None:
        names = [state.name for state in ledger.controls()]
        killed = False
    else:
        names, killed = [name], ledger.control(name).killed
    counts = [
        one for one in ledger.open_counts() if one.path is JobPath.CONCURRENT and one.name in names
    ]
    waiting = sum(one.jobs for one in counts if one.state == JobState.ACCEPTED)
    working = [one for one in counts if one.state == JobState.STARTED]
    running = sum(one.jobs for one in working)
    finishing = sum(one.jobs for one in working if not ledger.effects(one.name).repeatable)
    return Consequence(
        "kill",
        name,
        _kill_sentence(waiting, running, finishing, killed=killed),
        waiting,
        running,
        finishing,
    )


def _kill_sentence(waiting: int, running: int, finishing: int, *, killed: bool) -> str:
    if killed:
        return "It is killed already; another kill changes nothing and is safe."
    if not waiting and not running:
        sentence = "No job is on the concurrent path now; every new job would go to legacy."
    else:
        goes = "goes" if waiting + running - finishing == 1 else "go"
        sentence = f"{waiting} waiting, {running - finishing} running {goes} to legacy."
    if finishing:
        sentence += f" {finishing} unsafe, which run, may finish."
    return sentence


def of_change(before: ControlState, after: ControlState, event: Event) -> Consequence:
    """What an event of the stage table would change."""
    sentence = change_sentence(before, after)
    return Consequence(str(event), before.name, sentence, after=after, changes=sentence != _NOTHING)


def change_sentence(before: ControlState, after: ControlState) -> str:
    """The difference between two states, in words."""
    parts = []
    if before.stage is not after.stage:
        parts.append(f"stage {before.stage} becomes {after.stage}")
    if before.scope_bp != after.scope_bp:
        parts.append(f"scope {_share(before.scope_bp)} becomes {_share(after.scope_bp)}")
    if before.killed and not after.killed:
        parts.append(f"the kill is lifted: stage {after.stage} and scope {_share(after.scope_bp)} "
                     "are in force again")  # fmt: skip
    if before.frozen is not after.frozen:
        parts.append("the scope may not grow" if after.frozen else "the scope may grow again")
    return "; ".join(parts).capitalize() + "." if parts else _NOTHING


def _share(scope_bp: int) -> str:
    return f"{scope_bp / 100:g} %"
