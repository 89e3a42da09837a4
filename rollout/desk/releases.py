"""Which build of each path runs, since when and after which: an upgrade as people see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import at_text
from rollout.pilot.builds import BuildRecord
from rollout.pilot.ports import BuildLog
from rollout.routing.decision import JobPath

BESIDE = timedelta(minutes=3)
"""Workers speak of their build each minute; after two missing words one has left."""


@dataclass(frozen=True, slots=True)
class Release:
    """The build that a path is at.

    Attributes:
        path: Which path.
        build: As `version=` names it.
        since: When it became the path's newest.
        before: The build before it; None for the first.
        beside: Another build of this path of which workers spoke in the last minutes.
        beside_at: When one last did.
    """

    path: JobPath
    build: str
    since: datetime
    before: str | None = None
    beside: str | None = None
    beside_at: datetime | None = None

    @property
    def sentence(self) -> str:
        """Which, since when, after which; and what still runs beside it."""
        before = "" if self.before is None else f", before it {self.before}"
        beside = ""
        if self.beside is not None and self.beside_at is not None:
            beside = f" (a worker of {self.beside} was heard of at {at_text(self.beside_at)})"
        return f"{self.path} {self.build} since {at_text(self.since)}{before}{beside}"


@dataclass(frozen=True, slots=True)
class Releases:
    """The builds of one sub-pipeline."""

    legacy: Release | None = None
    concurrent: Release | None = None

    @property
    def sentence(self) -> str:
        """The build of each path, in one line."""
        both = ((JobPath.LEGACY, self.legacy), (JobPath.CONCURRENT, self.concurrent))
        named = [one.sentence for _, one in both if one is not None]
        unnamed = [str(path) for path, one in both if one is None]
        if not named:
            return "not named; `version=` in the declaration names them"
        return "; ".join([*named, *(f"{path} not named" for path in unnamed)])

    @property
    def builds(self) -> Json:
        """The name of each path's build, for scripts."""
        return {
            str(JobPath.LEGACY): None if self.legacy is None else self.legacy.build,
            str(JobPath.CONCURRENT): None if self.concurrent is None else self.concurrent.build,
        }

    def to_json(self) -> Json:
        """What scripts read: all of it, by path."""
        return {
            str(JobPath.LEGACY): plain_json(self.legacy),
            str(JobPath.CONCURRENT): plain_json(self.concurrent),
        }


UNNAMED = Releases()
"""No path has named its build."""


def read_releases(ledger: BuildLog, name: str | None = None) -> dict[str, Releases]:
    """Read the builds of one sub-pipeline, or of all that have any.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    records, newest = ledger.build_records(name), ledger.builds()
    return {
        one: Releases(
            _release(records, one, JobPath.LEGACY, newest.get(one, (None, None))[0]),
            _release(records, one, JobPath.CONCURRENT, newest.get(one, (None, None))[1]),
        )
        for one in {record.name for record in records}
    }


def replaced_by(records: Sequence[BuildRecord], record: BuildRecord) -> str | None:
    """The build that a record replaced on its path; None for the first. Newest first."""
    older = [
        one
        for one in records
        if (one.name, one.path) == (record.name, record.path) and one.first_at < record.first_at
    ]
    return older[0].build if older else None


def _release(
    records: Sequence[BuildRecord], name: str, path: JobPath, newest: str | None
) -> Release | None:
    mine = [one for one in records if one.name == name and one.path is path]
    current = next((one for one in mine if one.build == newest), None)
    if current is None:
        return None
    before = replaced_by(mine, current)
    for one in mine:
        if one.build != newest and one.last_at > current.last_at - BESIDE:
            return Release(path, current.build, current.first_at, before, one.build, one.last_at)
    return Release(path, current.build, current.first_at, before)
