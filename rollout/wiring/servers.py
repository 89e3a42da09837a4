"""What is outside of a process: its ledger, control store, broker and workers, each by its adapter.

Each adapter is imported when it is built: `rollout kill` must not wait for what it does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from rollout.adapters.clock import SystemClock
from rollout.errors import LedgerUnreachable, WrongSettings
from rollout.routing.clock import Clock
from rollout.settings import Settings, without_password

if TYPE_CHECKING:  # each is loaded when it is first used: a command waits for what it needs alone
    from rollout.adapters.celery.workers import CeleryWorkers
    from rollout.adapters.memory.ledger import MemoryLedger
    from rollout.adapters.sql.database import Database
    from rollout.adapters.sql.ledger import SqlLedger
    from rollout.adapters.sql.switch_ledger import SwitchLedger
    from rollout.control.acts import ActLog
    from rollout.desk.migrated import Migrated
    from rollout.drills.plans import DrillPlans
    from rollout.jobs.ports import JobLedger, Queues
    from rollout.routing.ports import ControlStore
    from rollout.shadow.ports import ShadowBudget, ShadowQueue


@dataclass
class Servers:
    """The connections of one process, each built when it is first used.

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

    @cached_property
    def _acts(self) -> ActLog:
        if not self.brief:
            return self.ledger
        from rollout.adapters.sql.access_rows import AccessRows

        return AccessRows(self.database)

    def reads_within(self, seconds: float) -> AbstractContextManager[None]:
        """Bound what this thread reads of the ledger, for those who look; LedgerSlow ends it."""
        if self.settings.ledger_in_memory:
            return nullcontext()
        from rollout.adapters.sql.patience import reads_within

        return reads_within(seconds)

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
    def workers(self) -> CeleryWorkers | None:
        """The workers at the broker, for looking; None where jobs run in this process."""
        url = self.settings.broker(self.app_broker_url)
        if url.startswith("memory:"):
            return None
        from rollout.adapters.celery.workers import CeleryWorkers

        return CeleryWorkers(url, self._broker_options)

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

    @property
    def _broker_options(self) -> Mapping[str, Any]:
        return self.settings.broker_transport_options or self.app_broker_options or {}

    @property
    def _store_prefix(self) -> str:
        """Before every key of the store: in the broker's own also what the app puts before its."""
        shared = "" if self.settings.control_url else self._broker_options.get("global_keyprefix")
        return f"{shared or ''}{self.settings.key_prefix}"

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


class Late:
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
