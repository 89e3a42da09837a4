"""Opens the services for one command and closes them after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import typer

from rollout.cli.output import warn
from rollout.errors import BrokerUnreachable, ControlStoreUnreachable, RolloutError, WrongSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.jobs.ports import Handed, Queues
    from rollout.routing.ports import ControlStore, Kill
    from rollout.settings import Settings
    from rollout.wiring import Runtime


@contextmanager
def opened(
    ctx: typer.Context, *, servers: str = "store broker", brief: bool = False
) -> Iterator["Runtime"]:
    """Open the services.

    Args:
        ctx: The command's.
        servers: What the command asks beside the ledger.
        brief: It asks little, and must not wait for libraries; see `Runtime`.

    Raises:
        WrongSettings: A setting is wrong, or the app that names a server cannot be imported.
    """
    settings = settings_of(ctx)
    runtime = runtime_of(settings, servers, brief=brief)
    try:
        yield runtime
    finally:
        runtime.close()


@contextmanager
def opened_for_kill(ctx: typer.Context) -> Iterator["Runtime"]:
    """Open the services though the app that names the servers may be broken.

    A kill does the half it can; a store whose address nobody can tell is a store that did not
    answer.
    """
    from rollout.wiring import Runtime

    settings = settings_of(ctx)
    try:
        runtime = runtime_of(settings, "store broker", brief=True)
    except WrongSettings as error:
        runtime = Runtime(settings, brief=True)
        runtime.queues = cast("Queues", _Unaddressed(error))
        if settings.control_url is None:
            runtime.control = cast("ControlStore", _Unaddressed(error))
    try:
        _ = runtime.control
    except WrongSettings as error:
        runtime.control = cast("ControlStore", _Unaddressed(error))
    try:
        yield runtime
    finally:
        runtime.close()


class _Unaddressed:
    """Stands for a server whose address is not known; answers nothing."""

    url = "(address unknown)"

    def __init__(self, why: RolloutError) -> None:
        self._why = why

    def latch(self, kill: "Kill") -> None:
        """Refuse as an absent store does."""
        raise ControlStoreUnreachable(self.url, self._why)

    def unlatch(self, name: str | None, kill_id: str | None) -> bool:
        """Refuse as an absent store does."""
        raise ControlStoreUnreachable(self.url, self._why)

    def project(self, state: object) -> bool:
        """Refuse as an absent store does."""
        raise ControlStoreUnreachable(self.url, self._why)

    def send_jobs(self, jobs: "Sequence[Handed]") -> None:
        """Refuse as an absent broker does."""
        raise BrokerUnreachable(self.url, self._why)

    def close(self) -> None:
        """There is nothing to close."""


def settings_of(ctx: typer.Context) -> "Settings":
    """Read the settings, with `--app` over them.

    Raises:
        WrongSettings: A setting is wrong, or the ledger would be this command's own memory.
    """
    from rollout.settings import read_settings

    given = {"app": ctx.obj} if ctx.obj else {}
    settings = read_settings(**given)
    if settings.ledger_in_memory:
        from rollout.wiring import ledger_in_memory

        raise ledger_in_memory("commands")
    return settings


def settings_with_app(
    ctx: typer.Context, app: str | None, why: str, command: str
) -> "tuple[str, Settings]":
    """Read the settings of a command that works on the app itself.

    Args:
        ctx: Has `--app` of the program.
        app: `--app` of the command.
        why: What needs it, for the sentence.
        command: How it is named, for the hint.

    Returns:
        Module of the app, settings.

    Raises:
        WrongSettings: A setting is wrong, or none names the app.
    """
    from rollout.errors import WrongSettings

    ctx.obj = app or ctx.obj
    settings = settings_of(ctx)
    if settings.app is None:
        raise WrongSettings(why, f"name its module: {command} -A shop")
    return settings.app, settings


def runtime_of(settings: "Settings", servers: str, *, brief: bool = False) -> "Runtime":
    """The services, with the app's broker and its options when the app names the servers.

    Raises:
        WrongSettings: The app cannot be imported.
    """
    from rollout.wiring import Runtime, load_app

    url = broker_of_app(settings, servers)
    if url is None or settings.app is None:
        _warn_of_the_default(settings, servers)
        return Runtime(settings, brief=brief)
    options = load_app(settings.app).conf.broker_transport_options
    return Runtime(settings, url, app_broker_options=options, brief=brief)


def _warn_of_the_default(settings: "Settings", servers: str) -> None:
    """Say which server is asked where nobody has named one: it may be another application's."""
    if settings.broker_url or settings.app:
        return
    if "broker" in servers or ("store" in servers and settings.control_url is None):
        warn(
            f"no setting and no app names the broker, so {settings.broker()} is asked; "
            "give -A MODULE, or app or broker_url in rollout.toml"
        )


def broker_of_app(settings: "Settings", servers: str) -> str | None:
    """The app's broker, when it decides where a needed server is; else the app is not imported.

    Raises:
        WrongSettings: The app cannot be imported.
    """
    store_open = "store" in servers and settings.control_url is None
    if settings.broker_url or not settings.app or not (store_open or "broker" in servers):
        return None
    from rollout.wiring import load_app

    url = load_app(settings.app).conf.broker_url
    return ";".join(url) if isinstance(url, list | tuple) else url
