"""The controller's trials on every ledger: lease, windows, totals, decisions."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import insert, text

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.outcomes import OUTCOME
from rollout.adapters.sql.tables import job
from rollout.errors import (
    IllegalTransition,
    LeaseLost,
    NotShadowable,
    StaleRevision,
    UnknownDecision,
)
from rollout.evidence.thresholds import Thresholds
from rollout.jobs.claims import Claim, JobState
from rollout.pilot.outcome import outcome_of
from rollout.pilot.ports import NewDecision, Recovery
from rollout.pilot.trial import Trial, trial_from
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policy
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import Event, Stage
from tests.builders import NAME, NOW, record
from tests.contract.conftest import ClosingLedger, LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import claim, commit, declared

TTL = timedelta(seconds=6)
POLICY = Policy()
SECOND = timedelta(seconds=1)


@pytest.fixture
def token(ledger: ClosingLedger) -> int:
    """A leadership."""
    declared(ledger)
    got = ledger.take_lease("one", NOW, TTL)
    assert got is not None
    return got


@pytest.fixture
def trial(ledger: ClosingLedger, token: int) -> Trial:
    """A stored trial with thresholds of about a second."""
    made = begin(ledger.control(NAME), (None, None), POLICY, Thresholds(350, 365), NOW)
    ledger.save_trials(token, [made])
    return replace(made, version=1)


def row(number: int, **values: Any) -> dict[str, Any]:
    """A finished job of the concurrent path, admitted a second after now."""
    return {
        "job_id": f"job-{number}",
        "name": NAME,
        "key": str(number),
        "state": JobState.COMMITTED,
        "assigned_path": JobPath.CONCURRENT,
        "path": JobPath.CONCURRENT,
        "reason": Reason.IN_SCOPE,
        "revision": 9,
        "attempt": 1,
        "fence_revision": 0,
        "deaths": 0,
        "accepted_at": NOW + SECOND,
        "sent_at": NOW,
        "started_at": NOW + SECOND,
        "finished_at": NOW + 2 * SECOND,
        "fallback_reason": None,
        "moved_reason": None,
        "folded": False,
        "drill": None,
        "way": "",
        "envelope": "{}",
        **values,
    }


def put(ledger: ClosingLedger, *rows: dict[str, Any]) -> None:
    """File finished jobs."""
    if isinstance(ledger, SqlLedger):
        with ledger.database.write() as connection:
            connection.execute(insert(job), list(rows))
        return
    assert isinstance(ledger, MemoryLedger)
    with ledger._rows as memory:
        for one in rows:
            memory.put(record(**{key: one[key] for key in one if key != "folded"}))


LEGACY = {
    "assigned_path": JobPath.LEGACY,
    "path": JobPath.LEGACY,
    "reason": Reason.OUT_OF_SCOPE,
}


# The lease -------------------------------------------------------------------------------------


def test_one_leads_and_a_standby_takes_over(ledger: ClosingLedger) -> None:
    """A second controller leads only when the first one's time is over, under a new token."""
    assert ledger.take_lease("one", NOW, TTL) == 1
    assert ledger.take_lease("two", NOW + 5 * SECOND, TTL) is None
    assert ledger.take_lease("one", NOW + 5 * SECOND, TTL) == 1
    assert ledger.take_lease("two", NOW + 12 * SECOND, TTL) == 2
    assert ledger.take_lease("one", NOW + 13 * SECOND, TTL) is None
    ledger.drop_lease(2)
    assert ledger.take_lease("one", NOW + 13 * SECOND, TTL) == 3


def test_an_old_leader_writes_nothing(ledger: ClosingLedger, trial: Trial, token: int) -> None:
    """What it still writes after another leads is refused, evidence and decisions alike."""
    assert ledger.take_lease("two", NOW + 10 * SECOND, TTL) == token + 1
    with pytest.raises(LeaseLost):
        ledger.save_trials(token, [trial])
    with pytest.raises(LeaseLost):
        ledger.decide(token, decision(ledger), trial)
    assert ledger.decisions(NAME, 10) == []


def test_of_two_writers_one_is_refused(ledger: ClosingLedger, trial: Trial, token: int) -> None:
    """A trial that somebody else has written since is not overwritten."""
    ledger.save_trials(token, [trial])
    with pytest.raises(LeaseLost):
        ledger.save_trials(token, [trial])


def test_trials_are_written_all_or_none(ledger: ClosingLedger, trial: Trial, token: int) -> None:
    """One that somebody else has written, or begun, keeps those beside it from being written."""
    other = replace(trial, name="other", version=0)
    ledger.save_trials(token, [trial, other])
    for stale in (trial, replace(trial, version=0), replace(other, name="third", version=5)):
        with pytest.raises(LeaseLost):
            ledger.save_trials(token, [replace(other, version=1, looks=3), stale])
    stored = {one.columns["name"]: one for one in ledger.trial_rows()}
    assert {name: one.columns["version"] for name, one in stored.items()} == {NAME: 2, "other": 1}
    assert trial_from(stored["other"].columns, stored["other"].payload, POLICY).looks == 0


def test_a_trial_comes_back_as_it_was(ledger: ClosingLedger, trial: Trial) -> None:
    """Through the database and its JSON."""
    (stored,) = ledger.trial_rows()
    assert trial_from(stored.columns, stored.payload, POLICY) == trial


# Windows ---------------------------------------------------------------------------------------


def every_job() -> Iterator[dict[str, Any]]:
    """All combinations of what a job's outcome depends on."""
    reasons = [None, *Reason]
    for number, (assigned, path, state, fallback, moved) in enumerate(
        product(JobPath, JobPath, JobState, [None, Reason.FAILED], reasons)
    ):
        yield row(
            number,
            assigned_path=assigned,
            path=path,
            state=state,
            fallback_reason=fallback,
            moved_reason=moved,
        )


@on_databases
def test_outcomes_are_the_same_in_sql(ledger_case: LedgerCase) -> None:
    """The database judges each job as `outcome_of` does."""
    ledger = ledger_case.sql
    jobs = [*every_job(), row(9999, finished_at=NOW)]
    put(ledger, *jobs)
    with ledger.database.read() as connection:
        found = dict(
            connection.execute(job.select().with_only_columns(job.c.job_id, OUTCOME)).all()
        )
    for one in jobs:
        expected = outcome_of(
            one["assigned_path"],
            one["path"],
            one["state"],
            one["fallback_reason"],
            one["moved_reason"],
            backwards=one["finished_at"] < one["accepted_at"],
        )
        assert found[one["job_id"]] == expected, one


def test_a_window_counts_what_was_admitted_in_it(ledger: ClosingLedger, trial: Trial) -> None:
    """By assigned path: jobs, failures, slow ones; what tells nothing apart."""
    slow = {"finished_at": NOW + 4 * SECOND}
    put(
        ledger,
        row(1),
        row(2, **slow),
        row(3, path=JobPath.LEGACY, fallback_reason=Reason.FAILED, moved_reason=Reason.FAILED),
        row(4, path=JobPath.LEGACY, fallback_reason=Reason.FAILED, state=JobState.FAILED),
        row(5, path=JobPath.LEGACY, moved_reason=Reason.KILLED),
        row(6, **LEGACY),
        row(7, **LEGACY, state=JobState.FAILED),
        row(8, reason=Reason.UNSUPERVISED),
        row(9, revision=0),
        row(10, drill="d1"),
        row(11, accepted_at=NOW - SECOND),
        row(12, state=JobState.STARTED, finished_at=None),
    )
    new, old = sorted(ledger.windows(NOW + 60 * SECOND, 100), key=lambda one: one.path)
    assert (new.path, new.admitted, new.jobs, new.failed) == (JobPath.CONCURRENT, 6, 4, 1)
    assert (new.both_failed, new.unjudged) == (1, 1)
    assert (new.slow_median, new.slow_tail) == (3, 3)  # three seconds, still running, failed
    assert (old.admitted, old.jobs, old.failed, old.slow_median) == (2, 2, 1, 1)


def test_a_window_waits_until_it_is_old_enough(ledger: ClosingLedger, trial: Trial) -> None:
    """Its end must be as old as legacy's 95th percentile (here at the least of two seconds)."""
    put(ledger, row(1))
    end = NOW + timedelta(seconds=trial.window_s)
    assert ledger.windows(end + SECOND, 100) == []
    (one,) = ledger.windows(end + 3 * SECOND, 100)
    assert (one.begin, one.end) == (NOW, end)


def test_a_window_is_taken_in_once(ledger: ClosingLedger, trial: Trial, token: int) -> None:
    """What a trial has scored does not come again, however often the controller asks."""
    put(ledger, row(1))
    (one,) = ledger.windows(NOW + 60 * SECOND, 100)
    ledger.save_trials(token, [replace(trial, scored_to=one.end)])
    assert ledger.windows(NOW + 60 * SECOND, 100) == []


def test_jobs_of_a_drill_are_in_no_window(ledger: ClosingLedger, trial: Trial) -> None:
    """Neither while its span lasts nor when it has ended."""
    put(ledger, row(1), row(2, accepted_at=NOW + 5 * SECOND, finished_at=NOW + 6 * SECOND))
    ledger.begin_span(NAME, "d1", NOW, NOW + 60 * SECOND)
    assert ledger.windows(NOW + 60 * SECOND, 100) == []
    ledger.end_span("d1", NOW + 2 * SECOND)
    (one,) = ledger.windows(NOW + 60 * SECOND, 100)
    assert one.jobs == 1


# Totals ----------------------------------------------------------------------------------------


def test_the_fold_counts_each_job_once(ledger: ClosingLedger, trial: Trial) -> None:
    """Into the hour of its admission and legacy's profile, together with the flag."""
    late = NOW + timedelta(hours=2)
    put(
        ledger,
        row(1),
        row(2, path=JobPath.LEGACY, fallback_reason=Reason.FAILED, moved_reason=Reason.FAILED),
        row(3, **LEGACY, finished_at=NOW + 4 * SECOND),
        row(4, accepted_at=late, finished_at=late + SECOND),
        row(5, drill="d1"),
    )
    assert ledger.fold(3) + ledger.fold(3) == 5
    assert ledger.fold(3) == 0
    hours = {(one.hour, one.path): one for one in ledger.hours(NAME, 1)}
    first = hours[0, JobPath.CONCURRENT]
    assert (first.jobs, first.failed, first.slow_median) == (2, 1, 1)
    assert hours[0, JobPath.LEGACY].slow_median == 1
    assert hours[2, JobPath.CONCURRENT].jobs == 1
    profile = ledger.profiles()[NAME]
    assert (profile.today.total, profile.failure_rate) == (1, 0.0)
    assert profile.success_at == (NOW + 4 * SECOND).timestamp()


@on_databases
def test_a_fold_that_is_lost_counts_nothing(
    ledger: ClosingLedger, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flag and totals are one transaction: what fails halfway is folded whole the next time."""
    put(ledger, row(1), row(2, **LEGACY))
    from rollout.adapters.sql import pilot_fold

    def broken(*given: object) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(pilot_fold, "_add_hours", broken)
        with pytest.raises(RuntimeError):
            ledger.fold(10)
    assert ledger.fold(10) == 2
    assert {one.path: one.jobs for one in ledger.hours(NAME, 1)} == dict.fromkeys(JobPath, 1)


def test_a_failure_retried_by_hand_is_not_counted_again(
    ledger: ClosingLedger, trial: Trial
) -> None:
    """It was counted when it failed."""
    put(ledger, row(1, **LEGACY, state=JobState.FAILED))
    ledger.fold(10)
    ledger.reopen(NAME, "job-1", NOW + 5 * SECOND)
    held = claim(ledger, delivered=JobPath.LEGACY, now=NOW + 6 * SECOND)
    assert isinstance(held, Claim)
    commit(ledger, held, now=NOW + 7 * SECOND)
    ledger.fold(10)
    (one,) = ledger.hours(NAME, 1)
    assert (one.jobs, one.failed) == (1, 1)


def test_open_jobs_that_are_slow_already_count(ledger: ClosingLedger, trial: Trial) -> None:
    """A job that never finishes cannot make its path look faster."""
    put(
        ledger,
        row(1, state=JobState.STARTED, finished_at=None),
        row(2, state=JobState.STARTED, finished_at=None, accepted_at=NOW + 60 * SECOND),
    )
    (one,) = ledger.open_slow(trial, NOW + 60 * SECOND)
    assert (one.path, one.slow_median, one.slow_tail) == (JobPath.CONCURRENT, 1, 1)


def test_key_spread_is_one_where_each_job_has_its_own(ledger: ClosingLedger) -> None:
    """And the size of the groups where jobs share keys."""
    declared(ledger)
    put(ledger, *(row(number) for number in range(10)))
    assert ledger.key_spread(NAME, 100).design_effect == 1.0
    put(ledger, *(row(number, key="same") for number in range(100, 110)))
    spread = ledger.key_spread(NAME, 100)
    assert (spread.jobs, spread.keys) == (20, 11)
    assert spread.design_effect == pytest.approx((10 * 10 + 10) / 20)


# Decisions -------------------------------------------------------------------------------------


def decision(ledger: ClosingLedger, **values: Any) -> NewDecision:
    """A decision to double."""
    given = {
        "name": NAME,
        "at": NOW,
        "window": "1/look/1",
        "action": "advance",
        "sentence": "every proof passed",
        "inputs": "{}",
        "answer": "{}",
        "event": Event.DOUBLE,
        "to_bp": 200,
        "seen_revision": ledger.control(NAME).revision,
    }
    return NewDecision(**{**given, **values})


def test_a_decision_is_one_transaction(ledger: ClosingLedger, trial: Trial, token: int) -> None:
    """Control state, log of changes, log of decisions and trial."""
    after = ledger.decide(token, decision(ledger), replace(trial, step=2))
    assert after is not None
    assert after.scope_bp == 200
    assert ledger.control(NAME) == after
    (made,) = ledger.decisions(NAME, 10)
    assert ledger.decision(made.decision_id) == made
    change = ledger.transitions(NAME, 1)[0]
    assert (change.actor, change.reason) == ("controller", "every proof passed")
    assert ledger.trial_rows()[0].columns["step"] == 2


def test_a_notice_is_written_with_its_decision(
    ledger: ClosingLedger, trial: Trial, token: int
) -> None:
    """Once, in one transaction; a decision that is refused leaves none."""
    with pytest.raises(StaleRevision):
        ledger.decide(token, decision(ledger, notice=True, seen_revision=1), trial)
    assert ledger.open_notices() == []
    assert ledger.decide(token, decision(ledger, notice=True), trial) is not None
    assert ledger.decide(token, decision(ledger, notice=True), trial) is None
    (one,) = ledger.open_notices()
    assert (one.name, one.sentence, one.tries) == (NAME, "every proof passed", 0)
    due = one.at
    taken = ledger.take_notice(due, due + 10 * SECOND)
    assert taken == replace(one, tries=1)
    assert ledger.take_notice(due + 9 * SECOND, due + 20 * SECOND) is None
    ledger.note_told(one.notice_id, ["b", "a"], due + 15 * SECOND, due)
    assert ledger.take_notice(due + 14 * SECOND, due + 20 * SECOND) is None
    again = ledger.take_notice(due + 15 * SECOND, due + 20 * SECOND)
    assert again == replace(one, tries=2, told=frozenset("ab"))
    ledger.note_told(one.notice_id, ["a", "b", "c"], None, due)
    assert ledger.open_notices() == []
    assert ledger.take_notice(due + timedelta(days=1), due + timedelta(days=2)) is None


def test_a_window_is_decided_once(ledger: ClosingLedger, trial: Trial, token: int) -> None:
    """The second answer changes nothing."""
    assert ledger.decide(token, decision(ledger), trial) is not None
    again = decision(ledger)
    assert ledger.decide(token, again, replace(trial, version=2)) is None
    assert ledger.control(NAME).scope_bp == 200


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"seen_revision": 1}, StaleRevision),
        ({"event": Event.GRADUATE}, IllegalTransition),
    ],
)
def test_a_refused_decision_leaves_nothing(
    ledger: ClosingLedger, trial: Trial, token: int, values: dict[str, Any], error: type[Exception]
) -> None:
    """Somebody changed the sub-pipeline meanwhile, or the stage table says no."""
    with pytest.raises(error):
        ledger.decide(token, decision(ledger, **values), trial)
    assert ledger.decisions(NAME, 10) == []
    assert ledger.trial_rows()[0].columns["version"] == 1


@on_databases
def test_the_log_of_decisions_is_append_only(
    ledger_case: LedgerCase, trial: Trial, token: int
) -> None:
    """For every client of the database."""
    ledger = ledger_case.sql
    ledger.decide(token, decision(ledger), trial)
    for statement in ("UPDATE decision SET sentence = 'x'", "DELETE FROM decision"):
        with (
            pytest.raises(Exception, match="append-only"),
            ledger.database.engine.begin() as connection,
        ):
            connection.execute(text(statement))


def test_an_unknown_decision_is_said(ledger: ClosingLedger) -> None:
    """Not an empty answer."""
    with pytest.raises(UnknownDecision):
        ledger.decision(77)


# Builds and recoveries -------------------------------------------------------------------------


def test_a_build_is_known_until_another_is_announced(ledger: ClosingLedger) -> None:
    """Each path has its own."""
    declared(ledger, Effects.NONE)
    assert ledger.builds()[NAME] == (None, None)
    ledger.announce(NAME, JobPath.CONCURRENT, "v1")
    ledger.announce(NAME, JobPath.CONCURRENT, "v1")
    assert ledger.builds()[NAME] == (None, "v1")


def test_a_straggler_of_an_older_build_changes_nothing(ledger_case: LedgerCase) -> None:
    """Two releases that restart in turn, each told again and again: the newer one stays."""
    ledger, other = ledger_case.ledger, ledger_case.another()
    declared(ledger, Effects.NONE)
    for build in ("v1", "v2", "v1", "v2", "v1"):
        for client in (ledger, other):
            client.announce(NAME, JobPath.CONCURRENT, build)
    assert ledger.builds()[NAME] == (None, "v2")
    ledger.announce(NAME, JobPath.LEGACY, "v1")
    assert ledger.builds()[NAME] == ("v1", "v2")
    ledger.announce(NAME, JobPath.CONCURRENT, "v3" * 100)
    assert ledger.builds()[NAME][1] == ("v3" * 100)[:100]
    if other is not ledger:
        other.close()


def test_every_build_is_remembered(ledger: ClosingLedger) -> None:
    """The newest first, told again without a new beginning, by sub-pipeline."""
    declared(ledger, Effects.NONE)
    for build in ("v1", "v2", "v1"):
        ledger.announce(NAME, JobPath.CONCURRENT, build)
    ledger.announce(NAME, JobPath.LEGACY, "v1")
    found = ledger.build_records(NAME)
    assert [(one.path, one.build) for one in found if one.path is JobPath.CONCURRENT] == [
        (JobPath.CONCURRENT, "v2"),
        (JobPath.CONCURRENT, "v1"),
    ]
    assert len(found) == 3
    assert all(one.name == NAME and one.first_at <= one.last_at for one in found)
    assert list(ledger.build_records(None)) == list(found)
    assert list(ledger.build_records("payments")) == []


@on_databases
def test_a_release_that_was_taken_back_is_followed(ledger_case: LedgerCase) -> None:
    """When nobody has spoken of the newer build for minutes, the older one counts again."""
    ledger = ledger_case.sql
    declared(ledger, Effects.NONE)
    for build in ("v1", "v2"):
        ledger.announce(NAME, JobPath.CONCURRENT, build)
    assert ledger.builds_running() == [
        (NAME, JobPath.CONCURRENT, "v1"),
        (NAME, JobPath.CONCURRENT, "v2"),
    ]
    with ledger.database.write() as connection:
        connection.execute(
            text("UPDATE build_seen SET last_at = last_at - :us"), {"us": 11 * 60 * 1_000_000}
        )
    assert ledger.builds_running() == []
    ledger.announce(NAME, JobPath.CONCURRENT, "v1")
    assert ledger.builds()[NAME] == (None, "v1")
    ledger.announce(NAME, JobPath.CONCURRENT, "v2")
    assert ledger.builds()[NAME] == (None, "v1")


def test_recoveries_come_back_in_order(ledger: ClosingLedger) -> None:
    """Of one name or of all, from a time on."""
    declared(ledger)

    def healed(name: str, at: datetime) -> Recovery:
        return Recovery(name, at, "drill", JobPath.CONCURRENT, "raise", at, 4.0, 60.0, pair_id="p")

    late, early = healed(NAME, NOW + SECOND), healed("bills", NOW)
    for one in (late, early):
        ledger.add_recovery(one)
    assert ledger.recoveries(None, NOW) == [early, late]
    assert ledger.recoveries(NAME, NOW) == [late]
    assert ledger.recoveries(None, NOW + 2 * SECOND) == []


def test_stage_words_fit_the_columns() -> None:
    """Longest words of what is stored as text."""
    assert max(len(stage) for stage in Stage) <= 16


@pytest.mark.parametrize("effects", [Effects.IDEMPOTENT, Effects.UNSAFE])
def test_no_door_puts_paths_that_touch_the_world_into_shadow(
    ledger: ClosingLedger, token: int, effects: Effects
) -> None:
    """Neither a person's change nor a decision of the controller: a cohort's entry, say."""
    before = ledger.ensure("risky", effects, 500, NOW)
    with pytest.raises(NotShadowable):
        ledger.change("risky", Event.SHADOW, "ada", "", NOW)
    made = begin(before, (None, None), POLICY, None, NOW)
    ledger.save_trials(token, [made])
    entry = NewDecision(
        "risky", NOW, "1/enter", "advance", "enters", "{}", "{}", Event.SHADOW, None, 1
    )
    with pytest.raises(NotShadowable):
        ledger.decide(token, entry, replace(made, version=1))
    assert ledger.control("risky") == before
    assert ledger.decisions("risky", 9) == []
