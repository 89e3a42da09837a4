"""Places of jobs among those of their key, in memory; see `jobs.order`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rollout.adapters.memory.rows import Rows
from rollout.errors import IllegalTransition, UnknownJob
from rollout.jobs.claims import JobState
from rollout.jobs.order import NEVER, InFront, Place, Stuck, gives_up
from rollout.jobs.ports import Handed
from rollout.jobs.way import step


@dataclass(slots=True)
class Taken:
    """A place that is taken; `waits` and `due` as in the table of the SQL ledger."""

    place: Place
    waits: bool = False
    due: datetime | None = None


class OrderRows:
    """The part of the ledger that keeps the order of keys."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._keys: dict[tuple[str, str], dict[str, Taken]] = {}
        self._key_of: dict[tuple[str, str], str] = {}

    def line_up(self, places: Sequence[Place]) -> None:
        """Take places behind those that are taken, in this order."""
        with self._rows:
            for place in places:
                self._enter(place)

    def stands_behind(self, place: Place, now: datetime) -> str | None:
        """None when the job is the first of its key and may start; else who is in front."""
        with self._rows as rows:
            record = rows.jobs.get((place.name, place.job_id))
            if record is None:
                raise UnknownJob(place.job_id)
            if record.state.finished:
                return None
            mine = self._enter(place)
            first = self._settled_first(rows, place.name, place.key)
            assert first is not None, "this job has a place"
            if first is mine:
                self._no_longer_waits(rows, mine)
                return None
            if record.state is JobState.ACCEPTED:
                if not mine.waits:
                    mine.due = None if record.not_before == NEVER else record.not_before
                way = record.way + step(now, "waits", behind=first.place.job_id)
                rows.put(replace(record, not_before=NEVER, way=way))
            mine.waits = True
            return first.place.job_id

    def next_of(self, name: str, key: str, now: datetime) -> Handed | None:
        """Give up places of jobs that have their outcome; the next one, if it waits to be sent."""
        with self._rows as rows:
            first = self._settled_first(rows, name, key)
            if first is None or not first.waits:
                return None
            self._no_longer_waits(rows, first)
            record = rows.jobs.get((name, first.place.job_id))
            if record is None or record.state is not JobState.ACCEPTED:
                return None
            rows.put(replace(record, sent_at=now, way=record.way + step(now, "next of its key")))
            return Handed(record.job_id, name, record.envelope, record.reason, record.path)

    def keys_stuck(self, limit: int, after: int = 0) -> Stuck:
        """Keys whose first job has its outcome, or waits to be sent; all of them, at once."""
        stuck = []
        with self._rows as rows:
            for (name, key), line in self._keys.items():
                first = next(iter(line.values()))
                if first.waits or self._ended(rows, first):
                    stuck.append((name, key))
        return Stuck(tuple(sorted(stuck)[:limit]), 0)

    def in_front_of(self, name: str, job_id: str) -> InFront | None:
        """Who is the first of a waiting job's key; None for one that stands behind nobody."""
        with self._rows as rows:
            key = self._key_of.get((name, job_id))
            if key is None:
                return None
            line = list(self._keys[name, key])
            if line[0] == job_id:
                return None
            record = rows.jobs.get((name, line[0]))
            state = None if record is None else record.state
            return InFront(line[0], state, line.index(job_id))

    def let_go(self, name: str, job_id: str, actor: str, reason: str, now: datetime) -> str:
        """Take its place from a failed job that holds its key; gives the key."""
        with self._rows as rows:
            record = rows.jobs.get((name, job_id))
            if record is None:
                raise UnknownJob(job_id)
            if record.state is not JobState.FAILED:
                raise IllegalTransition(
                    job_id,
                    "let go",
                    f"while it is {record.state}",
                    "only a failed job holds its key",
                )
            key = self._key_of.get((name, job_id))
            if key is None:
                raise IllegalTransition(
                    job_id, "let go", "as it holds no key", "the jobs behind it do not wait for it"
                )
            self._leave(self._keys[name, key][job_id].place)
            line = step(now, "let go", actor=actor, reason=reason)
            rows.jobs[record.ref] = replace(record, way=record.way + line)
            return record.key

    # -----------------------------------------------------------------------------------------

    def _enter(self, place: Place) -> Taken:
        key = self._key_of.setdefault((place.name, place.job_id), place.key)
        line = self._keys.setdefault((place.name, key), {})
        return line.setdefault(place.job_id, Taken(place))

    def _leave(self, place: Place) -> None:
        del self._key_of[place.name, place.job_id]
        line = self._keys[place.name, place.key]
        del line[place.job_id]
        if not line:
            del self._keys[place.name, place.key]

    def _ended(self, rows: Rows, taken: Taken) -> bool:
        record = rows.jobs.get((taken.place.name, taken.place.job_id))
        return gives_up(None if record is None else record.state, taken.place.on_failure)

    def _settled_first(self, rows: Rows, name: str, key: str) -> Taken | None:
        while line := self._keys.get((name, key)):
            first = next(iter(line.values()))
            if not self._ended(rows, first):
                return first
            self._leave(first.place)
        return None

    def _no_longer_waits(self, rows: Rows, taken: Taken) -> None:
        if not taken.waits:
            return
        taken.waits = False
        record = rows.jobs.get((taken.place.name, taken.place.job_id))
        if record is not None and record.not_before == NEVER:
            rows.put(replace(record, not_before=taken.due))
