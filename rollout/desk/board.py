"""Where every sub-pipeline stands: the first screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollout.desk.history import last_change_json
from rollout.desk.plain import Json
from rollout.desk.status import Status, read_status
from rollout.errors import WrongSettings
from rollout.jobs.ports import Ledger
from rollout.routing.clock import Clock
from rollout.routing.ports import ControlStore, TransitionRecord

if TYPE_CHECKING:  # the judgement is heavy, and a policy that cannot be read needs none of it
    from collections.abc import Callable

    from rollout.desk.leader import Leader
    from rollout.desk.pending import Pending
    from rollout.desk.why import Explanations


@dataclass(frozen=True, slots=True)
class Board:
    """Each sub-pipeline's status, its last change, what is pending.

    `unjudged` says why nobody can tell what is pending, such as a policy that cannot be read.
    """

    statuses: tuple[Status, ...]
    changes: Mapping[str, TransitionRecord]
    pending: Mapping[str, Pending] = field(default_factory=dict)
    leader: Leader | None = None
    unjudged: str = ""

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "sub_pipelines": [self._status_json(one) for one in self.statuses],
            "leader": None if self.leader is None else self.leader.to_json(),
        }

    def _status_json(self, one: Status) -> Json:
        pending = self.pending.get(one.state.name)
        return {
            **one.to_json(),
            "judgement": {"unseen": self.unjudged} if pending is None else pending.to_json(),
            "last_change": last_change_json(self.changes.get(one.state.name)),
        }


def read_board(
    ledger: Ledger,
    control: ControlStore,
    clock: Clock,
    explanations: Callable[[], Explanations],
    name: str | None,
) -> Board:
    """Read one sub-pipeline, or all of them.

    Args:
        ledger: The truth.
        control: What starts ask.
        clock: Time.
        explanations: Raises WrongSettings where a policy cannot be read: it hides no fact.
        name: One sub-pipeline; None for all.

    Raises:
        UnknownSubPipeline: There is no such name.
        LedgerUnreachable: The ledger does not answer.
    """
    statuses = tuple(read_status(ledger, control, clock, name))
    last = {one.state.name: ledger.transitions(one.state.name, 1) for one in statuses}
    changes = {one: records[0] for one, records in last.items() if records}
    try:
        explained = explanations()
    except WrongSettings as error:
        return Board(statuses, changes, unjudged=error.problem)
    pending = {one.state.name: one for one in explained.pending(name)}
    return Board(statuses, changes, pending, explained.leader())
