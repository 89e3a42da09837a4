"""Builds the services of a process: from the settings, for an app, in memory, for a look at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rollout.errors import WrongSettings
from rollout.settings import Settings, read_settings
from rollout.wiring.services import Runtime

if TYPE_CHECKING:  # each is loaded when it is first used: a command waits for what it needs alone
    from rollout.desk.health import Health

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
