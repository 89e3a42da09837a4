"""What a kill covers, what a rearm lifts, and when it is refused: one answer for every ledger.

Pure. Each ledger calls these inside its own transaction, on rows that it has locked.
"""

from collections.abc import Sequence

from rollout.errors import IllegalTransition
from rollout.routing.ports import Kill
from rollout.routing.stages import ALL, ControlState, Event


def is_known(before: ControlState, kill: Kill) -> bool:
    """Whether a row has had this kill: it was delivered again, or late, after it was lifted."""
    return kill.kill_id in (before.kill_id, before.lifted_kill_id)


def covered(latch: ControlState, states: Sequence[ControlState]) -> list[ControlState]:
    """What `kill --all` kills; one that was killed by itself keeps its own kill, and outlives it.

    Args:
        latch: The row of all, as it was before.
        states: Every sub-pipeline's row.
    """
    return [state for state in states if state.kill_id in (None, latch.kill_id)]


def check_rearm(name: str | None, latch: ControlState) -> None:
    """Refuse a rearm that the latch of all does not allow.

    Args:
        name: The sub-pipeline; None for all.
        latch: The row of all.

    Raises:
        IllegalTransition: All are to be rearmed and are not killed, or one while all are killed.
    """
    if name is None and not latch.killed:
        raise IllegalTransition(
            ALL, Event.REARM, "while it is not killed", "rearm one: `rollout rearm NAME`"
        )
    if name is not None and latch.killed:
        raise IllegalTransition(
            name, Event.REARM, "while `kill --all` is latched", "use `rollout rearm --all`"
        )


def lifted(latch: ControlState, states: Sequence[ControlState]) -> list[ControlState]:
    """What `rearm --all` lifts: what the kill of all has killed, and nobody's own kill."""
    return [state for state in states if state.kill_id == latch.kill_id]
