"""Everything a person may want to know, behind one door: for command line, API and page alike.

Each method gives a frozen result with one `to_json`. What a method needs is imported when it is
called, so that looking at a job loads no statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from rollout.desk.jobs import Jobs
from rollout.drills.ports import Journals
from rollout.jobs.ports import Ledger
from rollout.jobs.recent import JobKind, RecentJobs
from rollout.routing.clock import Clock
from rollout.routing.ports import ControlStore

if TYPE_CHECKING:
    from rollout.control.acts import ActLog
    from rollout.control.kill_report import KillReport
    from rollout.desk.acts import ActPage
    from rollout.desk.board import Board
    from rollout.desk.decisions import DecisionList, DecisionPage, Decisions, ReplayPage
    from rollout.desk.drills import DrillJournal, DrillList
    from rollout.desk.history import History, Log, Older
    from rollout.desk.jobs import JobList, JobPages
    from rollout.desk.mask import Mask
    from rollout.desk.pending import Why
    from rollout.desk.policy import PolicyList, PolicyPage
    from rollout.desk.policy_check import PolicyCheck
    from rollout.desk.report import Report
    from rollout.desk.resources import ResourcePage
    from rollout.desk.revealed import Messages, Revealed
    from rollout.desk.shadows import ShadowReport
    from rollout.desk.standing import Judged
    from rollout.desk.trend import Trend
    from rollout.desk.why import Explanations
    from rollout.desk.workers import StillRunning, Workers
    from rollout.errors import RolloutError
    from rollout.jobs.claims import JobRecord
    from rollout.pilot.ports import BuildLog, Recoveries
    from rollout.policy.check import Assumed, Declarations
    from rollout.policy.policy import Policies
    from rollout.shadow.ports import ShadowQueue, Shadows

    class DeskLedger(
        Ledger, Jobs, RecentJobs, Journals, Log, BuildLog, Decisions, Declarations, ActLog,
        Recoveries, Protocol,
    ):  # fmt: skip
        """The ledger, as far as people look into it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a person wants to know.

    What only some questions need is asked for when one of them comes: each callable may raise
    WrongSettings, `shadows` where the ledger is in memory.

    Attributes:
        ledger: The truth and its logs.
        control: What starts ask.
        clock: Time.
        explanations: What is pending and why.
        shadows: The account of shadows.
        shadow_queue: Where copies wait.
        shadow_limit: How long a shadow may run.
        workers: The queue engine's workers; None where jobs run in this process.
        policies: In force.
        parsed_policies: Everything that was said, and each line that is wrong.
        capacities: How much there is of each resource; raises WrongSettings.
        mask: What may be seen of jobs, and behind it.
    """

    ledger: DeskLedger
    control: Callable[[], ControlStore]
    clock: Clock
    explanations: Callable[[], Explanations]
    shadows: Callable[[], Shadows]
    shadow_queue: Callable[[], ShadowQueue]
    shadow_limit: timedelta
    workers: Callable[[], Workers | None]
    policies: Callable[[], Policies]
    parsed_policies: Callable[[], tuple[Policies, Sequence[RolloutError]]]
    capacities: Callable[[], Mapping[str, int]]
    mask: Mask

    def status(self, name: str | None = None, pages_max: int | None = None) -> Board:
        """Where each sub-pipeline stands; raises UnknownSubPipeline, LedgerUnreachable.

        Of more than `pages_max` only what stands on one line of each.
        """
        from rollout.desk.board import read_board

        control, explanations = self.control(), self.explanations
        return read_board(
            self.ledger, control, self.clock, explanations, self.workers, name, pages_max
        )

    def judged(self) -> Judged:
        """What takes its time to find out about all; raises LedgerUnreachable."""
        from rollout.desk.standing import read_judged

        return read_judged(self.ledger, self.control(), self.clock, self.explanations, self.workers)

    def standing(self, judged: Judged) -> Board:
        """Where all stand now, beside what was judged before; raises LedgerUnreachable."""
        from rollout.desk.standing import read_standing

        return read_standing(self.ledger, self.control(), self.clock, self.explanations, judged)

    def unheard(self, name: str) -> list[str]:
        """Queues of a sub-pipeline on which nobody listens, in sentences; raises BrokerUnreachable.

        Empty where there are no workers to ask, as in a program of one process.
        """
        from rollout.desk.workers import needed_queues, nobody_listens

        workers = self.workers()
        if workers is None:
            return []
        asked = workers.ask()
        queues, listeners = needed_queues(self.ledger.control(name)), asked.listeners()
        return [nobody_listens(queue) for queue in queues if not listeners.get(queue)]

    def shadow_first(self, name: str) -> str | None:
        """What a start has left out; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.shadow_first import read_suggestion

        return read_suggestion(self.ledger, name)

    def still_running(self, report: KillReport) -> StillRunning:
        """Processes that go on with jobs that a kill took from them; never raises."""
        from rollout.desk.workers import read_still_running

        return read_still_running(report, self.workers, self.ledger, self.clock.now())

    def why(self, name: str, *, ask_workers: bool = True) -> Why:
        """What is pending and why; raises UnknownSubPipeline, LedgerUnreachable, WrongPolicy.

        Args:
            name: The sub-pipeline.
            ask_workers: Ask them, half a second and more, where jobs wait for long; not needed
                beside a board, which has asked them.
        """
        if not ask_workers:
            return self.explanations().why(name)
        from rollout.desk.board import read_held_up

        held_up = read_held_up(self.ledger, self.control(), self.clock, self.workers, name)
        # The workers answer while the evidence is read.
        page = self.explanations().why(name)
        return replace(page, held_up=tuple(held_up()))

    def history(self, name: str | None, limit: int, before: Older | None = None) -> History:
        """Changes and decisions; None: the kills of all. Raises as `read_history`."""
        from rollout.desk.history import read_history

        return read_history(self.ledger, name, limit, before)

    def decisions(self, name: str | None, limit: int, before: int | None = None) -> DecisionList:
        """The newest decisions; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.decisions import DecisionList

        if name is not None:
            self.ledger.control(name)
        return DecisionList(tuple(self.ledger.decisions(name, limit, before)), limit)

    def report(self, name: str, since: datetime) -> Report:
        """What happened since then; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.report import read_report

        return read_report(self.ledger, self.clock, name, since)

    def decision(self, decision_id: int) -> DecisionPage:
        """A past decision; raises UnknownDecision, LedgerUnreachable."""
        from rollout.desk.decisions import read_decision

        return read_decision(self.ledger, decision_id)

    def replay(self, decision_id: int) -> ReplayPage:
        """A past decision made again; raises UnknownDecision, UnreadableDecision."""
        from rollout.desk.decisions import replay_decision

        return replay_decision(self.ledger, decision_id)

    def job(self, job_id: str, only: frozenset[str] | None = None) -> JobPages:
        """The way of each job of an id, `only` of these; raises UnknownJob, LedgerUnreachable."""
        from rollout.desk.jobs import read_job

        return read_job(self.ledger, job_id, self.mask, only)

    def jobs(
        self,
        name: str | None,
        kind: JobKind,
        since: datetime | None,
        limit: int,
        before: tuple[datetime, str] | None = None,
    ) -> JobList:
        """Jobs of one kind; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.jobs import read_jobs

        return read_jobs(self.ledger, name, kind, since, limit, before)

    def jobs_like(self, text: str, name: str | None, limit: int) -> list[JobRecord]:
        """Jobs by id, beginning of it, or key; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.job_search import read_like

        return read_like(self.ledger, text, name, limit)

    def revealed(self, record: JobRecord) -> Revealed:
        """What a job was given and gave; raises UnknownJob, LedgerUnreachable.

        Whoever calls has noted who looks (`Door.note`).
        """
        from rollout.desk.revealed import reveal

        return reveal(self.ledger.job(record.name, record.job_id), self.mask.arguments)

    def trend(self, name: str, hours: int | None) -> Trend:
        """Both paths over time; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.trend import read_trend

        span = None if hours is None else timedelta(hours=min(max(hours, 1), 24 * 366))
        return read_trend(self.ledger, name, span, self.clock.now())

    def acts(self, name: str | None, limit: int, before: int | None = None) -> ActPage:
        """Who tried what; raises LedgerUnreachable."""
        from rollout.desk.acts import read_acts

        return read_acts(self.ledger, name, limit, before)

    def resources(self, resource: str | None) -> ResourcePage:
        """Who holds what is shared; raises UnknownResource, LedgerUnreachable, WrongSettings."""
        from rollout.desk.resources import read_resources

        return read_resources(self.ledger, self.capacities(), resource, self.clock.now())

    def whole_id(self, job_id: str) -> str:
        """The id of the one job whose id begins so; raises LedgerUnreachable."""
        from rollout.desk.job_search import whole_id

        return whole_id(self.ledger, job_id)

    def input_of(self, name: str, job_id: str) -> str:
        """The message of a job; raises NoInputKept, UnknownJob, LedgerUnreachable."""
        from rollout.desk.jobs import read_input

        return read_input(self.ledger, name, job_id)

    def messages(self, limit: int, *, revealed: bool = False) -> Messages:
        """The refused messages; `revealed` as in `revealed`. Raises LedgerUnreachable."""
        from rollout.desk.revealed import read_messages

        return read_messages(self.ledger, limit, revealed=revealed)

    def shadow_report(self, name: str, groups_max: int, *, revealed: bool = False) -> ShadowReport:
        """What shadows found; `revealed` as in `revealed`.

        Raises UnknownSubPipeline, LedgerUnreachable, WrongSettings.
        """
        from rollout.desk.shadows import read_shadows

        shadows, queue = self.shadows(), self.shadow_queue()
        return read_shadows(
            self.ledger, shadows, queue, self.clock, self.shadow_limit, name, groups_max,
            self.mask.fields(name), revealed=revealed,
        )  # fmt: skip

    def drills(self, name: str | None, limit: int) -> DrillList:
        """The newest drills; raises LedgerUnreachable."""
        from rollout.desk.drills import read_drills

        return read_drills(self.ledger, name, limit, self.clock.now())

    def drill(self, drill_id: str) -> DrillJournal:
        """One drill by its id or its beginning; raises BadDrill, LedgerUnreachable."""
        from rollout.desk.drills import read_journal

        return read_journal(self.ledger, drill_id, self.clock.now())

    def policy(self, name: str | None) -> PolicyPage:
        """The policy in force; raises UnknownSubPipeline, WrongPolicy."""
        from rollout.desk.policy import read_policy

        return read_policy(
            self.policies(),
            self.ledger,
            name,
            self.clock.now(),
            lambda: self.explanations().led_by().policy_difference,
        )

    def policies_in_force(self, only: frozenset[str] | None = None) -> PolicyList:
        """What the controller judges by, of all or of these; raises WrongPolicy."""
        from rollout.desk.policy import read_policies

        in_force = self.explanations().in_force()
        return read_policies(in_force, self.ledger, only, self.clock.now())

    def policy_in_force(self, name: str | None) -> PolicyList:
        """The same of one sub-pipeline, or of all without one of their own.

        Raises UnknownSubPipeline, WrongPolicy.
        """
        from rollout.desk.policy import PolicyList, read_policy

        in_force = self.explanations().in_force()
        page = read_policy(
            in_force.policies, self.ledger, name, self.clock.now(), lambda: in_force.difference
        )
        return PolicyList((page,), in_force.difference)

    def policy_check(self, name: str | None, assumed: Assumed) -> PolicyCheck:
        """What is wrong in the policies; raises UnknownSubPipeline, WrongSettings."""
        from rollout.desk.policy_check import read_policy_check

        return read_policy_check(
            self.parsed_policies(), self.ledger, name, assumed, self.clock.now()
        )
