"""The checker catches every kind of violation, and a good history has none."""

from dataclasses import replace

import pytest

from tests.crash.checker import KINDS, UNFILED, check
from tests.crash.evidence import Evidence
from tests.crash.history import Event
from tests.crash.planted import (
    WALL,
    S,
    at,
    change,
    claimed,
    good,
    iso,
    kinds,
    row,
    with_events,
    with_row,
)


def test_good_history_has_no_violation() -> None:
    """Nothing is found where nothing is wrong."""
    assert check(good()) == []


def test_submitted_job_without_row_is_lost() -> None:
    """A job that the ledger does not know is lost."""
    late = at(3, "producer1", "submitted", name="parts", jobs=["c"])
    assert kinds(with_events(late)) == ["lost"]


def test_unfiled_job_without_row_is_named_apart() -> None:
    """A job submitted while the ledger was away and then lost by the broker is lost, too."""
    found = check(
        with_events(
            at(3, "producer1", "unfiled", jobs=["c"]),
            at(3, "producer1", "submitted", name="parts", jobs=["c"]),
        )
    )
    assert [(one.kind, one.said) for one in found] == [("lost", UNFILED)]


def test_job_that_ran_while_the_ledger_was_away_is_no_loss_where_nothing_needs_it() -> None:
    """Its outcome is with Celery; a job with a commit hook has none until the ledger says so."""
    for name, found in (("notes", []), ("parts", ["lost"])):
        events = (
            at(3, "producer1", "unfiled", jobs=["c"]),
            at(3, "producer1", "submitted", name=name, jobs=["c"]),
            at(4, "legacy", "ran unclaimed", job="c", path="legacy"),
        )
        assert kinds(with_events(*events)) == found


def test_unfinished_job_is_lost() -> None:
    """A row that ends the run unfinished has no outcome."""
    open_ = row("b", 6, "legacy", state="accepted", finished_at=None, way=good().rows["b"].way[:1])
    assert kinds(with_row(open_, effects=0)) == ["lost"]


def test_job_that_failed_and_committed_has_two_outcomes() -> None:
    """An outcome is final."""
    way = (*good().rows["b"].way, {"at": iso(6.5), "what": "failed"})
    assert kinds(with_row(row("b", 6, "legacy", way=way))) == ["two outcomes"]


def test_effect_applied_twice_is_a_second_commit() -> None:
    """Two rows of the commit hook, though ledger and histories know of one."""
    assert kinds(with_row(row("b", 6, "legacy"), effects=2)) == ["committed twice"]


def test_way_with_two_commits() -> None:
    """The ledger's own record has two."""
    way = (*good().rows["b"].way, good().rows["b"].way[-1])
    assert kinds(with_row(row("b", 6, "legacy", way=way))) == ["committed twice"]


def test_two_attempts_that_were_told_they_committed() -> None:
    """Two processes claim the commit, though one effect is left."""
    second = at(6.2, "forked", "committed", job="b", attempt=2, path="concurrent")
    assert kinds(with_events(second)) == ["committed twice"]


def test_commit_without_its_effect() -> None:
    """A job that says committed and whose hook's row is not there."""
    assert kinds(with_row(row("b", 6, "legacy"), effects=0)) == ["effect missing"]


def test_claim_granted_while_killed() -> None:
    """A claim asked and answered between the fence and the rearm."""
    assert kinds(with_events(claimed(6, "b", 1, 0))) == ["start after kill"]


def test_claim_with_the_fence_of_the_kill_before_its_rearm() -> None:
    """The claim's fence shows that it came after the kill, whatever the clocks say."""
    assert kinds(with_events(claimed(6, "b", 1, 4, t0=4 * S))) == ["start after kill"]


def test_claim_while_a_rearm_is_under_way_is_no_violation() -> None:
    """From the moment that a rearm is asked for, a start may be granted."""
    assert kinds(with_events(claimed(7.05, "b", 1, 4))) == []


def test_kill_overtaken_by_a_rearm_promises_nothing() -> None:
    """A rearm asked before the fence and ended after it may have lifted this very kill."""
    overtaken = with_events(
        at(4.9, "operator2", "rearm asked", name=None),
        at(5.3, "operator2", "rearm ended", name=None, refused=False),
        claimed(6, "b", 1, 4),
    )
    assert kinds(overtaken) == []


def test_start_that_only_the_way_tells_of() -> None:
    """The process that was granted it died before it could say so; the kill is never lifted."""
    base = with_row(row("b", 6))
    events = [event for event in base.events if not event["what"].startswith("rearm")]
    found = kinds(replace(base, events=events))
    assert found == ["start after kill", "commit after fence"]


def test_commit_of_an_older_attempt_after_the_fence() -> None:
    """It was claimed before the kill and committed after it, rearmed or not."""
    for seconds in (6, 9.5):
        assert kinds(with_row(row("a", seconds))) == ["commit after fence"]


def test_commit_of_a_newer_attempt_after_the_rearm() -> None:
    """An attempt claimed under the new fence may commit."""
    assert kinds(with_row(row("a", 9.5, fence_revision=4))) == []


def test_scope_that_grew_without_a_transition() -> None:
    """A scope seen that the log does not explain; a row at its end; a hole in the log."""
    seen = at(9.2, "driver", "scope seen", name="parts", place="store", revision=3, scope_bp=9000)
    assert kinds(with_events(seen)) == ["scope grew"]
    assert kinds(replace(good(), scopes={"parts": 9000})) == ["scope grew"]
    hole = [one for one in good().changes if one.event != "start"]
    assert kinds(replace(good(), changes=hole)) == ["scope grew"]


def test_start_while_the_store_was_gone() -> None:
    """The gate asked a store that could not answer, and the job started all the same."""
    assert kinds(with_events(claimed(8.5, "b", 1, 4))) == ["start without store"]


def test_start_that_asked_nobody() -> None:
    """The gate was passed by."""
    assert kinds(with_events(claimed(9.5, "b", 1, 4, asked=None))) == ["start without store"]


def test_cut_link_counts_for_its_worker_only() -> None:
    """Another worker's link is no concern of this one."""
    window = (
        at(3, "driver", "store gone", worker="threaded"),
        at(4, "driver", "store back", worker="threaded"),
    )
    assert kinds(with_events(*window, claimed(3.5, "a", 1, 0))) == []
    mine = {**claimed(3.5, "a", 1, 0), "who": "threaded"}
    assert kinds(with_events(*window, mine)) == ["start without store"]


@pytest.mark.parametrize("others", [0, 20])  # at 0.2 s for each
def test_job_that_waits_with_nothing_in_its_way(others: int) -> None:
    """It finishes late though everything is up, whether the others go on or not."""
    base = with_row(row("b", 45, "legacy"))
    busy = {f"c{number}": row(f"c{number}", 11 + number, "legacy") for number in range(others)}
    events = [event for event in base.events if event["what"] != "ended"]
    events.append(at(60, "driver", "ended", open=0))
    evidence = replace(
        base,
        events=events,
        rows={**base.rows, **busy},
        effects={**base.effects, **dict.fromkeys(busy, 1)},
    )
    assert kinds(evidence) == ["stuck"]
    assert [one.job for one in check(evidence)] == ["b"]


def test_job_behind_a_long_queue_is_not_stuck() -> None:
    """A queue that is worked off without a pause is what stands in its way."""
    base = with_row(row("b", 45, "legacy"))
    busy = {f"c{number}": row(f"c{number}", 11 + number / 10, "legacy") for number in range(300)}
    events = [event for event in base.events if event["what"] != "ended"]
    events.append(at(60, "driver", "ended", open=0))
    rows, effects = {**base.rows, **busy}, {**base.effects, **dict.fromkeys(busy, 1)}
    assert kinds(replace(base, events=events, rows=rows, effects=effects)) == []


def test_job_that_is_still_open_long_after_all_is_up() -> None:
    """It is lost, and nothing stood in its way."""
    open_ = row("b", 6, "legacy", state="accepted", finished_at=None, way=good().rows["b"].way[:1])
    base = with_row(open_, effects=0)
    events = [event for event in base.events if event["what"] != "ended"]
    events.append(at(60, "driver", "ended", open=1))
    assert kinds(replace(base, events=events)) == ["lost", "stuck"]


def asked(seconds: float, job: str, clock_s: float) -> Event:
    """A process asks the ledger about a job while its own clock shows another time."""
    return at(seconds, "forked", "asked", job=job, now=(WALL + int(clock_s * S)) // 1000)


def test_clock_that_was_ahead_is_no_late_commit_and_one_behind_hides_none() -> None:
    """What the ledger dates by a wrong clock is judged by when it was asked for."""
    ahead = with_row(row("a", 6))
    assert kinds(ahead) == ["commit after fence"]
    events = [asked(2.09, "a", 6), *ahead.events]
    assert kinds(replace(ahead, events=sorted(events, key=lambda e: int(e["t"])))) == []
    behind = with_row(row("a", 2.1))
    events = [asked(6, "a", 2.1), *behind.events]
    hidden = replace(behind, events=sorted(events, key=lambda e: int(e["t"])))
    assert kinds(hidden) == ["commit after fence"]


def test_stepped_clock_is_told() -> None:
    """The wall clock jumped in the middle, so the ledger's times cannot be trusted."""
    events = [
        {**event, "w": event["w"] + (S if event["t"] > 6 * S else 0)} for event in good().events
    ]
    assert "clock stepped" in kinds(replace(good(), events=events))


def test_committed_job_of_which_nobody_hears() -> None:
    """Its process lived on; told by anybody, or dead at once, it is no violation."""
    base = good()
    later = at(9.9, "forked", "asked", job="z", now=0)
    untold = [event for event in base.events if event["what"] != "told" or event["job"] != "a"]
    events = sorted([*untold, later], key=lambda event: int(event["t"]))
    assert kinds(replace(base, events=events)) == ["not told"]
    assert kinds(replace(base, events=untold)) == []


def test_worker_taken_for_dead_that_was_heard_of() -> None:
    """By its claim or by its renewal; after long enough it is rightly given up."""
    claim = claimed(2, "b", 1, 0, worker="w:1")
    renewed = at(5, "forked", "renewed", job="b", worker="w:1")
    for seconds, found in ((4, True), (6, True), (9.5, False)):
        silenced = at(seconds, "controller1", "silenced", job="b")
        got = kinds(with_events(claim, renewed, silenced))
        assert ("died for nothing" in got) is found
    other = at(5, "forked", "renewed", job="b", worker="w:2")
    assert kinds(with_events(claim, other, at(8, "controller1", "silenced", job="b"))) == []


def test_effect_of_an_attempt_that_did_not_commit() -> None:
    """The row says attempt 1, the effect is of attempt 2."""
    assert kinds(replace(good(), effect_attempts={"a": 1})) == []
    assert kinds(replace(good(), effect_attempts={"a": 2})) == ["effect of another"]


def test_hook_that_met_its_own_row() -> None:
    """Run again after its commit, whose answer was lost."""
    way = (*good().rows["b"].way[:-1], {"at": iso(6), "what": "failed"})
    failed = row("b", 6, "legacy", state="failed", way=way, error="IntegrityError: duplicate key")
    assert kinds(with_row(failed, effects=0)) == ["hook met itself"]


def test_unsafe_job_that_was_done_and_is_kept_as_failed() -> None:
    """Nothing but a stop disturbed it; a killed worker explains it."""
    way = ({"at": iso(6), "what": "failed"},)
    failed = row("u", 6, "legacy", name="wires", state="failed", way=way, error="fell silent")
    base = with_row(failed, effects=0)
    did = [at(6, "legacy", "did", job="u"), at(10.9, "legacy", "x"), at(11.9, "legacy", "x")]

    def with_fault(kind: str) -> Evidence:
        begun = at(5.5, "driver", "fault begun", n=1, kind=kind, target="legacy")
        events = sorted([*base.events, *did, begun], key=lambda event: int(event["t"]))
        return replace(base, events=events)

    assert kinds(with_fault("worker told to stop")) == ["done and failed"]
    assert kinds(with_fault("worker killed")) == []


def test_counts_that_differ_from_the_rows() -> None:
    """A job counted twice, and one that was forgotten."""
    assert kinds(replace(good(), tallies={("parts", "committed"): 2})) == []
    for jobs in (1, 3):
        assert kinds(replace(good(), tallies={("parts", "committed"): jobs})) == ["miscounted"]


def test_claim_of_a_row_that_had_gone_asks_nobody() -> None:
    """What runs has its row written anew; a second such claim is a start like any other."""
    gone = at(9.4, "driver", "rows gone", jobs=["b"])
    once = claimed(9.5, "b", 1, 4, asked=None)
    assert kinds(with_events(gone, once)) == []
    assert kinds(with_events(gone, once, claimed(9.6, "b", 2, 4, asked=None))) == [
        "start without store"
    ]


def test_every_kind_is_planted() -> None:
    """Each kind that the checker knows has a test above that plants it."""
    from pathlib import Path

    folder = Path(__file__).parent
    text = "".join(file.read_text(encoding="utf-8") for file in folder.glob("test_checker*.py"))
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []


def test_a_rearm_of_all_that_lifts_another_kill_is_found() -> None:
    """What was killed by itself is not lifted by who lifts the kill of all."""
    lifted = at(7.2, "operator2", "rearm ended", name=None, refused=False, lifted={"parts": "k"})
    assert kinds(with_events(lifted)) == ["kill lifted by another"]
    own = at(7.2, "operator2", "rearm ended", name="parts", refused=False, lifted={"parts": "k"})
    assert kinds(with_events(own)) == []


def test_a_kill_of_all_that_leaves_one_out_is_found() -> None:
    """It returned with a sub-pipeline that is not killed."""
    fenced = at(
        6.5, "operator2", "fenced", kill_id="k2", fences={}, killed={"parts": True, "notes": False}
    )
    assert kinds(with_events(fenced)) == ["kill not in force"]


def test_a_kill_that_says_nothing_for_long_is_found() -> None:
    """Whatever it waits for, it says so; then it may take its time."""
    asked = at(6, "operator2", "kill asked", name="parts")
    late = at(9.5, "operator2", "kill acknowledged", name="parts", names=[], kill_id="x",
              complete=False)  # fmt: skip
    assert kinds(with_events(asked, late)) == ["kill slow"]
    said = at(6.6, "operator2", "kill said", name="parts", waits="session 7 (psql)")
    assert kinds(with_events(asked, said, late)) == []


def test_a_line_of_the_log_that_begins_elsewhere_is_found() -> None:
    """A change that nobody logged lies between two lines."""
    base = good()
    gap = change("freeze", 8, 8000, 8000)
    assert kinds(replace(base, changes=[*base.changes, gap])) == ["log broken"]


def test_a_build_that_comes_back_is_found() -> None:
    """A straggler's reconnect took the path's build back."""
    builds = [
        at(second, "driver", "build seen", name="parts", path="concurrent", build=build)
        for second, build in ((3, "1"), (4, "2"), (6, "2"), (7, "3"))
    ]
    assert kinds(with_events(*builds)) == []
    back = at(7.5, "driver", "build seen", name="parts", path="concurrent", build="2")
    assert kinds(with_events(*builds, back)) == ["build taken back"]
