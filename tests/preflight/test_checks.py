"""What is said of jobs, limits, keys, connections and runs, from facts alone."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rollout.errors import ArgumentsUnusable, KeyMissing, KeyUnusable
from rollout.preflight.facts import (
    JobFact,
    Order,
    Pool,
    Room,
    ScannedSource,
    TaskFacts,
    Touch,
    Touched,
    Trial,
    TriedRun,
    Wait,
)
from rollout.preflight.findings import Check, Finding, NotChecked, Passed, Preflight, Result
from rollout.preflight.preflight import preflight
from rollout.shadow.compare import Comparison

TASK = TaskFacts(
    name="invoices", declared=True, effects="none", key="customer", time_limit_s=60.0,
    soft_limit_s=None, redelivered_after_s=3600.0, ends_worker=False,
    payload_bytes_max=2_000, serializer="json", processes=4, first_step_bp=300,
    source=ScannedSource([], 2),
)  # fmt: skip
NO_TRIAL = Trial((), "no job was run", "--run 5")


def job(number: int, **values: Any) -> JobFact:
    """A job of one customer."""
    return JobFact(f"job {number}", (), {"customer": number}, **values)


def weigh(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Bytes of texts alone; a set is what JSON cannot carry."""
    if any(isinstance(one, set) for one in kwargs.values()):
        raise ArgumentsUnusable("invoices", "the arguments", TypeError("a set"))
    return len(repr((args, kwargs)))


def key_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The customer, who must be there and be no float."""
    if "wrong" in kwargs:
        raise TypeError("got an unexpected keyword argument 'wrong'")
    if "customer" not in kwargs:
        raise KeyMissing("invoices", "customer", kwargs)
    if isinstance(kwargs["customer"], float):
        raise KeyUnusable("invoices", kwargs["customer"])
    return str(kwargs["customer"])


def looked(
    jobs: Iterable[JobFact] = (), trial: Trial = NO_TRIAL, task: TaskFacts = TASK
) -> Preflight:
    """A whole preflight."""
    return preflight(task, [], list(jobs), trial, Comparison(), weigh, key_of)


def of(page: Preflight, check: Check) -> list[Result]:
    """What one check said."""
    return [one for one in page.results if one.check is check]


def only(page: Preflight, check: Check, kind: type[Result]) -> Any:
    """The one result of a kind that a check gave."""
    (found,) = [one for one in of(page, check) if isinstance(one, kind)]
    return found


def test_without_any_source_nothing_passes_that_needs_one() -> None:
    """Each check says why it could not look, and what would tell it."""
    page = looked()
    assert page.findings == []
    assert {one.check for one in page.not_checked} == set(Check) - {Check.WAITS, Check.HOOK}
    assert all(one.because and one.remedy for one in page.not_checked)
    assert {one.check for one in page.passed} == {Check.WAITS, Check.HOOK}


def test_healthy_jobs_are_found_fine() -> None:
    """Many customers, short runs, small messages."""
    page = looked(job(number, seconds=1.0) for number in range(500))
    assert page.findings == []
    fine = {Check.ARGUMENTS, Check.SIZE, Check.LIMITS, Check.KEYS}
    assert fine <= {one.check for one in page.passed}


def test_arguments_that_cannot_go_are_told_by_reason() -> None:
    """One example of each reason comes before a second of the same."""
    strange = [
        JobFact("a", (), {"customer": 1, "what": {1}}),
        JobFact("b", (), {"customer": 1, "what": {2}}),
        JobFact("c", (), {"wrong": 1}),
        JobFact("d", unreadable="an object of shop.Order"),
        JobFact("e"),
    ]
    page = looked([*strange, job(7)])
    unreadable, refused = [one for one in page.findings if one.check is Check.ARGUMENTS]
    assert unreadable.examples == ["d: an object of shop.Order"]
    assert refused.sentence.startswith("3 jobs of 4 ")
    assert [example[:2] for example in refused.examples] == ["a:", "c:"]
    assert "arguments of 1 job are not told" in only(page, Check.ARGUMENTS, NotChecked).because


def test_no_value_of_a_job_is_ever_shown() -> None:
    """Examples say where and what is wrong with it, not what it was given."""
    secret = {"customer": "s3cret", "what": {"s3cret"}}
    jobs = [JobFact("a", (), secret), JobFact("b", (), {"customer": 0.5, "x": "s3cret"})]
    text = repr(looked([*jobs, JobFact("c", (), {"customer": "s3cret" * 900})]).to_json())
    assert "s3cret" not in text


def test_a_pickled_task_is_found() -> None:
    """What messages carry today may be what JSON does not."""
    page = looked([job(1)], task=replace(TASK, serializer="pickle"))
    assert "pickle" in only(page, Check.ARGUMENTS, Finding).sentence


def test_messages_are_held_against_the_limit() -> None:
    """As they were kept, else as they would be written, headers included."""
    page = looked([job(1, size_bytes=2_001), job(2, size_bytes=2_000), job(3)])
    found = only(page, Check.SIZE, Finding)
    assert found.sentence == "messages over payload_bytes_max (2,000 bytes): 1 of 3"
    assert found.examples == ["job 1: 2,001 bytes"]
    assert "near it" in only(looked([job(2, size_bytes=1_900)]), Check.SIZE, Passed).sentence


def test_runs_are_held_against_each_limit() -> None:
    """Exactly the limit is no overrun; runs that were tried here count, too."""
    task = replace(TASK, soft_limit_s=10.0)
    tried = TriedRun(0, "job 9", Order.LOAD, 1, None, 61.0)
    page = looked([job(1, seconds=10.0), job(2, seconds=10.1)], Trial([tried]), task)
    soft, hard = [one for one in page.findings if one.check is Check.LIMITS]
    assert soft.sentence == "2 runs of 3 took longer than soft_time_limit (10.0 s)"
    assert hard.examples == ["job 9 (under load): 61.0 s"]
    assert "visibility_timeout" in only(page, Check.LIMITS, Passed).sentence


def test_a_limit_beyond_rabbitmqs_own_is_told() -> None:
    """RabbitMQ closes the channel of a worker that is silent for so long, and Celery's ends."""
    slow = replace(TASK, time_limit_s=7_200.0, redelivered_after_s=1_800.0, ends_worker=True)
    page = looked([job(1, seconds=1_900.0)], task=slow)
    limit, run = [one for one in page.findings if one.check is Check.LIMITS]
    assert limit.sentence.startswith("a run may take 2.0 h by its limit, and RabbitMQ's")
    assert "took longer than RabbitMQ's consumer_timeout" in run.sentence
    assert "rabbitmq.conf" in limit.todo
    quick = replace(slow, soft_limit_s=60.0)
    assert [one for one in looked([job(1)], task=quick).findings if one.check is Check.LIMITS] == []


def test_a_task_without_a_limit_is_told() -> None:
    """Nothing ends what hangs."""
    page = looked([job(1, seconds=1.0)], task=replace(TASK, time_limit_s=None))
    assert "has no time limit" in only(page, Check.LIMITS, NotChecked).because


def test_keys_that_are_missing_or_few() -> None:
    """A handful of customers cannot be taken a share of."""
    few = [job(number % 4) for number in range(100)]
    found = only(looked(few), Check.KEYS, Finding)
    assert "4 values in 100 jobs; the largest is 25 %" in found.sentence
    missing = only(looked([JobFact("x", (), {})] * 2 + [job(1)]), Check.KEYS, Finding)
    assert missing.sentence == "2 jobs of 3 have no usable key customer"
    assert "cannot say" in only(looked([job(1)]), Check.KEYS, NotChecked).because
    assert only(looked(task=replace(TASK, key="")), Check.KEYS, Passed)


def test_one_customer_with_most_jobs_counts_as_few() -> None:
    """A thousand keys do not help when one of them is half of the traffic."""
    jobs = [job(0) for _ in range(500)] + [job(number) for number in range(1, 501)]
    assert "the largest is 50 %" in only(looked(jobs), Check.KEYS, Finding).sentence


def test_every_job_its_own_customer_is_not_few() -> None:
    """Forty jobs with forty keys are a small sample, not a handful of values."""
    assert only(looked(job(number) for number in range(40)), Check.KEYS, Passed)


def test_connections_are_counted_over_all_processes() -> None:
    """Against what is left, not against what is allowed."""
    task = replace(TASK, pools=[Pool("db", 10)], rooms=[Room("db", 97, 60)])
    assert "37 of 97" in only(looked(task=task), Check.CONNECTIONS, Finding).sentence
    fits = replace(task, rooms=[Room("db", 97, 57)])
    assert only(looked(task=fits), Check.CONNECTIONS, Passed)
    unasked = replace(task, rooms=[], unasked={"db": "it does not answer"})
    assert "does not answer" in only(looked(task=unasked), Check.CONNECTIONS, NotChecked).because


def test_waits_of_source_and_runs_are_one_finding() -> None:
    """Places in the source first."""
    source = ScannedSource([Wait("shop.py:3", "r.get() waits for another task")], 2, ["f"])
    waited = TriedRun(0, "job 1", Order.FORTH, None, "RuntimeError", 0, [Touch(Touched.WAIT, "w")])
    page = looked([job(1)], Trial([waited]), replace(TASK, source=source))
    found = only(page, Check.WAITS, Finding)
    assert "(1 place in the source and 1 run)" in found.sentence
    assert found.examples == ["shop.py:3: r.get() waits for another task", "job 1: w"]
    assert "source of f cannot be read" in only(page, Check.WAITS, NotChecked).because
    assert of(page, Check.RUNS)[0] == page.not_checked[[one.check for one in page.not_checked]
        .index(Check.RUNS)]  # fmt: skip


def test_a_refused_write_is_found_once_and_its_error_is_no_second_finding() -> None:
    """What a path does after it was refused something says nothing about it."""
    wrote = TriedRun(0, "a", Order.FORTH, None, "PermissionError", 0, [Touch(Touched.FILE, "/x")])
    server = TriedRun(1, "b", Order.FORTH, None, "E: cannot do it in a read-only transaction")
    raised = TriedRun(2, "c", Order.FORTH, None, "ValueError: boom")
    page = looked([job(1)], Trial([wrote, server, raised]))
    files, statements = [one for one in page.findings if one.check is Check.EFFECTS]
    assert files.examples == ["a: /x"]
    assert statements.examples[0].startswith("b: ")
    assert only(page, Check.RUNS, Finding).examples == ["c: ValueError: boom"]


def ran(number: int, order: Order, value: Any) -> TriedRun:
    """A run that returned."""
    return TriedRun(number, f"job {number}", order, value)


def test_order_is_told_from_what_varies_by_itself() -> None:
    """The time of day differs in each run; the count only when others ran before."""
    runs = []
    for at, order in enumerate(Order):
        for number in range(3):
            before = number if order is not Order.BACK else 2 - number
            runs.append(ran(number, order, {"served": before, "at": 10 * at + number}))
    page = looked([job(1)], Trial(runs))
    found = only(page, Check.ORDER, Finding)
    assert found.sentence == "the result of 2 of 3 jobs depends on which jobs ran before"
    assert found.examples == ["job 0: served", "job 2: served"]
    steady = [ran(one.number, one.order, {"at": one.value["at"]}) for one in runs]
    passed = only(looked([job(1)], Trial(steady)), Check.ORDER, Passed)
    assert passed.sentence.endswith("under load; by themselves vary at")


def test_a_run_that_raises_only_in_company_depends_on_it() -> None:
    """An error is a result that differs."""
    runs = [ran(number, order, 1) for order in Order for number in range(2)]
    runs[-1] = TriedRun(1, "job 1", Order.LOAD, error="OperationalError")
    found = only(looked([job(1)], Trial(runs)), Check.ORDER, Finding)
    assert found.sentence.endswith("which jobs run beside it")
    assert found.examples == ["job 1: (raised)"]


def test_hooks_that_fail_are_found() -> None:
    """And one that was not tried is not checked."""
    task = replace(TASK, effects="commit")
    fine = TriedRun(0, "a", Order.FORTH, 1, hook_ran=True)
    failed = replace(fine, where="b", hook_error="ValueError: no")
    page = looked([job(1)], Trial([fine, failed]), task)
    assert only(page, Check.HOOK, Finding).examples == ["b: ValueError: no"]
    assert only(looked([job(1)], Trial([fine]), task), Check.HOOK, Passed)
    untried = only(looked(task=task), Check.HOOK, NotChecked)
    assert "--hook" in untried.remedy
