"""Where every sub-pipeline stands: the first screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from rollout.control.kill_log import last_changes
from rollout.desk.alarms import Alarm, Need, alarms_of, held_up, suspicious
from rollout.desk.conditions import Condition, conditions_of
from rollout.desk.history import last_change_json
from rollout.desk.lately import read_lately, with_medians
from rollout.desk.numbers import Number, three_numbers
from rollout.desk.plain import Json
from rollout.desk.releases import UNNAMED, read_releases
from rollout.desk.running_drills import read_running
from rollout.desk.status import Status, read_status
from rollout.desk.workers import Asked, Hanging, Workers, read_hanging
from rollout.drills.ports import Journals
from rollout.errors import BrokerUnreachable, UnknownSubPipeline, WrongSettings
from rollout.jobs.ports import Ledger
from rollout.jobs.recent import RecentJobs
from rollout.pilot.ports import BuildLog
from rollout.routing.clock import Clock
from rollout.routing.ports import ControlStore, TransitionRecord

if TYPE_CHECKING:  # the judgement is heavy, and a policy that cannot be read needs none of it
    from collections.abc import Callable, Iterator

    from rollout.desk.leader import Leader
    from rollout.desk.pending import Pending
    from rollout.desk.why import Explanations


class BoardLedger(Ledger, RecentJobs, Journals, BuildLog, Protocol):
    """The ledger, as far as the first screen asks it."""


@dataclass(frozen=True, slots=True)
class Board:
    """Each sub-pipeline's status, its last change, what is pending.

    `unjudged` says why nobody can tell what is pending, such as a policy that cannot be read;
    `policy_difference` where the leader judges by another policy than the file's. One that is
    `in_short` has many sub-pipelines, and neither last changes nor what is pending. `judged_at`
    says when what is pending was read, where that was before the rest.
    """

    statuses: tuple[Status, ...]
    changes: Mapping[str, TransitionRecord]
    pending: Mapping[str, Pending] = field(default_factory=dict)
    leader: Leader | None = None
    unjudged: str = ""
    policy_difference: str | None = None
    listeners: Mapping[str, Sequence[str]] | None = None
    hanging: tuple[Hanging, ...] = ()
    in_short: bool = False
    judged_at: datetime | None = None
    _alarms: dict[str, tuple[Alarm, ...]] = field(default_factory=dict, compare=False, repr=False)
    _json: dict[str, Json] = field(default_factory=dict, compare=False, repr=False)
    """What was worked out for one viewer is there for the next: a board is one reading."""

    def alarms(self, one: Status) -> tuple[Alarm, ...]:
        """What is wrong with a sub-pipeline, the worst first."""
        name = one.state.name
        if (alarms := self._alarms.get(name)) is None:
            mine = [hanging for hanging in self.hanging if hanging.name == name]
            pending, change = self.pending.get(name), self.changes.get(name)
            alarms = alarms_of(one, pending, self.listeners, mine, change)
            self._alarms[name] = alarms
        return alarms

    def held_up(self, one: Status) -> tuple[Alarm, ...]:
        """What the workers said holds its jobs up; nothing where nobody asked them."""
        mine = [hanging for hanging in self.hanging if hanging.name == one.state.name]
        return tuple(held_up(one, self.listeners, mine))

    def need(self, one: Status) -> Need:
        """How much somebody is needed there."""
        return min((alarm.need for alarm in self.alarms(one)), default=Need.NONE)

    def conditions(self, one: Status) -> tuple[Condition, ...]:
        """How a sub-pipeline is, for programs."""
        name = one.state.name
        return conditions_of(one, self.pending.get(name), self.leader, self.changes.get(name))

    def numbers(self, one: Status) -> tuple[Number, ...]:
        """Cycle time, error rate and recovery time, old against new."""
        return three_numbers(self.pending.get(one.state.name), one.cycles)

    def of(self, name: str) -> Status:
        """The status of one sub-pipeline; raises UnknownSubPipeline."""
        for one in self.statuses:
            if one.state.name == name:
                return one
        raise UnknownSubPipeline(name, [one.state.name for one in self.statuses])

    def only(self, names: frozenset[str] | None) -> Board:
        """The board as somebody sees it who may see these alone; None sees all."""
        if names is None:
            return self
        mine = tuple(one for one in self.statuses if one.state.name in names)
        hanging = tuple(one for one in self.hanging if one.name in names)
        # The sentence on the leader's policies names whatever differs.
        return replace(self, statuses=mine, hanging=hanging, policy_difference=None)

    @property
    def killed_all(self) -> bool:
        """Whether a kill of all holds, as the control store says it."""
        return any(one.gate.killed_all for one in self.statuses)

    def one_json(self, name: str) -> Json:
        """What scripts read about one sub-pipeline; raises UnknownSubPipeline."""
        return self._one_json(self.of(name))

    @property
    def by_need(self) -> list[Status]:
        """The sub-pipelines, those that need somebody first."""
        return [one for _, one in self.with_need]

    @property
    def with_need(self) -> list[tuple[Need, Status]]:
        """The same, each with its need."""
        pairs = [(self.need(one), one) for one in self.statuses]
        return sorted(pairs, key=lambda pair: (pair[0], pair[1].state.name))

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "sub_pipelines": [self._one_json(one) for one in self.statuses],
            "leader": None if self.leader is None else self.leader.to_json(),
            "policy_difference": self.policy_difference,
            "hanging": [one.to_json() for one in self.hanging],
        }

    def _one_json(self, one: Status) -> Json:
        name = one.state.name
        if name not in self._json:
            self._json[name] = self._status_json(one)
        return self._json[name]

    def _status_json(self, one: Status) -> Json:
        pending = self.pending.get(one.state.name)
        return {
            **one.to_json(),
            "judgement": {"unseen": self.unjudged} if pending is None else pending.to_json(),
            "last_change": last_change_json(self.changes.get(one.state.name)),
            "observed_revision": one.gate_revision,
            "conditions": [condition.to_json() for condition in self.conditions(one)],
            "numbers": [number.to_json() for number in self.numbers(one)],
            "need": self.need(one).name.lower(),
            "alarms": [alarm.to_json() for alarm in self.alarms(one)],
        }


def read_board(
    ledger: BoardLedger,
    control: ControlStore,
    clock: Clock,
    explanations: Callable[[], Explanations],
    workers: Callable[[], Workers | None],
    name: str | None,
    pages_max: int | None = None,
) -> Board:
    """Read one sub-pipeline, or all of them.

    Args:
        ledger: The truth.
        control: What starts ask.
        clock: Time.
        explanations: Raises WrongSettings where a policy cannot be read: it hides no fact.
        workers: Asked only where jobs wait for long or a kill is latched: that takes its time.
        name: One sub-pipeline; None for all.
        pages_max: Of more than so many only what stands on a line of each; None is any.

    Raises:
        UnknownSubPipeline: There is no such name.
        LedgerUnreachable: The ledger does not answer.
    """
    plain = read_status(ledger, control, clock, name)
    # Their answers take most of a second: all that is read meanwhile costs no time.
    asked = Suspected.of(plain, workers)
    statuses = with_recent(ledger, plain, clock)
    if pages_max is not None and len(statuses) > pages_max:
        return _in_short(statuses, ledger, clock, explanations, asked)
    statuses = tuple(_with_medians(ledger, one) for one in statuses)
    names = {one.state.name for one in statuses}
    changes = last_changes(ledger, names)
    try:
        page = explanations().explain(name)
    except WrongSettings as error:
        return Board(statuses, changes, unjudged=error.problem)
    listeners, hanging = asked.answers(ledger, clock)
    pending = {one.state.name: one for one in page.pending}
    return Board(
        statuses,
        changes,
        pending,
        page.leader,
        policy_difference=page.policy_difference,
        listeners=listeners,
        hanging=hanging,
    )


def read_held_up(
    ledger: BoardLedger,
    control: ControlStore,
    clock: Clock,
    workers: Callable[[], Workers | None],
    name: str,
) -> Callable[[], Iterator[Alarm]]:
    """Ask the workers of one sub-pipeline what holds its jobs up, where something is suspicious.

    Returns:
        Waits for their answers, and says it.

    Raises:
        UnknownSubPipeline: There is no such name.
        LedgerUnreachable: The ledger does not answer.
    """
    (status,) = read_status(ledger, control, clock, name)
    asked = Suspected.of([status], workers)
    return lambda: held_up(status, *asked.answers(ledger, clock))


def _in_short(
    statuses: tuple[Status, ...],
    ledger: BoardLedger,
    clock: Clock,
    explanations: Callable[[], Explanations],
    asked: Suspected,
) -> Board:
    try:
        page = explanations().led_by()
    except WrongSettings as error:
        return Board(statuses, {}, unjudged=error.problem, in_short=True)
    listeners, hanging = asked.answers(ledger, clock)
    return Board(
        statuses,
        {},
        leader=page.leader,
        policy_difference=page.policy_difference,
        listeners=listeners,
        hanging=hanging,
        in_short=True,
    )


@dataclass(frozen=True, slots=True)
class Suspected:
    """The workers of what is suspicious, asked; `workers` is None where nobody was."""

    names: Sequence[str]
    workers: Asked | None

    @classmethod
    def of(cls, statuses: Sequence[Status], workers: Callable[[], Workers | None]) -> Suspected:
        """Ask where something is suspicious."""
        names = [one.state.name for one in statuses if suspicious(one)]
        there = workers() if names else None
        return cls(names, None if there is None else there.ask())

    def answers(
        self, ledger: BoardLedger, clock: Clock
    ) -> tuple[Mapping[str, Sequence[str]] | None, tuple[Hanging, ...]]:
        """Who listens and what hangs; a broker that is away is told elsewhere."""
        if self.workers is None:
            return None, ()
        try:
            return self.workers.listeners(), read_hanging(
                self.workers, ledger, self.names, clock.now()
            )
        except BrokerUnreachable:
            return None, ()


def _with_medians(ledger: BoardLedger, status: Status) -> Status:
    """How long the jobs of the last minutes took, where there were any."""
    lately = status.lately
    if lately is None or not any(one.jobs for one in lately.paths.values()):
        return status
    return replace(status, lately=with_medians(ledger, status.state.name, lately, status.at))


def with_recent(
    ledger: BoardLedger, statuses: Sequence[Status], clock: Clock
) -> tuple[Status, ...]:
    """The statuses with what happened lately, drills that run and builds. Raises as its reads."""
    now = clock.now()
    lately = read_lately(ledger, [one.state.name for one in statuses], now)
    drills, releases = read_running(ledger, now), read_releases(ledger)
    return tuple(
        replace(
            one,
            lately=lately[one.state.name],
            drill=drills.get(one.state.name),
            releases=releases.get(one.state.name, UNNAMED),
        )
        for one in statuses
    )
