"""The commands of the processes that one machine needs."""

import sys

from rollout.adapters.celery.marks import queue_of
from rollout.adapters.celery.shadow_queue import shadow_queue_of
from rollout.routing.decision import JobPath
from rollout.settings import Settings
from rollout.up.processes import Spec


def worker_spec(app: str, names: list[str], path: JobPath, settings: Settings) -> Spec:
    """A plain Celery worker on the queues of one path of these sub-pipelines.

    One message is prefetched per process: more would only wait longer behind a kill.
    """
    legacy = path is JobPath.LEGACY
    concurrency = settings.legacy_concurrency if legacy else settings.concurrent_concurrency
    pool = "prefork" if legacy else settings.concurrent_pool
    command = (
        sys.executable, "-m", "celery", "-A", app, "worker",
        "--queues", ",".join(queue_of(name, path) for name in names),
        "--hostname", f"{path}@%h",
        "--pool", pool,
        "--concurrency", str(concurrency),
        "--prefetch-multiplier", "1",
        "--loglevel", "INFO",
        "--without-gossip", "--without-mingle",
    )  # fmt: skip
    return Spec(str(path), command)


def shadow_spec(app: str, names: list[str], settings: Settings) -> Spec:
    """A plain Celery worker on the shadow queues of these sub-pipelines.

    Always prefork: a shadow that hangs or blows up is one child, which the pool replaces.
    """
    command = (
        sys.executable, "-m", "celery", "-A", app, "worker",
        "--queues", ",".join(shadow_queue_of(name) for name in names),
        "--hostname", "shadow@%h",
        "--pool", "prefork",
        "--concurrency", str(settings.shadow_concurrency),
        "--prefetch-multiplier", "1",
        "--loglevel", "INFO",
        "--without-gossip", "--without-mingle",
    )  # fmt: skip
    return Spec("shadow", command)


def controller_spec(app: str) -> Spec:
    """The controller."""
    return Spec("controller", (sys.executable, "-m", "rollout", "controller", "-A", app))


def page_spec(app: str) -> Spec:
    """The page for the person on call."""
    return Spec("page", (sys.executable, "-m", "rollout", "-A", app, "web"))


def valkey_spec(port: int, folder: str) -> Spec:
    """The embedded Valkey."""
    command = (sys.executable, "-m", "rollout.up.valkey", str(port), folder)
    return Spec("valkey", command, serves=True)
