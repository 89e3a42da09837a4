"""One shadow's way: what it runs, what it never does, and what is counted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollout.errors import NotShadowable, UnknownSubPipeline
from rollout.evidence.restarts import SCOPE_STAKE
from rollout.evidence.verdict import Verdict
from rollout.jobs.delivery import Done
from rollout.pilot.holds import HoldKind, holds_of
from rollout.pilot.judgement import Action
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from rollout.shadow.compare import Comparison
from rollout.shadow.copies import ShadowCopy, Trouble, Unusable
from rollout.shadow.ports import ShadowAccount, ShadowRun
from rollout.shadow.runs import LOST_GRACE, findings_of, fold, settle
from tests.builders import NAME, filing
from tests.world import World

L, C = JobPath.LEGACY, JobPath.CONCURRENT
ENVELOPE = '{"headers": {}, "body": [[], {"n": 7}, {}], "properties": {}}'
EQUAL = {"legacy": lambda n: {"n": n}, "concurrent": lambda n: {"n": n}}


def shadowed(world: World, effects: str = "commit", **paths: Any) -> SubPipeline:
    """Declare a sub-pipeline that is in stage shadow, and file a job of it."""
    made = world.declare(effects, **(paths or EQUAL))
    world.runtime.changes.change(NAME, Event.REVERT, "ada", "back")
    world.runtime.changes.change(NAME, Event.SHADOW, "ada", "look first")
    world.ledger.file([filing("job-1", L, envelope=ENVELOPE)])
    return made


def copy(path: JobPath = C, result: Any = '{"n": 7}', **values: Any) -> Mapping[str, Any]:
    """The message of a job that legacy ran in a quarter of a second."""
    given = {"job_id": "job-1", "legacy_s": 0.25, "shed": {}, **values}
    return ShadowCopy(path=path, result=result, **given).to_values()


def run(world: World, pipeline: SubPipeline, values: Any = None, run_id: str = "run-1") -> None:
    """Take a copy its whole way in a shadow worker."""
    world.runtime.shadow_runs.run(pipeline.declared, copy() if values is None else values, run_id)


def account(world: World) -> ShadowAccount:
    """What the ledger keeps of it."""
    return world.ledger.shadow_account(NAME)


def only_run(world: World) -> ShadowRun:
    """The one run there is."""
    (found,) = world.ledger.shadow_runs(NAME, 10)
    return found


def test_a_shadow_runs_the_concurrent_path_and_never_the_hook(world: World) -> None:
    """With the job's own input; what the hook would have been given is compared."""
    run(world, shadowed(world))
    assert world.ran == ["concurrent"]
    assert account(world).counts == {"equal:concurrent": 1}
    assert world.job().state == "accepted", "the job's own row is not touched"


def test_a_shadow_may_run_legacy_again(world: World) -> None:
    """Old against old: the hook is not called there either."""
    run(world, shadowed(world), copy(L))
    assert world.ran == ["legacy"]
    assert account(world).counts == {"equal:legacy": 1}


@pytest.mark.parametrize("effects", ["idempotent", "unsafe"])
def test_a_copy_of_paths_that_touch_the_world_is_not_run(world: World, effects: str) -> None:
    """A release may have changed the declaration while copies waited."""
    pipeline = shadowed(world)
    changed = SubPipeline(NAME, effects=effects, runtime=world.runtime)
    changed.legacy(pipeline.declared.paths[L])
    changed.concurrent(pipeline.declared.paths[C])
    run(world, changed)
    assert world.ran == []
    assert account(world).counts == {"shed:effects": 1}


@pytest.mark.parametrize("effects", ["idempotent", "unsafe"])
def test_stage_shadow_is_refused_for_paths_that_touch_the_world(world: World, effects: str) -> None:
    """By the ledger, whoever asks; nothing changes."""
    world.declare(effects)
    before = world.runtime.changes.change(NAME, Event.REVERT, "ada", "back").state
    with pytest.raises(NotShadowable, match="may not run beside the real job"):
        world.runtime.changes.change(NAME, Event.SHADOW, "ada", "look first")
    assert world.ledger.control(NAME) == before


@pytest.mark.parametrize("path", [L, C])
def test_a_result_of_another_build_of_legacy_is_not_compared(world: World, path: JobPath) -> None:
    """A copy that waited over a release: the account began anew, and this one is of before."""
    pipeline = shadowed(world)
    pipeline.declared.builds[L] = "2"
    run(world, pipeline, copy(path, build="1"))
    assert world.ran == []
    assert account(world).counts == {"shed:closed": 1}
    run(world, pipeline, copy(path, build="2"), "run-2")
    run(world, pipeline, copy(path), "run-3")
    assert account(world).counts == {"shed:closed": 1, f"equal:{path}": 2}


@pytest.mark.parametrize("how", ["kill", "revert", "store away"])
def test_a_copy_that_is_no_longer_wanted_is_not_run(world: World, how: str) -> None:
    """After a kill no job starts on the concurrent path, not even for a look."""
    pipeline = shadowed(world)
    match how:
        case "kill":
            world.runtime.changes.kill(NAME, "ada", "stop")
        case "revert":
            world.runtime.changes.change(NAME, Event.REVERT, "ada", "stop")
        case _:
            world.control.reachable = False
    run(world, pipeline, copy(shed={"rate": 4}))
    assert world.ran == []
    assert account(world).counts == {"shed:closed": 1, "shed:rate": 4}


def fails(error: BaseException) -> Any:
    """A path that raises this."""

    def path(n: int) -> Any:
        raise error

    return path


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (ValueError("boom"), "raised"),
        (SystemExit(3), "raised"),
        (MemoryError(), "memory"),
        (RecursionError("deep"), "raised"),
    ],
)
def test_a_path_that_fails_is_counted_and_nothing_else(
    world: World, error: BaseException, trouble: str
) -> None:
    """It is an output that legacy did not have, and an error of the shadow."""
    run(world, shadowed(world, concurrent=fails(error), legacy=EQUAL["legacy"]))
    assert account(world).counts == {f"trouble:concurrent:{trouble}": 1}
    found = findings_of(account(world))
    assert (found.pairs, found.errors, found.outputs.n_concurrent) == (0, 1, 1)
    assert only_run(world).state == "trouble"


def test_a_mismatch_is_kept_with_its_diff_and_grouped(world: World) -> None:
    """Ten thousand of one cause are one line; fifty are enough to see it."""
    lines = [{"price": 1, "at": "x"}, {"price": 2, "at": "x"}]
    pipeline = shadowed(
        world,
        concurrent=lambda n: {"lines": [{"price": 1 + n, "at": "x"}, {"price": 2, "at": "x"}]},
        legacy=lambda n: {"lines": lines},
    )
    legacy = pipeline.to_text({"lines": lines})
    for number in range(50):
        run(world, pipeline, copy(result=legacy), f"run-{number}")
    (group,) = account(world).groups
    assert (group.signature, group.runs, group.path) == ("lines[*].price", 50, C)
    assert group.example == "lines[0].price: 1 -> 8"
    assert group.example_job_id == "job-1"


def test_noise_of_legacy_itself_is_no_mismatch_beyond(world: World) -> None:
    """A time stamp differs in both; a wrong total differs in one, and is found."""
    calls = iter(range(10**6))
    pipeline = shadowed(
        world,
        concurrent=lambda n: {"at": next(calls), "total": n + 1},
        legacy=lambda n: {"at": next(calls), "total": n},
    )
    for number in range(80):
        legacy = pipeline.to_text({"at": next(calls), "total": 7})
        run(world, pipeline, copy(L if number % 3 == 0 else C, result=legacy), f"run-{number}")
    found = findings_of(account(world))
    assert found.outputs.verdict is Verdict.REGRESS
    assert "total in 53 of 53 against 0 of 27" in found.outputs.sentence
    assert "at in" not in found.outputs.sentence


def test_without_a_difference_beyond_noise_outputs_pass(world: World) -> None:
    """Also when every run differs, as long as legacy differs from itself as often."""
    calls = iter(range(10**6))
    pipeline = shadowed(
        world,
        concurrent=lambda n: {"at": next(calls)},
        legacy=lambda n: {"at": next(calls)},
    )
    for number in range(80):
        legacy = pipeline.to_text({"at": next(calls)})
        run(world, pipeline, copy(L if number % 3 == 0 else C, result=legacy), f"run-{number}")
    found = findings_of(account(world))
    assert found.outputs.verdict is Verdict.PASS
    assert "noise: at in 53 of 53" in found.outputs.sentence


@pytest.mark.parametrize(
    "function", [fails(ValueError("no")), fails(SystemExit(1))], ids=["raises", "exits"]
)
def test_a_compare_function_that_raises_is_counted(world: World, function: Any) -> None:
    """As an error of the shadow; it says nothing about the outputs."""
    pipeline = shadowed(world)
    pipeline.compare(lambda legacy, concurrent: function(0))
    run(world, pipeline)
    assert account(world).counts == {f"trouble:concurrent:{Trouble.COMPARE_RAISED}": 1}
    assert findings_of(account(world)).outputs.n_concurrent == 0


def test_results_that_json_cannot_carry_are_counted(world: World) -> None:
    """On either side."""
    pipeline = shadowed(world, concurrent=lambda n: object(), legacy=EQUAL["legacy"])
    run(world, pipeline)
    run(world, pipeline, copy(result=Unusable(Trouble.UNSERIALISABLE, "object")), "run-2")
    assert account(world).counts == {f"trouble:concurrent:{Trouble.UNSERIALISABLE}": 2}
    assert world.ran == ["concurrent"], "nothing to compare with: the path is not run"


@pytest.mark.parametrize("values", [None, {}, {"job_id": 3}, "text", {"legacy_s": "x"}])
def test_a_message_that_is_no_copy_is_counted(world: World, values: Any) -> None:
    """Somebody else's message on the queue harms nobody."""
    pipeline = shadowed(world)
    world.runtime.shadow_runs.run(pipeline.declared, values, "run-1")
    assert account(world).counts == {f"trouble:{Trouble.MALFORMED}": 1}


def test_a_job_whose_input_is_gone_is_counted(world: World) -> None:
    """Deleted after its time, or run in process: there is no envelope."""
    pipeline = shadowed(world)
    run(world, pipeline, copy(job_id="job-2"))
    world.ledger.file([filing("job-3", L, envelope="")])
    run(world, pipeline, copy(job_id="job-3"), "run-3")
    assert account(world).counts == {f"trouble:concurrent:{Trouble.NO_INPUT}": 2}


def test_a_message_delivered_twice_runs_once(world: World) -> None:
    """The row of its run is there already."""
    pipeline = shadowed(world)
    run(world, pipeline)
    run(world, pipeline)
    assert world.ran == ["concurrent"]


def test_a_killed_shadow_is_counted_once(world: World) -> None:
    """By the worker's main process; a whole worker that died, by the next who looks."""
    pipeline = shadowed(world)
    runs = world.runtime.shadow_runs
    world.line.cut("end_shadow")
    run(world, pipeline)
    run(world, pipeline, run_id="run-2")
    world.line.mend()
    runs.lost(pipeline.declared, "run-1", Trouble.WORKER_LOST)
    runs.lost(pipeline.declared, "run-1", Trouble.WORKER_LOST)
    limit = world.runtime.settings.shadow_limit_s
    assert settle(world.ledger, NAME, world.clock.now(), runs._limit) == 0
    world.clock.advance(limit + LOST_GRACE.total_seconds() + 1)
    assert settle(world.ledger, NAME, world.clock.now(), runs._limit) == 1
    assert settle(world.ledger, NAME, world.clock.now(), runs._limit) == 0
    counts = {"trouble:concurrent:worker_lost": 1, "trouble:concurrent:lost": 1}
    assert account(world).counts == counts
    assert findings_of(account(world)).errors == 2


def test_the_ledger_away_harms_nobody(world: World) -> None:
    """The shadow is dropped, with a line in the log."""
    pipeline = shadowed(world)
    world.line.cut()
    run(world, pipeline)
    world.line.mend()
    assert world.ledger.shadow_runs(NAME, 10) == []


def test_a_short_absence_of_the_ledger_is_waited_for(world: World) -> None:
    """The run's end is tried again."""
    pipeline = shadowed(world)
    world.line.cut("end_shadow", times=2)
    run(world, pipeline)
    assert only_run(world).state == "equal"


def test_old_runs_are_deleted_and_their_evidence_stays(world: World) -> None:
    """By the shadow worker itself, once in a while."""
    pipeline = shadowed(world)
    run(world, pipeline)
    world.clock.advance(world.runtime.settings.keep.total_seconds() + 60)
    world.control.beat("controller", world.runtime.settings.keep)
    run(world, pipeline, run_id="run-2")
    assert [one.run_id for one in world.ledger.shadow_runs(NAME, 10)] == ["run-2"]
    assert findings_of(account(world)).pairs == 2


def test_evidence_begins_afresh_with_each_shadow(world: World) -> None:
    """What another trial showed says nothing about this one; its first step keeps it."""
    pipeline = shadowed(world)
    run(world, pipeline)
    world.runtime.changes.change(NAME, Event.START, "ada", "go")
    run(world, pipeline, run_id="run-2")
    assert findings_of(account(world)).pairs == 2
    world.runtime.changes.change(NAME, Event.REVERT, "ada", "bug")
    world.runtime.changes.change(NAME, Event.SHADOW, "ada", "again")
    assert findings_of(account(world)).pairs == 0
    run(world, pipeline, run_id="run-3")
    assert findings_of(account(world)).pairs == 1


def test_a_slower_path_is_found_on_the_same_inputs(world: World) -> None:
    """Times that differ wildly between jobs and little between paths."""

    def slow(n: int) -> Any:
        world.clock.advance(0.35)
        return {"n": n}

    pipeline = shadowed(world, concurrent=slow, legacy=EQUAL["legacy"])
    for number in range(12):
        run(world, pipeline, run_id=f"run-{number}")
    found = findings_of(account(world))
    assert found.time.verdict is Verdict.REGRESS
    assert "1.40 times legacy's time" in found.time.sentence
    assert only_time(world) == pytest.approx(0.35)


def only_time(world: World) -> float | None:
    """Seconds of the newest run."""
    return world.ledger.shadow_runs(NAME, 1)[0].shadow_s


def test_an_errors_words_are_hidden_where_fields_are(world: World) -> None:
    """Nobody knows which field an error quotes; its type is no value."""

    def raises(n: int) -> None:
        raise ValueError("card 4111 is refused")

    pipeline = shadowed(world, legacy=lambda n: n, concurrent=raises)
    pipeline.declared.comparison = Comparison(redact=("card",))
    run(world, pipeline)
    assert only_run(world).why == "ValueError: (redacted)"


def test_an_errors_text_is_redacted(world: World) -> None:
    """It may quote what must not be stored."""
    pipeline = shadowed(world, concurrent=fails(ValueError("card 4111")), legacy=EQUAL["legacy"])
    pipeline.declared.comparison = Comparison(redact=lambda field, value: "hidden")
    run(world, pipeline)
    assert only_run(world).why == '"hidden"'


def test_findings_of_a_stranger_are_refused(world: World) -> None:
    """A misspelt name is an error, not an empty answer."""
    with pytest.raises(UnknownSubPipeline):
        world.ledger.shadow_account("nobody")


def test_evidence_that_cannot_be_read_begins_afresh(world: World) -> None:
    """Another release's state is never guessed at."""
    run(world, shadowed(world))
    assert fold({"of": "another release"}, only_run(world))["pairs"] == 1


def test_only_a_commit_of_this_delivery_can_be_copied(world: World) -> None:
    """A fallback has failed on the concurrent path before; a duplicate was copied before."""
    pipeline = world.declare("commit")
    committed = world.deliver(pipeline, path=L)
    assert isinstance(committed, Done)
    assert committed.ran is not None
    assert committed.ran.value == ["legacy", 7]
    duplicate = world.deliver(pipeline, path=L, file=False)
    assert isinstance(duplicate, Done)
    assert duplicate.ran is None
    broken = world.declare("commit", concurrent=fails(ValueError("no")), name="other")
    world.deliver(broken, "job-2")
    fallen = world.deliver(broken, "job-2", L, file=False)
    assert isinstance(fallen, Done)
    assert fallen.ran is None


def test_a_job_of_a_drill_is_not_copied(world: World) -> None:
    """What was sent while a drill was aimed at legacy ran under it, perhaps: its time is wrong."""
    made = world.deliver(world.declare("commit"), path=L, drilled=True)
    assert isinstance(made, Done)
    assert made.value == ["legacy", 7]
    assert made.ran is None


@pytest.mark.parametrize(("seconds", "over_one"), [(0.35, True), (0.25, False)])
def test_shadow_pairs_are_prior_evidence_of_the_first_step(
    world: World, seconds: float, over_one: bool
) -> None:
    """A slower path in the shadow stakes more on the cycle test of the step that follows."""

    def concurrent(n: int) -> Any:
        world.clock.advance(seconds)
        return {"n": n}

    pipeline = shadowed(world, concurrent=concurrent, legacy=EQUAL["legacy"])
    world.runtime.tick.turn()
    for number in range(12):
        run(world, pipeline, run_id=f"run-{number}")
    world.runtime.changes.change(NAME, Event.START, "ada", "compared enough")
    world.runtime.tick.turn()
    (row,) = world.ledger.trial_rows()
    cycle = row.payload["evidence"]["cycle"]
    staked = [cycle[part]["restarts"]["pend"] for part in ("median", "tail")]
    assert all((pend > SCOPE_STAKE) is over_one for pend in staked)


def test_other_outputs_in_split_hold_the_next_step(world: World) -> None:
    """The controller reads the sample of a step too, says it once, and shows it."""
    pipeline = shadowed(world, concurrent=lambda n: {"n": n + 1}, legacy=EQUAL["legacy"])
    world.runtime.tick.turn()
    world.runtime.changes.change(NAME, Event.START, "ada", "no time to compare")
    world.runtime.tick.turn()
    for number in range(60):
        values = copy(L) if number % 3 == 0 else copy()
        run(world, pipeline, values, run_id=f"run-{number}")
    world.clock.advance(3_600)
    report = world.runtime.tick.turn().pilots
    assert (report.shadowed[NAME].pairs, report.shadowed[NAME].errors) == (40, 0)
    ((name, made),) = report.decisions
    assert (name, made.action, made.person) == (NAME, Action.HOLD, True)
    assert HoldKind.OUTPUTS in holds_of(made.window)
    assert any("n in 40 of 40" in reason for reason in made.reasons)
    world.clock.advance(3_600)
    assert world.runtime.tick.turn().pilots.decisions == []


def test_a_step_without_shadows_shows_none(world: World) -> None:
    """No series of metrics that nobody feeds, and no question for each of a thousand of them."""
    world.declare()
    world.runtime.tick.turn()
    world.clock.advance(3_600)
    asked: list[str] = []
    world.line.before = asked.append
    assert world.runtime.tick.turn().pilots.shadowed == {}
    assert asked.count("shadow_names") == 1
    assert "shadow_account" not in asked


@pytest.mark.parametrize("odd", ["half a pair \ud800", "a NUL \x00"])
def test_text_that_no_database_takes_is_no_lost_shadow(world: World, odd: str) -> None:
    """In a value, in a field's name, or in an error: the run is counted with it written out."""

    def raises(n: int) -> None:
        raise ValueError(odd)

    differing = shadowed(world, legacy=lambda n: {"n": n}, concurrent=lambda n: {"n": odd})
    run(world, differing)
    named = replace(differing.declared.comparison, function=lambda one, other: odd)
    differing.declared.comparison = named
    run(world, differing, run_id="run-2")
    differing.declared.paths[C] = raises
    run(world, differing, run_id="run-3")
    assert account(world).counts == {"different:concurrent": 2, "trouble:concurrent:raised": 1}
