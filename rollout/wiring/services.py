"""The services of people and of the controller."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property, partial
from os import getpid
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from rollout.errors import RolloutError, WrongSettings
from rollout.wiring.jobs import JobServices
from rollout.wiring.servers import Late

if TYPE_CHECKING:  # each is loaded when it is first used: a command waits for what it needs alone
    from rollout.adapters.notify import Outbox
    from rollout.audit.job_log import JobLog
    from rollout.control.access import Caller
    from rollout.control.acts import Act, ActLog
    from rollout.control.change import Changes
    from rollout.control.door import Door, DoorLedger
    from rollout.control.tokens import Tokens
    from rollout.controller.tick import Tick
    from rollout.desk.desk import Desk
    from rollout.desk.why import Explanations
    from rollout.drills.drill import Drill
    from rollout.drills.drills import DrillReport, Drills
    from rollout.drills.ports import DrillEvent
    from rollout.drills.run import Injector
    from rollout.jobs.ports import ConnectionSource, Ledger, Queues
    from rollout.pilot.pilots import Pilots
    from rollout.pilot.situations import Situations
    from rollout.policy.policy import Policies
    from rollout.policy.way import Baseline
    from rollout.preflight.facts import JobFact
    from rollout.rehearsal.from_ledger import FromLedger


class Runtime(JobServices):
    """The services of one process, each built when it is first used; arguments as `Servers`."""

    @cached_property
    def policies(self) -> Policies:
        """What the controller may do by itself, from `rollout.toml`; raises WrongPolicy."""
        from rollout.policies import read_policies

        return read_policies()

    @cached_property
    def changes(self) -> Changes:
        """What people and the controller do."""
        from rollout.control.change import Changes
        from rollout.policy.ladder import FirstSteps

        ladder = FirstSteps(lambda: self.policies, self._baseline_of)
        if not self.brief:
            return Changes(self.ledger, self.control, self.queues, self.clock, ladder)
        ledger = cast("Ledger", Late(lambda: self.switch_ledger))
        queues = cast("Queues", Late(lambda: self.queues))
        return Changes(ledger, self.control, queues, self.clock, ladder)

    @cached_property
    def door(self) -> Door:
        """Every action of a person: may they, do it, note it."""
        from rollout.control.door import Door

        # A kill looks into the ledger after its latch is set.
        ledger: Any = Late(lambda: self.switch_ledger) if self.brief else self.ledger
        return Door(
            self.changes,
            cast("DoorLedger", ledger),
            cast("ActLog", Late(lambda: self._acts)),
            self.clock,
            self._second_person,
            _say_lost,
        )

    def _second_person(self, name: str | None) -> bool:
        policies = self.policies
        policy = policies.default if name is None else policies.of(name)
        return policy.rearm_second_person

    @cached_property
    def tokens(self) -> Tokens:
        """Tokens and sessions of page and API."""
        from secrets import token_urlsafe

        from rollout.control.tokens import Tokens

        return Tokens(self.ledger, self.clock, lambda: token_urlsafe(32))

    def _baseline_of(self, name: str) -> Baseline | None:
        """What legacy has shown of a sub-pipeline lately."""
        profile = self.ledger.profiles([name]).get(name)
        return None if profile is None else profile.baseline

    def drills(
        self, say: Callable[[DrillEvent], None] | None, caller: Caller | None = None
    ) -> Drills:
        """Runs drills, through the door where a caller is given; workers never load them.

        `say` is told each line of their journals.
        """
        from rollout.adapters.stub import failing_stub
        from rollout.drills.drills import Drills

        return Drills(
            self.database_ledger,
            self.control,
            self.plans,
            self.changes,
            self.clock,
            failing_stub,
            say or _say_nothing,
            self._injector_of,
            *(() if caller is None else (partial(self._by_door, caller),)),
        )

    def _by_door(self, caller: Caller, drill: Drill, run: Callable[[], DrillReport]) -> DrillReport:
        return self.door.drill(caller, drill.sub_pipeline, drill.sentence, run)

    def _injector_of(self, drill: Drill) -> Injector | None:
        """What breaks things for a drill whose fault no worker knows."""
        from rollout.adapters.chaos_toolkit import Experiment

        return None if drill.experiment is None else Experiment(drill, self.clock)

    @cached_property
    def tick(self) -> Tick:
        """The controller's turn."""
        from rollout.controller.tick import Tick, TickLimits

        limits = TickLimits(
            self.settings.lost_after,
            self.settings.silent_after,
            self.settings.supervision,
            self.settings.keep,
        )
        return Tick(
            self.ledger,
            self.control,
            self.queues,
            self.changes,
            self.clock,
            limits,
            self._owner,
            self.pilots,
            lambda: self.capacities,
        )

    @cached_property
    def _owner(self) -> str:
        """This controller, and no other: in containers two may share host name and process id.

        A pod that is put up anew elsewhere has both of the one that was cut off, and must not
        write by the token of its lease.
        """
        return f"{socket.gethostname()}:{getpid()}-{uuid4().hex[:4]}"

    @cached_property
    def situations(self) -> Situations:
        """Gathers what a decision is made on."""
        from rollout.pilot.situation import Shadowed
        from rollout.pilot.situations import Situations

        if self.settings.ledger_in_memory:  # one process runs no shadows
            return Situations(self.ledger)

        def shadowed(name: str) -> Shadowed:
            account = self.database_ledger.shadow_account(name)
            if account.evidence is None:
                return Shadowed()

            from rollout.shadow.runs import evidence_of, findings_of, raised_of

            findings = findings_of(account)
            raised = raised_of(evidence_of(account))
            return Shadowed(
                findings.pairs, findings.errors, (findings.outputs, findings.time), raised
            )

        return Situations(self.ledger, shadowed, self.database_ledger.shadow_names)

    @cached_property
    def pilots(self) -> Pilots:
        """The controller's judgement."""
        from rollout.pilot.pilots import Pilots

        return Pilots(
            self.ledger,
            self.situations,
            self.policies,
            self.changes.project,
            bool(self.settings.notify_urls),
            self._owner,
            self._lease,
        )

    @cached_property
    def outbox(self) -> Outbox:
        """Sends the controller's notices, beside its turns."""
        from rollout.adapters.notify import Outbox

        return Outbox(self.ledger, self.clock, self.settings.notify_urls)

    @property
    def _lease(self) -> timedelta:
        # Over before the heartbeat is, so that a standby beats in time and no job is sent to
        # legacy by a change of leaders.
        return self.settings.supervision * 0.6

    @cached_property
    def explanations(self) -> Explanations:
        """Why each sub-pipeline stands where it stands."""
        from rollout.desk.why import Explanations

        return Explanations(
            self.database_ledger,
            self.situations,
            lambda: self.policies,
            self.clock,
            self._lease,
        )

    @cached_property
    def desk(self) -> Desk:
        """What a person wants to know; statistics are loaded by the questions that need them."""
        from rollout.desk.desk import Desk
        from rollout.desk.mask import Mask
        from rollout.policies import read_every_line

        return Desk(
            ledger=self.ledger,
            control=lambda: self.control,
            clock=self.clock,
            explanations=lambda: self.explanations,
            shadows=lambda: self.database_ledger,
            shadow_queue=lambda: self.shadow_queue,
            shadow_limit=timedelta(seconds=self.settings.shadow_limit_s),
            workers=lambda: self.workers,
            policies=lambda: self.policies,
            parsed_policies=read_every_line,
            capacities=lambda: self.capacities,
            mask=Mask(lambda name: self._declared.get(name), arguments_in),
        )

    @cached_property
    def _declared(self) -> Mapping[str, Any]:
        """Declarations of the app that the settings name; none of one that cannot be imported."""
        if self.settings.app is None:
            return {}
        from rollout.adapters.celery.install import pipelines_of
        from rollout.wiring.building import load_app

        try:
            app = load_app(self.settings.app)
        except WrongSettings as error:
            import structlog

            structlog.get_logger("rollout").warning(
                "everything of jobs is masked: declarations cannot be read", why=error.problem
            )
            return {}
        return {one.name: one for one in pipelines_of(app).values()}

    def finished_jobs(self, name: str) -> FromLedger:
        """What a rehearsal is made of; raises BadStream, UnknownSubPipeline, LedgerUnreachable."""
        from rollout.adapters.sql.finished_jobs import read_finished

        return read_finished(self.database, name, self.ledger.control(name).salt)

    def audited_jobs(self, name: str) -> JobLog:
        """What an audit is made of; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.adapters.sql.audited_jobs import read_audited

        return read_audited(self.database, self.ledger.control(name).name)

    def recorded_jobs(self, name: str, since: datetime, limit: int) -> list[JobFact]:
        """The newest jobs, as a preflight asks; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.adapters.sql.recorded_jobs import read_recorded

        return read_recorded(self.database, self.ledger.control(name).name, since, limit)

    def shadowed_jobs(self, name: str, limit: int) -> list[JobFact]:
        """Jobs that shadows ran on, newest first, else any; raises as `recorded_jobs`."""
        from rollout.adapters.sql.recorded_jobs import read_shadowed

        return read_shadowed(self.database, self.ledger.control(name).name, limit)

    def try_hook(self, write: Callable[[ConnectionSource], object]) -> None:
        """Run a commit hook's writes and take them back; raises what they raise."""
        from rollout.adapters.sql.tried_hook import try_hook

        try_hook(self.database, write)


def arguments_in(envelope: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a kept message; raises ValueError, KeyError, TypeError when it is none."""
    from rollout.adapters.envelope import unseal_arguments

    return unseal_arguments(envelope)


def _say_lost(act: Act, error: RolloutError) -> None:
    """Say an act that the ledger could not take, where whoever acted, or the journal, keeps it."""
    what = act.action if act.name is None else f"{act.action} of {act.name}"
    # stdout is the answer of a command, which scripts read.
    sys.stderr.write(
        f"warning: not in the log of acts: {act.at:%Y-%m-%d %H:%M:%S} UTC {what} by {act.actor}, "
        f"{act.came}: {error.problem}\n"
    )


def _say_nothing(event: DrillEvent) -> None:
    """Keep a journal to the ledger."""
