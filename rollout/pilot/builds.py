"""Which build of a path is the newest, while workers of two releases run beside each other."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.routing.decision import JobPath

GONE_AFTER = timedelta(minutes=10)
"""A build that no worker has spoken of for this long has left: so a release that was taken back
becomes the path's build again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One build of a path: when a worker first spoke of it, and last."""

    build: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """One build of a sub-pipeline's path; it became the path's newest at `first_at`."""

    name: str
    path: JobPath
    build: str
    first_at: datetime
    last_at: datetime


def newest_build(current: Seen | None, said: Seen | None, build: str, now: datetime) -> str:
    """Say which build a path is at, now that a worker says that it runs `build`.

    Releases are in the order in which they were first seen: a straggler of the last one, that
    restarts or reconnects, changes nothing while the newer one lives.

    Args:
        current: The build the path is at; None without one.
        said: What was known of `build` before; None when nobody ever spoke of it.
        build: What a worker runs.
        now: By the ledger's clock, which all workers share.
    """
    if current is None or said is None or current.build == build:
        return build
    return build if current.last_at < now - GONE_AFTER else current.build
