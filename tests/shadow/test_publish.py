"""Which legacy jobs get a copy, what it carries, and that nothing of it reaches the job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.adapters.memory.shadow_budget import MemoryShadowBudget
from rollout.errors import BrokerUnreachable
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState, Stage
from rollout.shadow import publish as shadow_publish
from rollout.shadow.canonical import Digest
from rollout.shadow.compare import Comparison
from rollout.shadow.copies import Shed, Trouble, Unusable, read_copy
from rollout.shadow.publish import Ran, ShadowLimits, ShadowPublisher
from tests.builders import NAME, kill_of
from tests.hand_clock import HandClock

ALL = ShadowLimits(
    shadow_bp=10_000,
    split_bp=10_000,
    again_bp=0,
    rate_per_s=1_000,
    per_day=1_000,
    backlog_max=100,
    limit_s=60,
)


@dataclass
class FakeQueue:
    """`shadow.ports.ShadowQueue` that remembers; `away` plays a broker that is down."""

    sent: list[Mapping[str, Any]] = field(default_factory=list)
    limits_s: list[float] = field(default_factory=list)
    waiting: int = 0
    looks: int = 0
    away: bool = False

    def publish(self, name: str, copy: Mapping[str, Any], limit_s: float) -> None:
        """Remember the copy."""
        if self.away:
            raise BrokerUnreachable("fake://", ConnectionError("cut"))
        self.sent.append(copy)
        self.limits_s.append(limit_s)

    def backlog(self, name: str) -> int:
        """What the test says."""
        self.looks += 1
        return self.waiting


class CountingStore(MemoryControlStore):
    """A store that counts the questions."""

    reads = 0

    def read(self, name: str) -> Any:
        """Count and answer."""
        self.reads += 1
        return super().read(name)


class Bench:
    """A legacy worker's publisher with everything around it."""

    def __init__(self, limits: ShadowLimits = ALL, stage: Stage = Stage.SHADOW) -> None:
        self.clock = HandClock()
        self.control = CountingStore(self.clock)
        self.budget = MemoryShadowBudget(self.clock)
        self.queue = FakeQueue()
        self.publisher = ShadowPublisher(self.control, self.budget, self.queue, self.clock, limits)
        self.revision = 0
        self.enter(stage)
        self.control.beat("controller", timedelta(days=30))
        self.paths = SubPipeline(NAME, effects="commit")

    def enter(self, stage: Stage) -> None:
        """Put the sub-pipeline into a stage, and let a second pass."""
        self.revision += 1
        self.control.project(ControlState(NAME, stage=stage, revision=self.revision, salt=NAME))
        self.clock.advance(2)

    def offer(
        self, job_id: str = "job-1", value: Any = 1, *, near: bool = False, seconds: float = 0.25
    ) -> bool:
        """Offer a job that legacy has committed."""
        return self.publisher.offer(self.paths.declared, Ran(job_id, value, seconds), lambda: near)

    def offer_many(self, jobs: int) -> int:
        """Offer jobs at one moment; how many got a copy."""
        return sum(self.offer(f"job-{number}") for number in range(jobs))


def test_a_copy_carries_job_time_and_result() -> None:
    """What the shadow worker needs, and not the job's input: the ledger has that untouched."""
    bench = Bench()
    assert bench.offer(value={"total": 3})
    copy = read_copy(bench.queue.sent[0])
    assert (copy.job_id, copy.path, copy.legacy_s) == ("job-1", JobPath.CONCURRENT, 0.25)
    assert copy.result == '{"total": 3}'


def test_a_copy_names_the_build_that_gave_the_result() -> None:
    """It may wait over a release; without a name nobody can tell."""
    bench = Bench()
    bench.paths.declared.builds[JobPath.LEGACY] = "7"
    assert bench.offer("job-1")
    del bench.paths.declared.builds[JobPath.LEGACY]
    assert bench.offer("job-2")
    assert [read_copy(copy).build for copy in bench.queue.sent] == ["7", None]


@pytest.mark.parametrize("stage", Stage)
def test_only_shadow_and_split_have_copies(stage: Stage) -> None:
    """In stage legacy there is nothing to learn, and a graduated path has learnt it."""
    assert Bench(stage=stage).offer() is (stage in (Stage.SHADOW, Stage.SPLIT))


@pytest.mark.parametrize("effects", Effects)
def test_paths_that_touch_the_world_have_no_copies(effects: Effects) -> None:
    """Effects idempotent and unsafe would happen twice."""
    bench = Bench()
    bench.paths = SubPipeline(NAME, effects=str(effects))
    assert bench.offer() is (effects in (Effects.NONE, Effects.COMMIT))
    if not effects.shadowable:
        assert bench.control.reads == 0, "such a job does not even look"


def no_controller(bench: Bench) -> None:
    """Let the heartbeat expire."""
    bench.clock.advance(timedelta(days=60).total_seconds())


CLOSED: dict[str, Callable[[Bench], object]] = {
    "killed": lambda bench: bench.control.latch(kill_of()),
    "killed all": lambda bench: bench.control.latch(kill_of(None)),
    "unsupervised": no_controller,
    "unreachable": lambda bench: setattr(bench.control, "reachable", False),
}


@pytest.mark.parametrize("how", CLOSED)
def test_what_stops_concurrent_starts_stops_copies(how: str) -> None:
    """A shadow is a start on the concurrent path, so a kill or a doubt means none."""
    bench = Bench()
    CLOSED[how](bench)
    assert not bench.offer()
    assert bench.queue.sent == []


def test_each_stage_copies_its_share() -> None:
    """Of 2,000 jobs, 10 % in shadow and 1 % in split; the same jobs each time."""
    limits = ShadowLimits(1_000, 100, 0, 10_000, 10_000, 10_000, 60)
    bench = Bench(limits)
    assert 150 < bench.offer_many(2_000) < 250
    first = [copy["job_id"] for copy in bench.queue.sent]
    bench.enter(Stage.SPLIT)
    bench.queue.sent.clear()
    assert 5 <= bench.offer_many(2_000) < 40
    assert {copy["job_id"] for copy in bench.queue.sent} <= set(first)


def test_a_share_of_the_copies_runs_legacy_again() -> None:
    """The noise floor: about a quarter, chosen apart from the sample itself."""
    limits = ShadowLimits(5_000, 0, 2_500, 10_000, 10_000, 10_000, 60)
    bench = Bench(limits)
    sent = bench.offer_many(2_000)
    again = [copy for copy in bench.queue.sent if copy["path"] == "legacy"]
    assert 0.2 < len(again) / sent < 0.3


def test_the_rate_limit_holds_over_time() -> None:
    """Two a second: two at once, then two for each second that passes."""
    bench = Bench(ShadowLimits(10_000, 0, 0, 2, 1_000, 100, 60))
    sent = [bench.offer_many(10)]
    for _ in range(5):
        bench.clock.advance(1)
        sent.append(bench.offer_many(10))
    assert sum(sent) <= 2 + 5 * 2
    assert sum(sent[1:]) == 5 * 2
    assert bench.publisher.shed == {Shed.RATE: 8}


def test_the_days_budget_holds_until_the_next_day() -> None:
    """Five a day, and five the day after."""
    bench = Bench(ShadowLimits(10_000, 0, 0, 1_000, 5, 100, 60))
    assert bench.offer_many(20) == 5
    assert bench.publisher.shed == {Shed.BUDGET: 15}
    bench.clock.advance(86_400)
    assert bench.offer_many(20) == 5


def test_copies_are_shed_while_the_backlog_is_long() -> None:
    """No copy is added to a queue that nobody empties; it goes on when it is short again."""
    bench = Bench()
    bench.queue.waiting = 100
    assert bench.offer_many(5) == 0
    assert bench.publisher.shed == {Shed.BACKLOG: 5}
    bench.queue.waiting = 99
    bench.clock.advance(1.5)
    assert bench.offer_many(5) == 1, "its own copies count at once, not only at the next look"


def test_stage_and_backlog_are_looked_at_once_a_second() -> None:
    """A thousand jobs within a second cost one question to the store and one to the broker."""
    bench = Bench(ShadowLimits(10_000, 0, 0, 10_000, 10_000, 10_000, 60))
    bench.offer_many(1_000)
    assert (bench.control.reads, bench.queue.looks) == (1, 1)
    bench.clock.advance(1.5)
    bench.offer_many(10)
    assert (bench.control.reads, bench.queue.looks) == (2, 2)


def test_the_shadow_of_a_long_job_may_run_as_long() -> None:
    """A job of half an hour is not killed after the limit that short ones have, but three times
    legacy's time: a killed shadow would be booked as the concurrent path's fault."""
    bench = Bench()
    bench.offer("short", seconds=0.25)
    bench.offer("long", seconds=1800.0)
    assert bench.queue.limits_s == [60.0, 5400.0]


def test_a_job_near_its_time_limit_is_not_copied() -> None:
    """Publishing counts against the job's own limit, which would kill its worker."""
    bench = Bench()
    assert not bench.offer(near=True)
    assert bench.publisher.shed == {Shed.NEAR_LIMIT: 1}


def test_a_broker_that_fails_is_left_alone_for_a_while() -> None:
    """It costs one bounded wait in ten seconds, not one for each job."""
    bench = Bench()
    bench.queue.away = True
    assert bench.offer_many(50) == 0
    assert bench.publisher.shed == {Shed.BROKER: 1, Shed.PAUSED: 49}
    bench.queue.away = False
    bench.clock.advance(shadow_publish.PAUSE_S + 1)
    assert bench.offer()
    assert read_copy(bench.queue.sent[0]).shed == {"broker": 1, "paused": 49}
    assert bench.publisher.shed == {}, "what was told is not told again"


def test_a_store_that_cannot_count_means_no_copies() -> None:
    """Without it rate and budget would not hold."""
    bench = Bench()
    bench.budget.reachable = False
    assert bench.offer_many(3) == 0
    assert bench.publisher.shed == {Shed.STORE: 1, Shed.PAUSED: 2}


class Hostile:
    """A value whose own JSON code raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __json__(self) -> Any:
        """Raise."""
        raise self._error


UNUSABLE = [
    Hostile(ValueError("no")),
    Hostile(SystemExit(3)),
    Hostile(MemoryError()),
    object(),
    (number for number in range(3)),
]


@pytest.mark.parametrize(
    "value", UNUSABLE, ids=["raises", "exits", "memory", "object", "generator"]
)
def test_a_result_that_json_cannot_carry_is_counted(value: Any) -> None:
    """The copy says so, and the shadow worker counts it: a shadow never compared is seen."""
    bench = Bench()
    assert bench.offer(value=value)
    result = read_copy(bench.queue.sent[0]).result
    assert isinstance(result, Unusable)
    assert result.trouble is Trouble.UNSERIALISABLE


def test_a_large_result_travels_as_its_digest() -> None:
    """And a huge one not at all: making its digest would cost legacy too much."""
    bench = Bench()
    assert bench.offer(value=["x" * 100] * 2_000)
    digest = read_copy(bench.queue.sent[0]).result
    assert isinstance(digest, Digest)
    assert len(digest.parts) == 100
    assert len(str(bench.queue.sent[0])) < 40_000
    assert bench.offer("job-2", [0] * 1_000_000)
    huge = read_copy(bench.queue.sent[1]).result
    assert isinstance(huge, Unusable)
    assert huge.trouble is Trouble.TOO_LARGE


def test_a_huge_result_is_not_even_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is weighed first, and looked at no further than the limit."""
    bench = Bench()
    written: list[Any] = []
    monkeypatch.setattr(bench.paths, "to_text", written.append)
    assert bench.offer(value=[0] * 1_000_000)
    assert written == []


@pytest.mark.parametrize("error", [RuntimeError("defect"), SystemExit(1)])
def test_whatever_happens_ends_here(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what nobody foresaw: the job it is about is done."""
    bench = Bench()

    def fail(*args: Any) -> Any:
        raise error

    monkeypatch.setattr(bench.queue, "publish", fail)
    assert not bench.offer()
    assert bench.publisher.shed == {Shed.DEFECT: 1}


def test_the_comparisons_leniency_goes_into_the_digest() -> None:
    """An ignored field does not change it, so that both sides agree."""
    digests = []
    for at in ("monday", "tuesday"):
        bench = Bench()
        bench.paths = SubPipeline(NAME, effects="none", compare=Comparison(ignore=("at",)))
        bench.offer(value={"at": at, "rows": ["x" * 100] * 2_000})
        digests.append(read_copy(bench.queue.sent[0]).result)
    assert digests[0] == digests[1]
