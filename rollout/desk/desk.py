"""Everything a person may want to know, behind one door: for command line, API and page alike.

Each method gives a frozen result with one `to_json`. What a method needs is imported when it is
called, so that looking at a job loads no statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from rollout.desk.jobs import Jobs
from rollout.drills.ports import Journals
from rollout.jobs.ports import Ledger
from rollout.routing.clock import Clock
from rollout.routing.ports import ControlStore

if TYPE_CHECKING:
    from rollout.desk.board import Board
    from rollout.desk.decisions import DecisionPage, Decisions, ReplayPage
    from rollout.desk.drills import DrillJournal, DrillList
    from rollout.desk.history import History, Log
    from rollout.desk.jobs import FailedJobs, JobPages, Messages
    from rollout.desk.pending import Why
    from rollout.desk.policy import PolicyPage
    from rollout.desk.policy_check import PolicyCheck
    from rollout.desk.shadows import ShadowReport
    from rollout.desk.why import Explanations
    from rollout.errors import RolloutError
    from rollout.policy.check import Assumed, Declarations
    from rollout.policy.policy import Policies
    from rollout.shadow.ports import ShadowQueue, Shadows

    class DeskLedger(Ledger, Jobs, Journals, Log, Decisions, Declarations, Protocol):
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
        policies: In force.
        parsed_policies: Everything that was said, and each line that is wrong.
    """

    ledger: DeskLedger
    control: Callable[[], ControlStore]
    clock: Clock
    explanations: Callable[[], Explanations]
    shadows: Callable[[], Shadows]
    shadow_queue: Callable[[], ShadowQueue]
    shadow_limit: timedelta
    policies: Callable[[], Policies]
    parsed_policies: Callable[[], tuple[Policies, Sequence[RolloutError]]]

    def status(self, name: str | None = None) -> Board:
        """Where each sub-pipeline stands; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.board import read_board

        return read_board(self.ledger, self.control(), self.clock, self.explanations, name)

    def why(self, name: str) -> Why:
        """What is pending and why; raises UnknownSubPipeline, LedgerUnreachable, WrongPolicy."""
        return self.explanations().why(name)

    def history(self, name: str, limit: int) -> History:
        """Changes and decisions; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.history import read_history

        return read_history(self.ledger, name, limit)

    def decision(self, decision_id: int) -> DecisionPage:
        """A past decision; raises UnknownDecision, LedgerUnreachable."""
        from rollout.desk.decisions import read_decision

        return read_decision(self.ledger, decision_id)

    def replay(self, decision_id: int) -> ReplayPage:
        """A past decision made again; raises UnknownDecision, UnreadableDecision."""
        from rollout.desk.decisions import replay_decision

        return replay_decision(self.ledger, decision_id)

    def job(self, job_id: str) -> JobPages:
        """The way of each job of an id; raises UnknownJob, LedgerUnreachable."""
        from rollout.desk.jobs import read_job

        return read_job(self.ledger, job_id)

    def failed(self, name: str | None, limit: int) -> FailedJobs:
        """The kept failures; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.desk.jobs import read_failed

        return read_failed(self.ledger, name, limit)

    def messages(self, limit: int) -> Messages:
        """The refused messages; raises LedgerUnreachable."""
        from rollout.desk.jobs import read_messages

        return read_messages(self.ledger, limit)

    def shadow_report(self, name: str, groups_max: int) -> ShadowReport:
        """What shadows found; raises UnknownSubPipeline, LedgerUnreachable, WrongSettings."""
        from rollout.desk.shadows import read_shadows

        shadows, queue = self.shadows(), self.shadow_queue()
        return read_shadows(
            self.ledger, shadows, queue, self.clock, self.shadow_limit, name, groups_max
        )

    def drills(self, name: str | None, limit: int) -> DrillList:
        """The newest drills; raises LedgerUnreachable."""
        from rollout.desk.drills import read_drills

        return read_drills(self.ledger, name, limit)

    def drill(self, drill_id: str) -> DrillJournal:
        """One drill by its id or its beginning; raises BadDrill, LedgerUnreachable."""
        from rollout.desk.drills import read_journal

        return read_journal(self.ledger, drill_id)

    def policy(self, name: str | None) -> PolicyPage:
        """The policy in force; raises UnknownSubPipeline, WrongPolicy."""
        from rollout.desk.policy import read_policy

        return read_policy(self.policies(), self.ledger, name, self.clock.now())

    def policy_check(self, name: str | None, assumed: Assumed) -> PolicyCheck:
        """What is wrong in the policies; raises UnknownSubPipeline, WrongSettings."""
        from rollout.desk.policy_check import read_policy_check

        return read_policy_check(
            self.parsed_policies(), self.ledger, name, assumed, self.clock.now()
        )
