"""Declaring a sub-pipeline, submitting to it, and `run` end to end in one process."""

import os
import warnings
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from celery import Celery

from rollout.adapters.sql import tables
from rollout.errors import (
    ArgumentsUnusable,
    DeclarationError,
    JobFailed,
    JobIdUnusable,
    KeyMissing,
    KeyTooLong,
    KeyUnusable,
    LedgerUnreachable,
    NoConnection,
    PayloadTooLarge,
)
from rollout.jobs.claims import JobState
from rollout.jobs.order import KEY_BYTES_MAX
from rollout.jobs.ports import Job
from rollout.jobs.submit import JOB_ID_MAX
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, filing
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY


def one(n: int) -> int:
    """A path."""
    return n


def other(m: int) -> int:
    """A path with another argument."""
    return m


def app() -> Any:
    """A Celery app that connects to nothing."""
    return Celery("shop", broker="memory://", set_as_current=False)


def twice_on_one_app() -> None:
    """Two sub-pipelines of one name."""
    shop = app()
    SubPipeline(NAME, app=shop, effects="none")
    SubPipeline(NAME, app=shop, effects="none")


def taken_task_name(*, finalized: bool) -> None:
    """A task name that the app has already."""
    shop = app()
    shop.task(name="shop.bill", shared=False)(one)
    if finalized:
        shop.finalize()
    made = SubPipeline(NAME, app=shop, effects="none", task_name="shop.bill")
    made.legacy(one)
    made.concurrent(one)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Celery warns of the same
        made.check()


def incomplete(effects: str = "none") -> None:
    """Only one path."""
    made = SubPipeline(NAME, effects=effects)
    made.legacy(one)
    made.check()


def decorated_by_celery() -> None:
    """A task where a function belongs."""
    SubPipeline(NAME, effects="none").legacy(app().task(one, shared=False))


def hooked(effects: str, times: int = 1) -> None:
    """Declare commit hooks."""
    made = SubPipeline(NAME, effects=effects)
    for _ in range(times):
        made.commit(lambda value, job: value)


WRONG: list[tuple[str, Callable[[], Any], str]] = [
    ("no name", lambda: SubPipeline("", effects="none"), "name must match"),
    ("capitals", lambda: SubPipeline("Invoices", effects="none"), "name must match"),
    ("the latch's name", lambda: SubPipeline("*", effects="none"), "name must match"),
    ("a name too long", lambda: SubPipeline("n" * 91, effects="none"), "name must match"),
    ("a line end", lambda: SubPipeline("a\n", effects="none"), "name must match"),
    ("no holdback", lambda: SubPipeline(NAME, effects="none", holdback_bp=-1), "holdback_bp"),
    ("all held", lambda: SubPipeline(NAME, effects="none", holdback_bp=10_000), "holdback_bp"),
    ("effects", lambda: SubPipeline(NAME, effects="some"), "effects of 'invoices' must be one of"),
    ("options", lambda: SubPipeline(NAME, effects="none", task_name="x"), "no app"),
    ("twice", twice_on_one_app, "declared twice"),
    ("task name", lambda: taken_task_name(finalized=True), "a task named 'shop.bill'"),
    ("lazy task", lambda: taken_task_name(finalized=False), "a task named 'shop.bill'"),
    ("one path", incomplete, "declare @invoices.concurrent"),
    ("no hook", lambda: incomplete("commit"), "@invoices.concurrent and @invoices.commit"),
    ("two legacies", lambda: _two(JobPath.LEGACY), "two legacy paths"),
    ("arguments", lambda: _both(one, other), "must take the same arguments"),
    ("key", lambda: SubPipeline(NAME, effects="none", key="m").legacy(one), "not an argument"),
    ("hook", lambda: hooked("none"), "effects='none' and a commit hook"),
    ("two hooks", lambda: hooked("commit", 2), "two commit hooks"),
    ("a task", decorated_by_celery, "app.task"),
    ("no app", lambda: SubPipeline(NAME, effects="none").delay(1), "no Celery app"),
]


def _two(path: JobPath) -> None:
    made = SubPipeline(NAME, effects="none")
    made.legacy(one)
    made.legacy(one)


def _both(legacy: Callable[..., Any], concurrent: Callable[..., Any]) -> None:
    made = SubPipeline(NAME, effects="none")
    made.legacy(legacy)
    made.concurrent(concurrent)


@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")
@pytest.mark.parametrize(("declare", "said"), [row[1:] for row in WRONG], ids=[r[0] for r in WRONG])
def test_a_wrong_declaration_says_what_to_write(declare: Callable[[], Any], said: str) -> None:
    """It is refused where it is declared, or at the first use when only then it is seen."""
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert said in str(caught.value)
    assert caught.value.hint


def test_declaring_reads_no_setting_and_connects_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wrong settings hurt at the first submission, not at import."""
    monkeypatch.setenv("ROLLOUT_NONSENSE", "1")
    made = SubPipeline(NAME, app=app(), effects="none")
    made.legacy(one)
    made.concurrent(one)
    made.check()


def test_two_apps_of_one_process_have_their_own_sub_pipelines() -> None:
    """A name that another app declares is not taken."""
    for shop in (app(), app()):
        made = SubPipeline(NAME, app=shop, effects="none")
        made.legacy(one)
        made.concurrent(one)
        made.check()
        assert made.task.rollout is made.declared


def keyed(world: World, key: Any) -> SubPipeline:
    """A declared sub-pipeline with this routing key."""
    made = SubPipeline("keyed", effects="none", key=key, runtime=world.runtime)

    @made.legacy
    def old(n: Any = 1, **more: Any) -> str:
        return "legacy"

    @made.concurrent
    def new(n: Any = 1, **more: Any) -> str:
        return "concurrent"

    return made


UUID_1 = UUID(int=1)


@pytest.mark.parametrize(
    ("key", "kwargs", "expected"),
    [
        ("n", {"n": 7}, "7"),
        ("n", {}, "1"),
        ("n", {"n": "ä"}, "ä"),
        ("n", {"n": UUID_1}, str(UUID_1)),
        ("extra", {"extra": "e"}, "e"),
        (lambda n=1, **more: f"{n}/x", {"n": 3}, "3/x"),
        (None, {"n": 7}, "job-1"),
    ],
)
def test_a_key_is_one_text(world: World, key: Any, kwargs: dict[str, Any], expected: str) -> None:
    """From an argument, its default, further arguments, a function, or the job's id."""
    assert keyed(world, key).key_of("job-1", (), kwargs) == expected


@pytest.mark.parametrize(
    "value", [1.5, None, True, b"x", ["a"], {"a": 1}, "nul\x00", "half\ud800"], ids=ascii
)
def test_a_key_without_one_text_form_is_refused(world: World, value: Any) -> None:
    """Nothing is submitted."""
    with pytest.raises(KeyUnusable):
        keyed(world, "n").run(n=value)
    assert world.ledger.open_counts() == []


def test_a_key_that_no_index_holds_is_refused_where_an_order_is_kept(world: World) -> None:
    """Its place could not be taken, and its message would come again for ever."""
    longest, longer = "é" * (KEY_BYTES_MAX // 2), "é" * (KEY_BYTES_MAX // 2) + "x"
    free = keyed(world, "n")
    ordered = SubPipeline("ordered", effects="none", key="n", order="key", runtime=world.runtime)
    ordered.legacy(lambda n: n)
    ordered.concurrent(lambda n: n)
    assert ordered.run(n=longest) == longest
    assert free.key_of("job-1", (), {"n": longer}) == longer
    with pytest.raises(KeyTooLong, match="2000 bytes at most, got 2001"):
        ordered.run(n=longer)


@pytest.mark.parametrize("job_id", ["", "x" * (JOB_ID_MAX + 1), "nul\x00", "half\ud800"], ids=ascii)
def test_an_id_that_not_every_ledger_holds_is_refused(world: World, job_id: str) -> None:
    """Nothing is recorded; the longest that there may be is as long as the column."""
    with pytest.raises(JobIdUnusable):
        world.runtime.submit.file(NAME, Effects.NONE, 0, [filing(job_id)])
    assert world.ledger.open_counts() == []
    assert tables.job.c.job_id.type.length == JOB_ID_MAX  # type: ignore[attr-defined]  # a String
    assert world.runtime.submit.file(NAME, Effects.NONE, 0, [filing("x" * JOB_ID_MAX)])


def test_a_missing_key_is_refused(world: World) -> None:
    """The message names the argument."""
    with pytest.raises(KeyMissing, match="'extra'"):
        keyed(world, "extra").run(n=1)


def test_arguments_that_do_not_fit_are_a_type_error(world: World) -> None:
    """As calling the function would be."""
    with pytest.raises(TypeError, match="m"):
        world.declare().run(m=1)


@pytest.mark.parametrize("value", [object(), {1, 2}.__iter__(), open], ids=["object", "it", "fn"])
def test_arguments_that_json_cannot_carry_are_refused(world: World, value: Any) -> None:
    """Nothing is filed and nothing runs."""
    with pytest.raises(ArgumentsUnusable, match="must be carried by JSON"):
        keyed(world, None).run(n=value)
    assert world.ledger.open_counts() == []


def test_a_payload_that_is_too_large_is_refused(world: World) -> None:
    """The limit is the setting's, in bytes of the envelope."""
    with pytest.raises(PayloadTooLarge, match="ROLLOUT_PAYLOAD_BYTES_MAX"):
        keyed(world, None).run(n="x" * 1_000_000)
    assert world.ledger.open_counts() == []


# run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("effects", ["none", "commit", "idempotent", "unsafe"])
def test_run_takes_a_job_its_whole_way(world: World, effects: str) -> None:
    """Routed, claimed, run, committed; the result comes back."""
    assert world.declare(effects).run(n=7) == ["concurrent", 7]
    world.runtime.tick.turn()
    assert world.status().committed(C) == 1


def test_run_falls_back_in_the_same_call(world: World) -> None:
    """The caller gets legacy's result."""

    def boom(n: int) -> Any:
        raise ValueError("boom")

    assert world.declare(concurrent=boom)(n=7) == ["legacy", 7]
    assert world.ran == ["concurrent", "legacy", "hook"]
    assert world.status().fallbacks == 1


def test_run_raises_what_legacy_raised(world: World) -> None:
    """And the job is kept with both errors."""

    def boom(n: int) -> Any:
        raise ValueError("boom")

    pipeline = world.declare(concurrent=boom, legacy=boom)
    with pytest.raises(ValueError, match="boom"):
        pipeline.run(n=7)
    (kept,) = world.ledger.failed(NAME, 5)
    assert kept.error == "ValueError: boom\nValueError: boom"
    assert kept.state is JobState.FAILED


@pytest.mark.parametrize("effects", ["none", "commit", "idempotent", "unsafe"])
def test_run_without_a_ledger(world: World, effects: str) -> None:
    """Legacy runs where a repeat does no harm, else the caller hears why not."""
    pipeline = world.declare(effects)
    world.line.cut()
    if pipeline.effects.needs_ledger:
        with pytest.raises(LedgerUnreachable):
            pipeline.run(n=7)
        assert world.ran == []
    else:
        assert pipeline.run(n=7) == ["legacy", 7]


def test_a_job_id_runs_once(world: World) -> None:
    """The same id again gives the same outcome and runs nothing."""
    pipeline = world.declare()
    assert pipeline.run_here("mine", (), {"n": 7}) == ["concurrent", 7]
    assert pipeline.run_here("mine", (), {"n": 7}) == ["concurrent", 7]
    assert world.ran == ["concurrent", "hook"]


def test_a_failed_job_id_says_so(world: World) -> None:
    """The kept failure is not run again by accident."""

    def boom(n: int) -> Any:
        raise ValueError("boom")

    pipeline = world.declare("unsafe", concurrent=boom)
    with pytest.raises(ValueError, match="boom"):
        pipeline.run_here("mine", (), {"n": 7})
    with pytest.raises(JobFailed, match="is kept: ValueError: boom"):
        pipeline.run_here("mine", (), {"n": 7})


def test_a_hook_sees_its_job_and_the_ledgers_connection(world: World) -> None:
    """The idempotency key is the same for each attempt; a path has no connection."""
    seen: list[Job] = []

    def hook(value: Any, job: Job) -> Any:
        seen.append(job)
        assert job.connection.in_transaction()
        return value

    pipeline = world.declare(hook=hook)
    pipeline.run_here("mine", (), {"n": 7})
    (job,) = seen
    assert (job.job_id, job.name, job.key, job.path, job.attempt) == ("mine", NAME, "7", C, 1)
    assert job.idempotency_key == f"{NAME}/mine"
    with pytest.raises(NoConnection):
        Job("mine", NAME, "7", C, 1).connection  # noqa: B018


def test_a_path_that_asks_for_its_job_gets_it(world: World) -> None:
    """The parameter `job` is not one of the submitted arguments."""
    made = SubPipeline("asks", effects="none", runtime=world.runtime)

    @made.legacy
    def old(n: int, job: Job) -> list[Any]:
        return [n, job.name]

    @made.concurrent
    def new(n: int) -> list[Any]:
        return [n, "-"]

    assert made.run(n=1) == [1, "asks"]


# Submit and Router ---------------------------------------------------------------------------


def test_a_snapshot_is_kept_for_a_second(world: World) -> None:
    """Submission reads the store once a second and name; the gate asks each time."""
    world.declare()
    decide = world.runtime.submit.decide
    assert decide(NAME, "7").path is C
    world.control.reachable = False
    world.clock.advance(1)
    assert decide(NAME, "7").path is C
    world.clock.advance(0.001)
    assert decide(NAME, "7").reason is Reason.UNREACHABLE
    world.control.reachable = True
    assert decide(NAME, "7").reason is Reason.UNREACHABLE
    world.clock.advance(1.001)
    assert decide(NAME, "7").path is C


def test_a_snapshot_does_not_outlive_a_fork(world: World) -> None:
    """A child process asks for itself, while its parent may still use what it has read."""
    world.declare()
    decide = world.runtime.submit.decide
    assert decide(NAME, "7").path is C
    world.runtime.changes.kill(NAME, "ada", "why")
    child = os.fork()
    if child == 0:  # the child leaves at once, without pytest's own ending
        os._exit(0 if decide(NAME, "7").reason is Reason.KILLED else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert decide(NAME, "7").path is C


@pytest.mark.parametrize("call", ["ensure", "file"])
def test_a_submission_without_a_ledger_goes_to_legacy_unfiled(world: World, call: str) -> None:
    """The job is submitted all the same; the next submission is filed again."""
    pipeline = world.declare("none")
    world.line.cut(call, times=1)
    assert pipeline.run_here("first", (), {"n": 7}) == ["legacy", 7]
    assert pipeline.run_here("second", (), {"n": 7}) == ["concurrent", 7]
