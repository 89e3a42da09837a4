"""Who holds a resource and who waits, in memory; see `jobs.resources`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from rollout.adapters.memory.rows import Entry, Rows
from rollout.jobs.claims import JobRecord, JobRef, JobState
from rollout.jobs.order import NEVER
from rollout.jobs.ports import Handed
from rollout.jobs.resources import Lines, Need, ResourceUse, has_room, keeps_room
from rollout.jobs.way import step


class ResourceRows:
    """The part of the ledger that keeps resources; `JobRows.claim` takes them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def call_next(self, capacities: Mapping[str, int | None], now: datetime) -> list[Handed]:
        """Call the jobs that wait for these resources and have room now."""
        with self._rows as rows:
            called = []
            for resource, given in sorted(capacities.items()):
                for ref, entry in list(rows.lines[resource].items()):
                    if not _waits(rows, ref, entry) or entry.called_at is not None:
                        continue
                    capacity = entry.need.capacity if given is None else given
                    if not _has_room(rows, ref, replace(entry.need, capacity=capacity), now):
                        break
                    if all(
                        _has_room(rows, ref, need, now) for need in _others(rows, ref, resource)
                    ):
                        handed = _call(rows, ref, now)
                        called += [] if handed is None else [handed]
            return called

    def lines(self, limit: int, after: int = 0) -> Lines:
        """Say what is waited for, and forget entries that are stale; all of them, at once."""
        with self._rows as rows:
            for line in rows.lines.values():
                for ref, entry in list(line.items()):
                    if not _waits(rows, ref, entry) and not _runs(rows, ref, entry):
                        del line[ref]
            waited = [
                resource
                for resource, line in rows.lines.items()
                if any(entry.nonce is None for entry in line.values())
            ]
        return Lines(tuple(sorted(waited)), 0)

    def resource_uses(self, resources: Sequence[str] | None, limit: int) -> list[ResourceUse]:
        """Read who holds and who waits, by resource; waiting ones in their order."""
        with self._rows as rows:
            uses = [
                ResourceUse(
                    resource,
                    *ref,
                    entry.need.weight,
                    entry.need.capacity,
                    entry.since,
                    rows.jobs[ref].worker or "" if _runs(rows, ref, entry) else None,
                    entry.called_at,
                )
                for resource, line in sorted(rows.lines.items())
                if resources is None or resource in resources
                for ref, entry in line.items()
                if _runs(rows, ref, entry) or _waits(rows, ref, entry)
            ]
        return sorted(uses, key=lambda use: (use.resource, not use.holds))[:limit]

    def resources_of(self, name: str, job_id: str) -> list[str]:
        """Resources that a job waits for."""
        ref = (name, job_id)
        with self._rows as rows:
            return sorted(
                resource
                for resource, line in rows.lines.items()
                if ref in line and _waits(rows, ref, line[ref])
            )


def inherits(rows: Rows, needs: Sequence[Need], record: JobRecord) -> bool:
    """Whether the attempt that a claim takes over from holds all of it."""
    held = [
        line[record.ref]
        for line in rows.lines.values()
        if record.ref in line and _runs(rows, record.ref, line[record.ref])
    ]
    return len(held) >= len(needs)


def lacking(rows: Rows, needs: Sequence[Need], record: JobRecord, now: datetime) -> list[str]:
    """Resources without room for this job; what an earlier attempt held is forgotten."""
    for line in rows.lines.values():
        if record.ref in line and line[record.ref].nonce is not None:
            del line[record.ref]
    return [need.resource for need in needs if not _has_room(rows, record.ref, need, now)]


def enter(rows: Rows, needs: Sequence[Need], ref: JobRef, nonce: str | None, now: datetime) -> None:
    """Hold all of it with the claim of this nonce, or wait for it at the place that it has."""
    for need in needs:
        line = rows.lines[need.resource]
        there = line.get(ref)
        waits_on = there is not None and nonce is None
        line[ref] = Entry(need, nonce, there.since if there and waits_on else now)


def _call(rows: Rows, ref: JobRef, now: datetime) -> Handed | None:
    """Note that a job is called; None when it does not rest: its message is on its way."""
    for line in rows.lines.values():
        if ref in line:
            line[ref] = line[ref]._replace(called_at=now)
    record = rows.jobs[ref]
    if record.not_before != NEVER:
        return None
    way = record.way + step(now, "called")
    rows.put(replace(record, sent_at=now, not_before=None, way=way))
    return Handed(record.job_id, record.name, record.envelope, record.reason, record.path)


def _others(rows: Rows, ref: JobRef, resource: str) -> list[Need]:
    """What a job needs beside this resource."""
    return [line[ref].need for one, line in rows.lines.items() if one != resource and ref in line]


def _has_room(rows: Rows, ref: JobRef, need: Need, now: datetime) -> bool:
    """Whether there is room beside what others hold and those in front want."""
    taken, is_behind = 0, False
    for other, entry in rows.lines[need.resource].items():
        is_behind = is_behind or other == ref
        if other == ref:
            continue
        in_front = not is_behind and keeps_room(entry.called_at, now)
        if _runs(rows, other, entry) or (in_front and _waits(rows, other, entry)):
            taken += min(entry.need.weight, need.capacity)
    return has_room(taken, need.weight, need.capacity)


def _runs(rows: Rows, ref: JobRef, entry: Entry) -> bool:
    record = rows.jobs.get(ref)
    if record is None or record.state is not JobState.STARTED:
        return False
    return entry.nonce is not None and record.nonce == entry.nonce


def _waits(rows: Rows, ref: JobRef, entry: Entry) -> bool:
    record = rows.jobs.get(ref)
    return entry.nonce is None and record is not None and record.state is JobState.ACCEPTED
