"""Each kind of bottleneck, planted in a system of known truth, is named; healthy ones have none."""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import pytest

from rollout.audit.audit import Audit, audit, kinds_of
from rollout.audit.findings import SHARED, Kind
from rollout.audit.job_log import NAN, Capture, JobLog
from rollout.audit.pages import sections_of
from rollout.audit.verdict import Advice
from tests.audit.systems import (
    DAY,
    MONDAY,
    System,
    about,
    constant,
    log_of,
    lognormal,
    poisson,
    waves,
)


def kinds(answer: Audit) -> list[str]:
    """What was found."""
    return kinds_of(answer.findings)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_lock_is_named(seed: int) -> None:
    """Eight workers, and one thing that each run holds nearly all of its time."""
    random = Random(seed)
    system = System(8, about(0.02), about(0.2), holds=1, random=random)
    answer = audit(log_of(system.run(waves(0.5, 6.5, 300, 1800, random))))
    assert answer.findings[0].kind is Kind.LOCK
    assert answer.verdict.advice is Advice.UNLOCK
    assert not answer.verdict.healthy
    parallel = next(one for one in answer.ways if one.name == "parallel")
    assert parallel.high == 1.0, "more workers gain nothing"
    unlock = next(one for one in answer.ways if one.name == "unlock")
    assert unlock.high is not None
    assert unlock.high > 1.5


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_pool_of_three_is_named_and_counted(seed: int) -> None:
    """Twelve workers, three connections."""
    random = Random(seed)
    system = System(12, about(0.02), about(0.3), holds=3, random=random)
    answer = audit(log_of(system.run(waves(0.5, 13, 300, 1800, random))))
    assert answer.findings[0].kind is Kind.POOL
    assert round(answer.findings[0].values["holds"]) == 3
    assert answer.verdict.advice is Advice.UNLOCK


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_lock_shows_when_the_workers_are_always_busy(seed: int) -> None:
    """A backlog of 400 jobs on four workers, each holding one lock: the level never changes."""
    random = Random(seed)
    system = System(4, constant(0.0005), about(0.02, 0.05), holds=1, random=random)
    answer = audit(log_of(system.run([MONDAY] * 400), queued=False))
    assert answer.findings[0].kind is Kind.LOCK
    assert answer.findings[0].values["holds"] == 1


@pytest.mark.parametrize("queued", [True, False])
def test_jobs_that_come_evenly_apart_are_no_lock(queued: bool) -> None:
    """Every 250 ms one, each as long: always as many at once, and ends as even as the arrivals."""
    runs = [(at, at + 0.01, at + 3.4, 1.0, n % 16) for n in range(2000) if (at := MONDAY + n / 4)]
    answer = audit(log_of(runs, queued=queued))
    assert kinds(answer) == []


@pytest.mark.parametrize("spread", [0.002, 0.05, 0.3])
def test_a_backlog_without_a_lock_has_no_lock(spread: float) -> None:
    """The same backlog, nothing shared."""
    system = System(4, about(0.08, spread))
    answer = audit(log_of(system.run([MONDAY] * 400)))
    assert not SHARED & {one.kind for one in answer.findings}
    assert Kind.QUEUEING in {one.kind for one in answer.findings}


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_pool_that_is_always_full_is_not_called_free_of_contention(seed: int) -> None:
    """Eight busy workers on three connections: jobs wait, and the log cannot say why runs last."""
    random = Random(seed)
    system = System(8, constant(0.0005), about(0.08, 0.15), holds=3, random=random)
    arrivals = [MONDAY + 0.01 * number for number in range(300)]
    answer = audit(log_of(system.run(arrivals)))
    assert "runs do not slow each other down" not in answer.verdict.sentence
    shared = SHARED & {one.kind for one in answer.findings}
    if not shared:
        assert "this log cannot say" in answer.verdict.sentence
        parallel = next(one for one in answer.ways if one.name == "parallel")
        assert parallel.low == 1.0
    assert shared <= {Kind.POOL, Kind.CONTENTION}


@pytest.mark.parametrize("seed", range(1, 6))
def test_input_size_that_looks_like_contention_is_not_called_so(seed: int) -> None:
    """Big inputs come in the busy minutes; nothing is shared."""
    random = Random(seed)
    arrivals = waves(0.5, 12, 300, 1800, random)
    sizes = [
        (1 + 4 * (1 - abs(2 * (((at - MONDAY) % 300) / 300) - 1))) * random.lognormvariate(0, 0.3)
        for at in arrivals
    ]
    system = System(64, lognormal(0.3, 0.15), random=random)
    answer = audit(log_of(system.run(arrivals, sizes), sized=True))
    assert not SHARED & {one.kind for one in answer.findings}
    assert answer.measured.tests[0].by_size, "the trap is there: without sizes it would look slowed"
    assert answer.verdict.healthy


def test_a_lock_beside_input_sizes_is_still_found() -> None:
    """Taking size out leaves what the lock adds."""
    random = Random(3)
    system = System(
        8, about(0.02), about(0.2), holds=1, size=lambda r: r.lognormvariate(0, 0.5), random=random
    )
    answer = audit(log_of(system.run(waves(0.5, 5.5, 300, 1800, random)), sized=True))
    assert answer.findings[0].kind is Kind.LOCK


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_queueing_is_named_and_nothing_else(workers: int) -> None:
    """More work than workers, nothing shared."""
    random = Random(workers)
    system = System(workers, lognormal(0.5, 0.4), random=random)
    answer = audit(log_of(system.run(waves(0.1 * workers, 3.2 * workers, 600, 3600, random))))
    assert kinds(answer) == ["queueing"]
    assert answer.verdict.advice is Advice.PARALLEL
    assert answer.verdict.next_command.startswith("rollout plan work --jobs-per-day ")
    parallel = next(one for one in answer.ways if one.name == "parallel")
    assert parallel.high is not None
    assert parallel.high > 1.5


def test_workers_that_wait_for_answers_are_an_io_stall() -> None:
    """CPU seconds show that busy workers do nothing."""
    random = Random(2)
    system = System(4, about(0.5), random=random)
    log = log_of(system.run(waves(1, 13, 600, 3600, random)), cpu=0.02)
    assert kinds(audit(log)) == ["queueing", "i/o stall"]


def test_workers_that_compute_are_compute() -> None:
    """Four runs at a time get the cores, and CPU seconds show that they use them."""
    random = Random(2)
    system = System(12, constant(0.0), about(0.3), holds=4, random=random)
    log = log_of(system.run(waves(0.5, 16, 300, 1800, random)), cpu=0.29)
    answer = audit(log)
    assert answer.findings[0].kind is Kind.COMPUTE
    assert answer.verdict.advice is Advice.HARDWARE


def nightly(seed: int, *, irregular: bool = False) -> JobLog:
    """Orders come by day; the second step begins with the batch at 02:00, or after an approval."""
    random = Random(seed)
    log = JobLog()
    log.captures.append(Capture("orders", "rows"))
    for day in range(20):
        midnight = MONDAY + DAY * (day + 1)
        for number in range(30):
            came = MONDAY + DAY * day + random.uniform(8, 18) * 3600
            took = random.uniform(2, 8)
            job = log.jobs.nameless()
            log.add(
                job, log.steps.number("check"), queued=came, started=came + 0.1, ended=came + took
            )
            later = (
                came + took + random.uniform(1, 9) * 3600
                if irregular
                else midnight + 2 * 3600 + number * 9
            )
            log.add(
                job,
                log.steps.number("book"),
                queued=NAN,
                started=later,
                ended=later + random.uniform(2, 8),
            )
    return log


def test_a_nightly_hand_off_is_named_with_its_hour() -> None:
    """Half a day passes between two short steps."""
    answer = audit(nightly(1))
    assert answer.findings[0].kind is Kind.HAND_OFF
    assert answer.findings[0].values["regular"] is True
    assert abs(answer.findings[0].values["clock_s"] - 2 * 3600) < 900
    assert answer.verdict.advice is Advice.HAND_OFF
    assert "02:0" in answer.verdict.sentence


def test_an_approval_is_an_irregular_hand_off() -> None:
    """Hours, at no fixed time."""
    answer = audit(nightly(1, irregular=True))
    assert answer.findings[0].kind is Kind.HAND_OFF
    assert answer.findings[0].values["regular"] is False


def test_a_few_returns_after_weeks_are_no_hand_off() -> None:
    """Four cases are opened again after a thousand hours: counted, not summed."""
    random = Random(1)
    log = JobLog()
    log.captures.append(Capture("cases", "rows"))
    for number in range(200):
        at = MONDAY + number * 3600 + random.uniform(0, 600)
        job = log.jobs.nameless()
        for step in ("register", "treat"):
            log.add(job, log.steps.number(step), queued=at, started=at + 1, ended=at + 300)
            at += 330
        if number % 50 == 0:
            log.add(
                job,
                log.steps.number("treat"),
                queued=at + 3.6e6,
                started=at + 3.6e6,
                ended=at + 3.6e6 + 300,
            )
    answer = audit(log)
    assert Kind.HAND_OFF not in {one.kind for one in answer.findings}
    assert answer.measured.total_s < 3.6e6, "the thousand hours are in no sum"


def test_a_fan_out_of_tiny_steps_is_overhead_bound() -> None:
    """Two hundred steps of 5 ms that a scheduler starts every 20 ms."""
    random = Random(1)
    log = JobLog()
    log.captures.append(Capture("fan-out", "rows"))
    for number in range(20):
        begin = MONDAY + 60 * number
        job = log.jobs.nameless()
        root = log.add(job, log.steps.number("split"), started=begin, ended=begin + 0.01)
        for child in range(200):
            start = begin + 0.03 + 0.02 * child
            row = log.add(
                job, log.steps.number("part"), child % 8, started=start,
                ended=start + random.uniform(0.003, 0.007),
            )  # fmt: skip
            log.parents[row] = (root,)
    answer = audit(log)
    assert answer.findings[0].kind is Kind.OVERHEAD
    assert answer.findings[0].values["work_over_makespan"] < 1
    assert answer.verdict.advice is Advice.BATCH


def test_a_few_huge_runs_are_skew() -> None:
    """One in 150 takes 300 times as long."""
    random = Random(5)
    system = System(20, lambda r: 60.0 if r.random() < 1 / 150 else 0.2, random=random)
    answer = audit(log_of(system.run(poisson(2, 3600, random))))
    assert Kind.SKEW in {one.kind for one in answer.findings}
    assert answer.verdict.advice is Advice.SPLIT


def test_jobs_held_back_beside_free_workers_are_no_queueing() -> None:
    """An ETA of half a minute, and workers that idle."""
    random = Random(5)
    arrivals = poisson(0.05, 36_000, random)
    runs = [
        (at, at + 30, at + 30 + random.uniform(1, 3), 1.0, n % 8) for n, at in enumerate(arrivals)
    ]
    log = log_of(runs)
    log.captures[0].slots = 8
    answer = audit(log)
    assert kinds(answer) == ["held back"]
    assert answer.verdict.advice is Advice.RELEASE


HEALTHY: dict[str, Callable[[Random], JobLog]] = {
    "steady": lambda r: log_of(System(8, about(0.5), random=r).run(poisson(4, 1800, r))),
    "quiet": lambda r: log_of(System(4, about(2.0), random=r).run(poisson(0.1, 20_000, r))),
    "waves": lambda r: log_of(System(32, about(0.4), random=r).run(waves(1, 40, 300, 1200, r))),
    "long tail": lambda r: log_of(
        System(40, lognormal(0.5, 1.0), random=r).run(poisson(12, 1200, r))
    ),
    "constant": lambda r: log_of(System(8, constant(0.25), random=r).run(poisson(10, 900, r))),
    "two speeds": lambda r: log_of(
        System(16, lambda q: 0.1 if q.random() < 0.7 else 1.0, random=r).run(poisson(10, 1200, r))
    ),
    "sized": lambda r: log_of(
        System(24, about(0.2), size=lambda q: q.lognormvariate(0, 0.7), random=r).run(
            poisson(25, 600, r)
        ),
        sized=True,
    ),
    "without queue times": lambda r: log_of(
        System(16, about(0.5), random=r).run(waves(2, 16, 200, 1200, r)), queued=False
    ),
    "every two seconds": lambda r: log_of(
        System(4, about(0.7), random=r).run([MONDAY + 2.0 * n for n in range(800)])
    ),
    "slow day and night": lambda r: log_of(
        System(20, lognormal(1.0, 0.5), random=r).run(waves(0.2, 8, 3600, 14_400, r))
    ),
}


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_systems_are_called_healthy(name: str, seed: int) -> None:
    """Ten systems in which nothing is jammed."""
    answer = audit(HEALTHY[name](Random(seed)))
    assert kinds(answer) == []
    assert answer.verdict.healthy
    assert answer.verdict.advice is Advice.STAY


def test_too_little_is_not_called_healthy() -> None:
    """Twenty runs carry no verdict."""
    answer = audit(log_of(System(4, about(0.5)).run(poisson(1, 20, Random(1)))[:20]))
    assert answer.verdict.advice is Advice.MEASURE
    assert not answer.verdict.healthy


def test_gaps_between_ends_are_never_called_hand_offs() -> None:
    """Half a day from end to end, every night: waiting and the step itself are in it together."""
    log = nightly(1)
    for row in range(len(log)):
        log.queued[row] = log.started[row] = NAN
    answer = audit(log)
    assert kinds(answer) == []
    assert answer.verdict.advice is Advice.MEASURE
    (gap,) = answer.measured.gaps
    assert gap.with_service
    assert gap.total_s == 0
    page = "\n".join(line for one in sections_of(answer) for line in one.sentences)
    assert "waiting and the step itself together; in no sum" in page


def test_a_growing_queue_has_its_day() -> None:
    """Arrivals that grow by 10 a day pass what two workers can do; flat ones do not."""
    random = Random(1)

    def log_with(more: float) -> JobLog:
        arrivals = []
        for day in range(40):
            jobs = int(1000 + more * day)
            arrivals += [MONDAY + DAY * day + random.uniform(0, DAY) for _ in range(jobs)]
        return log_of(System(2, about(80.0), random=random).run(sorted(arrivals)))

    growing = audit(log_with(10)).growth
    assert growing is not None
    assert growing.on is not None
    # 2,160 a day are reached (2160 - 1000) / 10 = 116 days after the begin.
    begin = datetime.fromtimestamp(MONDAY, UTC).date()
    assert abs((growing.on - begin).days - 116) < 15
    assert growing.earliest is not None
    assert growing.earliest <= growing.on
    flat = audit(log_with(0)).growth
    assert flat is not None
    assert flat.on is None


def test_ends_alone_tell_nothing_about_waiting() -> None:
    """Rows with one time: no verdict, and what would tell it."""
    log = JobLog()
    log.captures.append(Capture("ends", "rows"))
    for number in range(200):
        log.add(log.jobs.nameless(), log.steps.number("pay"), ended=MONDAY + number * 60.0)
    answer = audit(log)
    assert answer.verdict.advice is Advice.MEASURE
    assert "waiting and service cannot be told apart" in [one.what for one in answer.lacks]
