"""Where every sub-pipeline stands now, beside a judgement of a moment ago: for who looks often.

Judging two hundred takes a second and more of processor time, and its numbers change with windows
of evidence; revisions, kills, counts and errors are read at each look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rollout.control.kill_log import last_changes
from rollout.desk.board import Board, BoardLedger, Suspected, with_recent
from rollout.desk.pending import Pending
from rollout.desk.status import read_status
from rollout.desk.why import Explanations
from rollout.desk.workers import Hanging, Workers
from rollout.errors import WrongSettings
from rollout.routing.clock import Clock
from rollout.routing.ports import ControlStore

ANEW_MAX = 5
"""So many that were changed since they were judged are judged anew; where more were, a kill of all
for one, they wait for the next judgement of all."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What takes its time to find out: what is pending everywhere, and what the workers do.

    `at` is None where it is not known yet, and `unjudged` says why.
    """

    at: datetime | None = None
    pending: Mapping[str, Pending] = field(default_factory=dict)
    unjudged: str = ""
    listeners: Mapping[str, Sequence[str]] | None = None
    hanging: tuple[Hanging, ...] = ()


def read_judged(
    ledger: BoardLedger,
    control: ControlStore,
    clock: Clock,
    explanations: Callable[[], Explanations],
    workers: Callable[[], Workers | None],
) -> Judged:
    """Judge every sub-pipeline as the controller will next, and ask the workers.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    at = clock.now()
    asked = Suspected.of(read_status(ledger, control, clock, None), workers)
    try:
        page = explanations().explain()
    except WrongSettings as error:
        return Judged(at, unjudged=error.problem)
    listeners, hanging = asked.answers(ledger, clock)
    return Judged(at, {one.state.name: one for one in page.pending}, "", listeners, hanging)


def read_standing(
    ledger: BoardLedger,
    control: ControlStore,
    clock: Clock,
    explanations: Callable[[], Explanations],
    judged: Judged,
) -> Board:
    """Read where every sub-pipeline stands now.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    statuses = with_recent(ledger, read_status(ledger, control, clock, None), clock)
    known = {one.state.name for one in statuses}
    changes = last_changes(ledger, known)
    pending = {name: one for name, one in judged.pending.items() if name in known}
    changed = [
        one.state.name
        for one in statuses
        if one.state.name in pending
        and pending[one.state.name].state.revision != one.state.revision
    ]
    try:
        page = explanations().led_by()
        for name in changed[:ANEW_MAX]:
            pending[name] = explanations().explain(name).pending[0]
    except WrongSettings as error:
        return Board(statuses, changes, unjudged=error.problem)
    return Board(
        statuses,
        changes,
        pending,
        page.leader,
        judged.unjudged,
        page.policy_difference,
        judged.listeners,
        judged.hanging,
        judged_at=judged.at,
    )
