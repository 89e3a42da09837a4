"""A worker tells its builds once; a reconnect, which starts the bootstep anew, does not."""

from dataclasses import dataclass, field
from typing import Any, cast

from rollout.adapters.celery.builds import AGAIN_S, Announcer
from rollout.errors import LedgerUnreachable
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.hand_clock import HandClock


@dataclass
class FakePipeline:
    """What a worker's main process knows of a sub-pipeline, and the ledger it tells."""

    name: str = "plain"
    effects: Effects = Effects.NONE
    holdback_bp: int = 500
    clock: HandClock = field(default_factory=HandClock)
    builds: dict[JobPath, str] = field(default_factory=lambda: {JobPath.CONCURRENT: "v1"})
    told: list[tuple[str, JobPath, str]] = field(default_factory=list)
    away: bool = False

    @property
    def ledger(self) -> Any:
        """This, too."""
        return self

    build_ledger = ledger

    def ensure(self, *given: Any) -> None:
        """Answer or be away."""
        if self.away:
            raise LedgerUnreachable("sqlite:///x", ConnectionError())

    def announce(self, name: str, path: JobPath, build: str) -> None:
        """Note what was told."""
        self.told.append((name, path, build))


def announcer(pipeline: FakePipeline) -> Announcer:
    """The announcer of one process."""
    return Announcer({"task": cast(Any, pipeline)})


def test_a_reconnect_tells_nothing_new() -> None:
    """The bootstep starts three times within a minute; the build was told once."""
    pipeline = FakePipeline()
    one = announcer(pipeline)
    for _ in range(3):
        one.consumes(["plain.concurrent"])
        pipeline.clock.advance(5)
    assert pipeline.told == [("plain", JobPath.CONCURRENT, "v1")]


def test_that_it_still_runs_is_told_each_minute() -> None:
    """So the ledger sees when the last worker of a release has left."""
    pipeline = FakePipeline()
    one = announcer(pipeline)
    one.consumes(["plain.concurrent"])
    for _ in range(12):
        pipeline.clock.advance(AGAIN_S / 6)
        one.tell()
    assert len(pipeline.told) == 3


def test_a_ledger_that_is_away_at_the_start_is_told_later() -> None:
    """Not only the next worker's start makes the build known."""
    pipeline = FakePipeline(away=True)
    one = announcer(pipeline)
    one.consumes(["plain.concurrent"])
    assert pipeline.told == []
    pipeline.away = False
    one.tell()
    assert len(pipeline.told) == 1


def test_a_worker_of_another_path_tells_nothing() -> None:
    """It runs none of it."""
    pipeline = FakePipeline()
    one = announcer(pipeline)
    one.consumes(["plain.legacy", "other"])
    assert pipeline.told == []
