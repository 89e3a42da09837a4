"""Builds the objects; the only place that knows every adapter.

Each is imported when it is built: `rollout kill` must not wait for what it does not use. What a
job needs is imported at once by `load_for_jobs`, before a worker forks its children.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from os import getpid
from typing import TYPE_CHECKING, Any, cast

from rollout.adapters.clock import SystemClock
from rollout.errors import LedgerUnreachable, RolloutError, WrongSettings
from rollout.routing.clock import Clock
from rollout.settings import Settings, read_settings, without_password

if TYPE_CHECKING:  # each is loaded when it is first used: a command waits for what it needs alone
    from rollout.adapters.celery.workers import CeleryWorkers
    from rollout.adapters.memory.ledger import MemoryLedger
    from rollout.adapters.notify import Outbox
    from rollout.adapters.sql.database import Database
    from rollout.adapters.sql.ledger import SqlLedger
    from rollout.adapters.sql.switch_ledger import SwitchLedger
    from rollout.audit.job_log import JobLog
    from rollout.control.acts import Act, ActLog
    from rollout.control.change import Changes
    from rollout.control.door import Door, DoorLedger
    from rollout.control.tokens import Tokens
    from rollout.controller.tick import Tick
    from rollout.desk.desk import Desk
    from rollout.desk.health import Health
    from rollout.desk.migrated import Migrated
    from rollout.desk.why import Explanations
    from rollout.drills.drill import Drill
    from rollout.drills.drills import Drills
    from rollout.drills.plans import DrillPlans
    from rollout.drills.ports import DrillEvent, JobMarker
    from rollout.drills.run import Injector
    from rollout.jobs.attempt import Attempts
    from rollout.jobs.key_order import KeyOrder
    from rollout.jobs.ports import JobLedger, Ledger, Queues
    from rollout.jobs.resource_calls import ResourceCalls
    from rollout.jobs.submit import Submit
    from rollout.pilot.pilots import Pilots
    from rollout.pilot.situations import Situations
    from rollout.policy.policy import Policies
    from rollout.policy.way import Baseline
    from rollout.rehearsal.from_ledger import FromLedger
    from rollout.routing.ports import ControlStore
    from rollout.shadow.ports import ShadowBudget, ShadowQueue
    from rollout.shadow.publish import ShadowPublisher
    from rollout.shadow.runs import ShadowRuns


@dataclass
class Runtime:
    """The services of one process, each built when it is first used.

    Args:
        settings: Everything that can be set.
        app_broker_url: Broker named by the Celery app, used when the settings name none.
        clock: Time.
        app_broker_options: The app's `broker_transport_options`; they name keys and hosts, so a
            controller without them would look for messages elsewhere than workers do.
        brief: This process ends soon, and loads no client library that it can do without.
    """

    settings: Settings
    app_broker_url: str | None = None
    clock: Clock = SystemClock()  # noqa: RUF009  # it holds no state
    app_broker_options: Mapping[str, Any] | None = None
    brief: bool = False

    @cached_property
    def database(self) -> Database:
        """Connections of the ledger."""
        from rollout.adapters.sql.database import Database

        return Database(self.settings.ledger_url, self.settings.ledger_schema)

    @cached_property
    def ledger(self) -> SqlLedger | MemoryLedger:
        """The truth.

        Raises:
            WrongSettings: It would be in memory, and jobs run in other processes.
        """
        if not self.settings.ledger_in_memory:
            from rollout.adapters.sql.ledger import SqlLedger

            return SqlLedger(self.database)
        broker = self.settings.broker_url or self.app_broker_url
        if broker is not None and not broker.startswith("memory:"):
            raise ledger_in_memory("jobs that a broker carries to other processes")
        from rollout.adapters.memory.ledger import MemoryLedger

        return MemoryLedger()

    @cached_property
    def job_ledger(self) -> JobLedger:
        """The truth, for what producers and workers ask of it. Raises WrongSettings as `ledger`."""
        if self.settings.ledger_in_memory or "ledger" in self.__dict__:
            return self.ledger
        from rollout.adapters.sql.job_ledger import SqlJobLedger

        return SqlJobLedger(self.database)

    @property
    def database_ledger(self) -> SqlLedger:
        """The ledger, for what only a database keeps: shadows, drills, who leads.

        Raises:
            WrongSettings: It is in memory.
        """
        if self.settings.ledger_in_memory:
            raise ledger_in_memory("shadows, drills and the controller's leadership")
        return cast("SqlLedger", self.ledger)

    @cached_property
    def control(self) -> ControlStore:
        """The fast copy that every start asks."""
        url = self.settings.control(self.app_broker_url)
        if url.startswith("memory:"):
            from rollout.adapters.memory.control_store import MemoryControlStore

            return MemoryControlStore(self.clock)
        from rollout.adapters.redis.store import RedisControlStore

        return RedisControlStore(
            url,
            self._store_prefix,
            self.settings.connect_timeout_ms / 1000,
            self.settings.read_timeout_ms / 1000,
            small=self.brief,
            options=self._broker_options,
        )

    @property
    def _broker_options(self) -> Mapping[str, Any]:
        return self.settings.broker_transport_options or self.app_broker_options or {}

    @property
    def _store_prefix(self) -> str:
        """Before every key of the store: in the broker's own also what the app puts before its."""
        shared = "" if self.settings.control_url else self._broker_options.get("global_keyprefix")
        return f"{shared or ''}{self.settings.key_prefix}"

    @property
    def plans(self) -> DrillPlans:
        """The control store's drills: every store that is built above keeps them."""
        return cast("DrillPlans", self.control)

    @cached_property
    def queues(self) -> Queues:
        """The broker. `memory:` is our own, `memory://` that of kombu, which Celery can use."""
        if self.settings.broker_url == "memory:":
            from rollout.adapters.memory.queues import MemoryQueues

            return MemoryQueues()
        from rollout.adapters.celery.queues import KombuQueues

        broker = self.settings.broker(self.app_broker_url)
        return KombuQueues(broker, self.clock, self._broker_options)

    @cached_property
    def key_order(self) -> KeyOrder:
        """Sends the next job of a key."""
        from rollout.jobs.key_order import KeyOrder

        return KeyOrder(self.job_ledger, self.queues, self.clock)

    @cached_property
    def resource_calls(self) -> ResourceCalls:
        """Calls jobs that wait for a resource."""
        from rollout.jobs.resource_calls import ResourceCalls

        return ResourceCalls(self.job_ledger, self.queues, self.clock)

    @cached_property
    def capacities(self) -> Mapping[str, int]:
        """How much there is of each resource, from `rollout.toml`; raises WrongSettings."""
        from rollout.capacities import read_capacities

        return read_capacities()

    @cached_property
    def policies(self) -> Policies:
        """What the controller may do by itself, from `rollout.toml`; raises WrongPolicy."""
        from rollout.policies import read_policies

        return read_policies()

    @cached_property
    def submit(self) -> Submit:
        """Routes and files new jobs."""
        from rollout.jobs.submit import Submit
        from rollout.routing.router import Router

        router = Router(self.control, self.clock, self.settings.snapshot_s)
        return Submit(router, self.job_ledger, self.clock)

    @cached_property
    def changes(self) -> Changes:
        """What people and the controller do."""
        from rollout.control.change import Changes
        from rollout.policy.ladder import FirstSteps

        ladder = FirstSteps(lambda: self.policies, self._baseline_of)
        if not self.brief:
            return Changes(self.ledger, self.control, self.queues, self.clock, ladder)
        ledger = cast("Ledger", _Late(lambda: self.switch_ledger))
        queues = cast("Queues", _Late(lambda: self.queues))
        return Changes(ledger, self.control, queues, self.clock, ladder)

    @cached_property
    def door(self) -> Door:
        """Every action of a person: may they, do it, note it."""
        from rollout.control.door import Door

        # A kill looks into the ledger after its latch is set.
        ledger: Any = _Late(lambda: self.switch_ledger) if self.brief else self.ledger
        return Door(
            self.changes,
            cast("DoorLedger", ledger),
            cast("ActLog", _Late(lambda: self._acts)),
            self.clock,
            self._second_person,
            _say_lost,
        )

    @cached_property
    def _acts(self) -> ActLog:
        if not self.brief:
            return self.ledger
        from rollout.adapters.sql.access_rows import AccessRows

        return AccessRows(self.database)

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
        profile = self.ledger.profiles().get(name)
        return None if profile is None else profile.baseline

    @cached_property
    def switch_ledger(self) -> SwitchLedger:
        """The ledger of a kill, whose first half is done: a wrong address is one that is away.

        Raises:
            LedgerUnreachable: The settings name no database that can be.
        """
        from rollout.adapters.sql.switch_ledger import SwitchLedger

        try:
            return SwitchLedger(self.database)
        except WrongSettings as error:
            raise LedgerUnreachable(without_password(self.settings.ledger_url), error) from error

    def drills(self, say: Callable[[DrillEvent], None] | None) -> Drills:
        """Runs drills; `say` is told each line of their journals. Workers never load them."""
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
        )

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
        return f"{socket.gethostname()}:{getpid()}"

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
        from rollout.policies import parse_policies
        from rollout.settings import read_policy_tables

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
            parsed_policies=lambda: parse_policies(read_policy_tables()),
            capacities=lambda: self.capacities,
            arguments=arguments_in,
        )

    def attempts(
        self,
        passes: tuple[type[BaseException], ...] = (),
        forgets: tuple[type[BaseException], ...] = (),
        sent_back: Callable[[BaseException], bool] = lambda said: False,
    ) -> Attempts:
        """Runs deliveries; what is given says what the queue engine's own exceptions mean."""
        from rollout.adapters.process import end_this_process
        from rollout.drills.interference import DrillInterference
        from rollout.jobs.attempt import Attempts

        marker = cast("JobMarker", _Late(lambda: self.ledger))  # a drill's jobs alone are marked
        return Attempts(
            self.control,
            self.job_ledger,
            self.clock,
            self.settings.silent_after,
            passes,
            forgets,
            DrillInterference(self.control, self.plans, marker, self.clock, end_this_process),
            sent_back,
        )

    @cached_property
    def shadow_budget(self) -> ShadowBudget:
        """Counts shadow copies over all workers."""
        url = self.settings.control(self.app_broker_url)
        if url.startswith("memory:"):
            from rollout.adapters.memory.shadow_budget import MemoryShadowBudget

            return MemoryShadowBudget(self.clock)
        from rollout.adapters.redis.shadow import RedisShadowBudget

        return RedisShadowBudget(
            url,
            self._store_prefix,
            self.settings.connect_timeout_ms / 1000,
            self.settings.read_timeout_ms / 1000,
            options=self._broker_options,
        )

    @cached_property
    def shadow_queue(self) -> ShadowQueue:
        """The broker's shadow queues, for looking."""
        from rollout.adapters.celery.shadow_queue import KombuShadowQueue

        return KombuShadowQueue.of_url(self.settings.broker(self.app_broker_url))

    @cached_property
    def workers(self) -> CeleryWorkers | None:
        """The workers at the broker, for looking; None where jobs run in this process."""
        url = self.settings.broker(self.app_broker_url)
        if url.startswith("memory:"):
            return None
        from rollout.adapters.celery.workers import CeleryWorkers

        return CeleryWorkers(url, self._broker_options)

    def shadow_publisher(self, queue: ShadowQueue) -> ShadowPublisher:
        """Sends copies of legacy jobs, in a legacy worker."""
        from rollout.shadow.publish import ShadowLimits, ShadowPublisher

        given = self.settings
        limits = ShadowLimits(
            shadow_bp=given.shadow_bp,
            split_bp=given.shadow_split_bp,
            again_bp=given.shadow_again_bp,
            rate_per_s=given.shadow_rate,
            per_day=given.shadow_daily_max,
            backlog_max=given.shadow_backlog_max,
            limit_s=given.shadow_limit_s,
        )
        return ShadowPublisher(self.control, self.shadow_budget, queue, self.clock, limits)

    @cached_property
    def shadow_runs(self) -> ShadowRuns:
        """Runs shadows, in a shadow worker."""
        from rollout.shadow.runs import ShadowRuns

        limit = timedelta(seconds=self.settings.shadow_limit_s)
        return ShadowRuns(
            self.control,
            self.ledger,
            self.database_ledger,
            self.clock,
            self.settings.keep,
            limit,
        )

    def finished_jobs(self, name: str) -> FromLedger:
        """What a rehearsal is made of; raises BadStream, UnknownSubPipeline, LedgerUnreachable."""
        from rollout.adapters.sql.finished_jobs import read_finished

        return read_finished(self.database, name, self.ledger.control(name).salt)

    def audited_jobs(self, name: str) -> JobLog:
        """What an audit is made of; raises UnknownSubPipeline, LedgerUnreachable."""
        from rollout.adapters.sql.audited_jobs import read_audited

        return read_audited(self.database, self.ledger.control(name).name)

    def migrate(self) -> Migrated:
        """Bring the ledger's tables to this release; raises LedgerUnreachable, WrongSettings."""
        from rollout.adapters.sql import migrate
        from rollout.desk.migrated import Migrated

        before = migrate.current(self.database) if self.database.exists else None
        return Migrated(self.database.url, before, migrate.migrate(self.database))

    def close(self) -> None:
        """Close the connections of this process; what was never used is not built for it."""
        for part in ("database", "control", "shadow_budget", "shadow_queue"):
            built: Any = self.__dict__.get(part)
            if built is not None:
                built.close()


class _Late:
    """Stands for a part, and builds it when it is asked for the first thing."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Any:
        """What the part has under this name."""
        return getattr(self._build(), name)


def ledger_in_memory(what: str) -> WrongSettings:
    """The error of a ledger in memory where several processes have to share one."""
    return WrongSettings(
        f"the ledger is 'memory:', which no other process sees; {what} need a database",
        "set ROLLOUT_LEDGER_URL to sqlite:///file or postgresql+psycopg://...",
    )


def arguments_in(envelope: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a kept message; raises ValueError, KeyError, TypeError when it is none."""
    from rollout.adapters.envelope import unseal_arguments

    return unseal_arguments(envelope)


def health(read: Callable[[], Settings], app_url: Callable[[Settings], str | None]) -> Health:
    """Look at everything outside; see `ConfiguredOutside` for the arguments."""
    from rollout.adapters.outside import ConfiguredOutside
    from rollout.desk.health import read_health

    def build_as_the_app(settings: Settings, url: str | None) -> Runtime:
        if url is None or settings.app is None:
            return Runtime(settings, url)
        options = load_app(settings.app).conf.broker_transport_options
        return Runtime(settings, url, app_broker_options=options)

    outside = ConfiguredOutside(read, app_url, build_as_the_app)
    try:
        return read_health(outside)
    finally:
        outside.close()


_FOR_JOBS = (
    "rollout.adapters.celery.queues",
    "rollout.adapters.process",
    "rollout.adapters.redis.client",
    "rollout.adapters.redis.shadow",
    "rollout.adapters.redis.store",
    "rollout.adapters.sql.job_ledger",
    "rollout.capacities",
    "rollout.drills.interference",
    "rollout.jobs.attempt",
    "rollout.jobs.submit",
    "rollout.routing.router",
)


def _say_lost(act: Act, error: RolloutError) -> None:
    """Log an act that the ledger could not take."""
    import structlog

    # stdout is the answer of a command, which scripts read.
    structlog.wrap_logger(structlog.PrintLogger(sys.stderr)).warning(
        "act not noted", actor=act.actor, action=act.action, name=act.name, came=str(act.came),
        error=error.problem,
    )  # fmt: skip


def _say_nothing(event: DrillEvent) -> None:
    """Keep a journal to the ledger."""


def build(
    *,
    app_broker_url: str | None = None,
    app_broker_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Runtime:
    """Build a runtime from the settings' sources, with the given values over them.

    Raises:
        WrongSettings: A value is wrong or a name is unknown.
    """
    return Runtime(read_settings(**settings), app_broker_url, app_broker_options=app_broker_options)


def build_for_app(app: Any) -> Runtime:
    """Build a runtime for a Celery app's own broker. Raises WrongSettings."""
    url = app.conf.broker_write_url
    urls = url if isinstance(url, str | None) else ";".join(url)
    return build(app_broker_url=urls, app_broker_options=app.conf.broker_transport_options)


def build_in_memory() -> Runtime:
    """Build a runtime that lives and ends with this process: no server, no file."""
    return build(broker_url="memory:", control_url="memory:", ledger_url="memory:")


def load_for_jobs() -> None:
    """Import what submitting and running a job needs.

    Called where a sub-pipeline is declared: a worker that forks before would have each of its
    children import all of it, within the first job.
    """
    for module in _FOR_JOBS:
        import_module(module)


def load_app(module: str) -> Any:
    """Import the Celery app that `-A` names, from the working folder as Celery does.

    Raises:
        WrongSettings: The module cannot be imported or holds no app.
    """
    from celery.app.utils import find_app

    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return find_app(module)
    except Exception as error:  # whatever the user's module does when it is imported
        raise WrongSettings(
            f"no Celery app found in {module!r}: {type(error).__name__}: {error}",
            "name its module as `celery -A` takes it, from the folder that holds it",
        ) from error
