"""Incidents on a real ledger: timed per path, told from the world's, kept over a new leader."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from rollout.adapters.sql.tables import job
from rollout.drills.incidents import COMMON, Incidents
from rollout.drills.watch import Rules
from rollout.jobs.claims import JobState
from rollout.pilot.ports import Recovery
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY
WINDOW = timedelta(seconds=10)
RULES = Rules(cap=timedelta(hours=1), settle=timedelta(minutes=5), memory=timedelta(hours=1))


class Watched:
    """One sub-pipeline under watch: ten jobs a window on each path."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.ledger.ensure(NAME, Effects.NONE, 500, world.clock.now())
        token = world.ledger.take_lease("one", world.clock.now(), timedelta(days=1))
        assert token is not None
        self.token = token
        self.incidents = self.anew()
        self.number = 0

    def anew(self) -> Incidents:
        """The watch of a controller that has just begun to lead."""
        return Incidents(self.world.ledger, WINDOW, RULES)

    def windows(self, count: int, failing: frozenset[JobPath] = frozenset()) -> None:
        """Let windows pass in which the jobs of some paths fail."""
        for _ in range(count):
            now = self.world.clock.now()
            rows = [self._row(path, now, path in failing) for path in JobPath for _ in range(10)]
            with self.world.ledger.database.write() as connection:
                connection.execute(insert(job), rows)
            self.world.clock.advance(WINDOW.total_seconds())
            assert self.incidents.turn(self.token, [NAME], self.world.clock.now()) == []

    def _row(self, path: JobPath, at: datetime, fails: bool) -> dict[str, Any]:
        self.number += 1
        fell_back = fails and path is C
        return {
            "job_id": f"j{self.number}",
            "name": NAME,
            "key": str(self.number),
            "state": JobState.FAILED if fails and path is L else JobState.COMMITTED,
            "assigned_path": path,
            "path": L if fell_back else path,
            "reason": Reason.IN_SCOPE if path is C else Reason.OUT_OF_SCOPE,
            "revision": 1,
            "attempt": 1,
            "fence_revision": 0,
            "deaths": 0,
            "accepted_at": at,
            "sent_at": at,
            "finished_at": at + timedelta(seconds=1),
            "fallback_reason": Reason.FAILED if fell_back else None,
            "moved_reason": Reason.FAILED if fell_back else None,
            "folded": True,
            "way": "",
            "envelope": "{}",
        }

    def healed(self) -> list[Recovery]:
        """What was recorded."""
        since = self.world.clock.now() - timedelta(days=1)
        return self.world.ledger.recoveries(NAME, since)


@pytest.fixture
def watched(world: World) -> Watched:
    """A sub-pipeline whose normal state is known."""
    made = Watched(world)
    made.windows(80)
    return made


def test_an_incident_is_timed_from_its_onset_to_its_end(watched: Watched) -> None:
    """Ten windows of failures take a hundred seconds, give or take a window."""
    began = watched.world.clock.now()
    watched.windows(10, frozenset({C}))
    watched.windows(8)
    (one,) = watched.healed()
    assert (one.kind, one.path) == ("incident", C)
    assert abs(one.seconds - 100) <= WINDOW.total_seconds()
    assert abs((one.onset_at - began).total_seconds()) <= WINDOW.total_seconds()
    assert one.detected_at is not None
    assert one.onset_at < one.detected_at < one.at
    assert one.seconds < one.cap_s


def test_what_both_paths_have_is_common(watched: Watched) -> None:
    """It is recorded, and says nothing about the concurrent path."""
    watched.windows(10, frozenset({C, L}))
    watched.windows(8)
    healed = watched.healed()
    assert {one.path for one in healed} == {C, L}
    assert all(one.fault.startswith(COMMON) for one in healed)


def test_another_leader_goes_on_in_the_middle(watched: Watched) -> None:
    """The watch is in the ledger: onset and recovery are those of one incident."""
    watched.windows(5, frozenset({C}))
    watched.incidents = watched.anew()
    watched.windows(5, frozenset({C}))
    watched.incidents = watched.anew()
    watched.windows(8)
    (one,) = watched.healed()
    assert abs(one.seconds - 100) <= WINDOW.total_seconds()


def test_calm_records_nothing(watched: Watched) -> None:
    """One odd window is no incident."""
    watched.windows(1, frozenset({C}))
    watched.windows(20)
    assert watched.healed() == []


def test_another_token_reads_the_watch_anew(watched: Watched) -> None:
    """Another led in between and saw the end; what this one remembers is not recorded again."""
    watched.windows(5, frozenset({C}))
    mine, watched.incidents = watched.incidents, watched.anew()
    watched.windows(5, frozenset({C}))
    watched.windows(8)
    assert len(watched.healed()) == 1
    later = watched.world.clock.now() + timedelta(days=2)
    token = watched.world.ledger.take_lease("two", later, timedelta(days=9))
    assert token not in (None, watched.token)
    watched.incidents, watched.token = mine, token or 0
    watched.windows(8)
    assert len(watched.healed()) == 1
