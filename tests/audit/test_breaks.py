"""What breaks first, and what is lost on the way back: each from the figures of its log."""

from random import Random

from rollout.audit.audit import Audit, audit
from rollout.audit.breaks import CANNOT_SAY
from rollout.audit.job_log import Capture, JobLog
from rollout.audit.table import Line
from tests.audit.systems import MONDAY, System, about, log_of, poisson, waves


def line(answer: Audit, way: str) -> Line:
    """One line of the table."""
    return next(one for one in answer.table if one.way == way)


def test_a_lock_breaks_what_runs_at_once() -> None:
    """The table names it with the figures of the finding; another log has another cell."""
    random = Random(1)
    locked = audit(
        log_of(
            System(8, about(0.02), about(0.2), holds=1, random=random).run(
                waves(0.5, 6.5, 300, 1800, random)
            )
        )
    )
    cell = line(locked, "parallel").breaks
    assert cell.startswith("the lock")
    assert locked.findings[0].reason in cell
    free = audit(log_of(System(8, about(0.2), random=random).run(poisson(4, 1800, random))))
    assert line(free, "parallel").breaks.startswith("nothing up to ")
    assert line(free, "parallel").breaks.endswith(CANNOT_SAY)


def test_one_worker_breaks_by_its_load_or_its_longest_run() -> None:
    """Twice its time asked; or one run of a minute that all others wait behind."""
    random = Random(2)
    busy = audit(log_of(System(8, lambda r: 0.5, random=random).run(poisson(4, 1800, random))))
    assert "2.0 times its time" in line(busy, "sequential").breaks
    calm = System(8, lambda r: 60.0 if r.random() < 0.004 else 0.2, random=random)
    answer = audit(log_of(calm.run(poisson(1, 1800, random))))
    assert line(answer, "sequential").breaks == "the longest run: all others wait 60.0 s behind it"


def test_a_millisecond_of_rounding_is_no_load_that_was_held() -> None:
    """Two workers whose runs seem to overlap by their last digit have not held three at once."""
    log = JobLog()
    log.captures.append(Capture("w.log", "worker log"))
    for number in range(200):
        begins = MONDAY + number * 0.5
        ends = begins + 1.0005
        log.add(log.jobs.nameless(), log.steps.number("a.b"), started=begins, ended=ends)
    cell = line(audit(log), "parallel").breaks
    assert cell.startswith("nothing up to 2 at once")


def test_the_jobs_a_day_of_a_short_log_are_its_rate_and_said_to_be() -> None:
    """Twenty minutes on both sides of midnight are no day, and no two."""
    answers = []
    for begin in (MONDAY + 43_200, MONDAY + 86_400 - 600):
        log = JobLog()
        log.captures.append(Capture("w.log", "worker log"))
        free_at = begin
        for number in range(1200):
            came = begin + number
            free_at = max(came, free_at) + 1.2
            log.add(
                log.jobs.nameless(), log.steps.number("a.b"), queued=came, received=came,
                started=free_at - 1.2, ended=free_at,
            )  # fmt: skip
        verdict = audit(log).verdict
        assert "--jobs-per-day" in verdict.next_command
        assert "The jobs a day below take these 24 min for the whole day." in verdict.sentence
        answers.append(verdict.next_command)
    assert answers[0] == answers[1]


def test_what_is_lost_is_what_is_in_flight() -> None:
    """Two jobs a second of half a second each: one in flight, half of it done."""
    random = Random(3)
    answer = audit(log_of(System(8, lambda r: 0.5, random=random).run(poisson(2, 3600, random))))
    back = line(answer, "parallel").back
    assert back.startswith("1.0 jobs in flight, 2")
    assert "ms of work done again" in back
    assert line(answer, "sequential").back.startswith("nothing")
    assert line(answer, "graph").back == CANNOT_SAY


def steps(slow_s: float) -> Audit:
    """Three hundred jobs of two steps, one after the other."""
    log = JobLog()
    log.captures.append(Capture("steps", "rows"))
    for number in range(300):
        begin = MONDAY + 20 * number
        job = log.jobs.nameless()
        first = log.add(job, log.steps.number("parse"), 0, started=begin, ended=begin + 1)
        second = log.add(
            job, log.steps.number("load"), 1, started=begin + 1, ended=begin + 1 + slow_s
        )
        log.parents[second] = (first,)
    return audit(log)


def test_the_slowest_step_is_named_for_barriers_and_batches() -> None:
    """With its figures; where two steps are alike none stands out."""
    answer = steps(9.0)
    assert line(answer, "barriers").breaks.startswith("load (9.00 s, p95)")
    assert line(answer, "micro-batches").breaks.startswith("load: it has 90 % of the work")
    assert line(answer, "graph").back.startswith("0.5 steps in flight")
    assert line(steps(1.1), "barriers").breaks.startswith("no step stands out")


def test_a_log_of_one_step_says_nothing_of_steps() -> None:
    """And one without starts says nothing of what is in flight."""
    random = Random(4)
    answer = audit(log_of(System(4, about(0.2), random=random).run(poisson(2, 600, random))))
    assert line(answer, "barriers").breaks == CANNOT_SAY
    assert line(answer, "micro-batches").breaks == CANNOT_SAY
    log = JobLog()
    log.captures.append(Capture("ends", "rows"))
    for number in range(100):
        log.add(log.jobs.nameless(), log.steps.number("a"), ended=MONDAY + number)
    ends = audit(log)
    assert {line(ends, way).back for way in ("barriers", "graph", "parallel")} == {CANNOT_SAY}
    assert line(ends, "parallel").breaks == CANNOT_SAY
