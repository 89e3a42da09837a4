"""Ratios, intervals, classes and limits, from slices with known figures."""

from random import Random

import pytest
from scipy.stats import t

from rollout.scaling.doublings import T_975, Doubling, doublings
from rollout.scaling.limits import Limit, limited_by
from rollout.scaling.scale import Class, class_of, judge
from rollout.scaling.slices import Measured, Slice, WorkerUse, levels_to, plan


def use(
    jobs: float, cpu_s: float = 0.1, runnable_s: float | None = 0.0, faults: int = 0
) -> WorkerUse:
    """A worker's second."""
    return WorkerUse(jobs, 0, 1.0, cpu_s, runnable_s, 50_000_000, faults, 0.1)


def measured(slices: list[Slice], cores: float = 4, **values: object) -> Measured:
    """A test of a minute."""
    given = {"ended": "", "workers_max": 8, **values}
    return Measured("work", slices, cores, 10, "f", 60, 30, 400_000_000, **given)  # type: ignore[arg-type]  # by name


def rates(*by_level: list[float]) -> Measured:
    """So many jobs a second with 1, 2, 4, ... workers, round by round."""
    return measured(
        [
            Slice(2**power, number, [use(rate / 2**power)] * 2**power)
            for power, each in enumerate(by_level)
            for number, rate in enumerate(each)
        ]
    )


def test_students_t_is_scipys() -> None:
    """To the digits that are written down."""
    assert [round(float(t.ppf(0.975, df)), 3) for df in range(1, len(T_975) + 1)] == list(T_975)


def test_what_drifts_hits_both_levels_alike() -> None:
    """A machine that gets slower each round says nothing about workers."""
    (one,) = doublings(rates([100, 50, 25], [190, 95, 47.5]))
    assert (one.few, one.many, one.rounds) == (1, 2, 3)
    assert one.low == pytest.approx(1.9)
    assert one.high == pytest.approx(1.9)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Rounds that differ by chance: 95 of 100 intervals, give or take three."""
    random, held = Random(7), 0
    for _ in range(1_000):
        before = [100 * random.lognormvariate(0, 0.05) for _ in range(4)]
        after = [150 * random.lognormvariate(0, 0.05) for _ in range(4)]
        (one,) = doublings(rates(before, after))
        assert one.low is not None
        assert one.high is not None
        held += one.low <= 1.5 <= one.high
    assert 930 <= held <= 970


@pytest.mark.parametrize(
    ("ratio", "low", "high", "expected"),
    [
        (1.9, 1.8, 2.0, Class.KEEP_BUYING),
        (1.4, 1.3, 1.5, Class.SOON_FLAT),
        (1.0, 0.97, 1.03, Class.FLAT),
        (0.8, 0.75, 0.85, Class.WORSE),
        (0.93, 0.85, 1.02, Class.FLAT),
        (1.4, 0.9, 1.9, Class.UNKNOWN),
        (1.9, None, None, Class.UNKNOWN),
    ],
)
def test_classes(ratio: float, low: float | None, high: float | None, expected: Class) -> None:
    """An interval over more than two of them says nothing; nor does one with two rounds."""
    assert class_of(Doubling(2, 4, ratio, low, high, 3)) is expected


def limit_of(
    few: WorkerUse, many: WorkerUse, *, cores: float = 4, others: float = 0.0, **values: object
) -> Limit:
    """What limits four workers."""
    slices = [
        one
        for number in range(3)
        for one in (Slice(1, number, [few], others), Slice(4, number, [many] * 4, others))
    ]
    return limited_by(measured(slices, cores, **values)).limit


def test_limits_by_where_the_time_went() -> None:
    """The part of a job's time that grew."""
    alone = use(10, cpu_s=0.9)
    assert limit_of(alone, use(10, cpu_s=0.9)) is Limit.NONE
    assert limit_of(alone, use(5, cpu_s=0.5, runnable_s=0.5), cores=2) is Limit.CPU
    assert limit_of(alone, use(6, cpu_s=0.95)) is Limit.CPU
    assert limit_of(alone, use(6, cpu_s=0.95), cores=16) is Limit.SHARED_CORES
    idle = use(10, cpu_s=0.05)
    assert limit_of(idle, use(2.6, cpu_s=0.02)) is Limit.LOCK
    assert limit_of(idle, use(7.5, cpu_s=0.04)) is Limit.POOL
    assert limit_of(idle, use(5, cpu_s=0.02, faults=90)) is Limit.MEMORY
    assert limit_of(idle, idle, memory_cut=True) is Limit.MEMORY


def test_the_pool_s_size_is_what_got_through() -> None:
    """Three of eight."""
    slices = [
        one
        for number in range(3)
        for one in (
            Slice(1, number, [use(10, 0.05)]),
            Slice(4, number, [use(7.4, 0.05)] * 4),
            Slice(8, number, [use(3.8, 0.02)] * 8, waits={"futex": 9, "read": 1}),
        )
    ]
    page = judge(measured(slices))
    assert page.verdict is Class.FLAT
    assert page.limited is not None
    assert page.limited.at_once == pytest.approx(3, abs=0.1)
    assert "a lock of threads or processes (futex)" in page.sentence
    assert "Make the pool larger" in page.sentence


def test_one_level_says_nothing() -> None:
    """And why it ended stands in the sentence."""
    page = judge(measured([], ended="a worker was lost with 2 at once: it hung"))
    assert page.verdict is Class.UNKNOWN
    assert "it hung" in page.sentence
    assert page.to_json()["limit"] is None


def test_the_plan_keeps_to_its_time() -> None:
    """Whatever a job takes, the slices do not take more than what was given."""
    assert levels_to(1) == [1]
    assert levels_to(12) == [1, 2, 4, 8]
    for seconds in (5, 20, 60, 600):
        for job_s in (0.001, 0.1, 1.0, 3.0):
            for levels in ([1, 2], [1, 2, 4, 8]):
                rounds, slice_s = plan(levels, seconds, job_s)
                assert rounds >= 3
                if slice_s > 0.1:
                    assert rounds * len(levels) * (slice_s + job_s) <= seconds
