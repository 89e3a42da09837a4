"""Finds jobs by what a person has of them: an id, its beginning, or the routing key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from rollout.errors import RolloutError, UnknownJob
from rollout.jobs.claims import JobRecord

if TYPE_CHECKING:
    from rollout.desk.jobs import Jobs

_BEGINNING_MIN = 4
"""Characters of an id that are looked for; fewer name too many."""

_BEGINNINGS_MAX = 50
"""Ids that begin so among which one's own is looked for."""


class NoWholeId(RolloutError):
    """The beginning of an id that names no single job."""

    def __init__(self, beginning: str, found: Sequence[str]) -> None:
        self.beginning = beginning
        self.found = tuple(found)
        if found:
            named = f"{' and '.join(found[:2])} do{', and maybe more' if len(found) > 2 else ''}"
            problem = f"{beginning!r} has to be the beginning of one job's id, {named}"
        else:
            problem = f"{_BEGINNING_MIN} or more characters of an id are needed, got {beginning!r}"
        super().__init__(problem, "give more of it, or the whole id of the AsyncResult")


def jobs_of(ledger: Jobs, job_id: str, only: Collection[str] | None = None) -> list[JobRecord]:
    """The jobs of one id, or of the beginning of an id where only one begins so.

    Args:
        ledger: Of jobs.
        job_id: An id, or its beginning.
        only: Sub-pipelines that may be seen: another's job is told by nothing. None for all.

    Raises:
        NoWholeId: It is too short a beginning, or that of several.
        UnknownJob: There is none.
        LedgerUnreachable: The ledger does not answer.
    """
    found = _seen(ledger, job_id, only)
    if found:
        return found
    if len(job_id) < _BEGINNING_MIN:
        raise NoWholeId(job_id, ())
    beginning = ledger.ids_like(job_id, 3 if only is None else _BEGINNINGS_MAX)
    mine = {one: records for one in beginning if (records := _seen(ledger, one, only))}
    if len(mine) > 1:
        raise NoWholeId(job_id, list(mine)[:3])
    if not mine:
        raise UnknownJob(job_id)
    return next(iter(mine.values()))


def whole_id(ledger: Jobs, job_id: str) -> str:
    """The id that begins so; as it was given where none does. Raises NoWholeId."""
    try:
        return jobs_of(ledger, job_id)[0].job_id
    except UnknownJob:
        return job_id


def _seen(ledger: Jobs, job_id: str, only: Collection[str] | None) -> list[JobRecord]:
    records = _jobs_of(ledger, job_id).values()
    return [one for one in records if only is None or one.name in only]


def read_like(ledger: Jobs, text: str, name: str | None, limit: int) -> list[JobRecord]:
    """Find jobs by an id, by its beginning, or in one sub-pipeline by the routing key.

    A whole id is not looked for as a beginning, too: that reads all ids on PostgreSQL.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: They cannot be looked for.
    """
    if name is not None:
        ledger.control(name)
    found = _jobs_of(ledger, text)
    if not found and len(text) >= _BEGINNING_MIN:
        for job_id in ledger.ids_like(text, limit, name):
            found |= _jobs_of(ledger, job_id)
    if name is not None:
        for one in ledger.jobs_with_key(name, text, limit):
            found.setdefault((one.name, one.job_id), one)
    return [one for one in found.values() if name in (None, one.name)][:limit]


def _jobs_of(ledger: Jobs, job_id: str) -> dict[tuple[str, str], JobRecord]:
    with suppress(UnknownJob):
        return {(one.name, one.job_id): one for one in ledger.jobs_of(job_id)}
    return {}
