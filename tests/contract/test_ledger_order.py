"""Places of jobs among those of their key: the same on every ledger."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.errors import IllegalTransition, UnknownJob
from rollout.jobs.claims import JobState
from rollout.jobs.order import NEVER, InFront, OnFailure, Place, gives_up
from rollout.jobs.ports import Ledger, Lost
from rollout.routing.decision import Reason
from tests.builders import NAME, NOW, filing
from tests.contract.conftest import LedgerCase
from tests.contract.ledger_acts import C, L, claim, commit, declared, started
from tests.contract.test_ledger_held_up import on_postgresql, session, waiting_sessions
from tests.waiting import wait_until

HOLD, SKIP = OnFailure.HOLD, OnFailure.SKIP
KEY = "customer 17"


def place(job_id: str, key: str = KEY, on_failure: OnFailure = HOLD) -> Place:
    """A job's place."""
    return Place(NAME, key, job_id, on_failure)


def submit(
    ledger: Ledger, *job_ids: str, key: str = KEY, on_failure: OnFailure = HOLD, **more: Any
) -> None:
    """File jobs of one key and take their places."""
    ledger.file([filing(job_id, C, key=key, **more) for job_id in job_ids])
    ledger.line_up([place(job_id, key, on_failure) for job_id in job_ids])


def behind(ledger: Ledger, job_id: str, key: str = KEY) -> str | None:
    """Who is in front of a job that is delivered now."""
    return ledger.stands_behind(place(job_id, key), NOW)


def done(ledger: Ledger, job_id: str) -> None:
    """Claim a job and commit it."""
    granted = claim(ledger, job_id)
    commit(ledger, granted)  # type: ignore[arg-type]  # it is granted


def test_jobs_of_a_key_start_one_after_the_other(ledger: Ledger) -> None:
    """The second waits until the first has its outcome, and is then handed out on its path."""
    declared(ledger)
    submit(ledger, "one", "two", "three")
    submit(ledger, "other", key="customer 18")
    assert behind(ledger, "two") == "one"
    assert behind(ledger, "one") is None
    assert behind(ledger, "other", "customer 18") is None
    assert ledger.next_of(NAME, KEY, NOW) is None, "the first has not ended"
    done(ledger, "one")
    later = NOW + timedelta(seconds=5)
    handed = ledger.next_of(NAME, KEY, later)
    assert handed is not None
    assert (handed.job_id, handed.path, handed.name) == ("two", C, NAME)
    assert handed.envelope == ledger.job(NAME, "two").envelope
    assert ledger.job(NAME, "two").sent_at == later
    assert behind(ledger, "two") is None
    assert ledger.next_of(NAME, KEY, NOW) is None, "it was handed out once"
    assert behind(ledger, "three") == "two"


def test_one_that_waits_is_not_lost_and_keeps_its_own_time(ledger: Ledger) -> None:
    """No queue holds its message: the sweep leaves it alone until it was handed out."""
    declared(ledger)
    due = NOW + timedelta(minutes=1)
    submit(ledger, "one")
    submit(ledger, "two", not_before=due)
    assert behind(ledger, "two") == "one"
    assert behind(ledger, "two") == "one", "a second message of it changes nothing"
    assert ledger.job(NAME, "two").not_before == NEVER
    lost = Lost(NAME, C, NOW + timedelta(days=1))
    assert ledger.count_lost(lost) == 1, "the first one only"
    done(ledger, "one")
    assert ledger.next_of(NAME, KEY, NOW) is not None
    assert ledger.job(NAME, "two").not_before == due
    assert ledger.count_lost(lost) == 1


@pytest.mark.parametrize("on_failure", OnFailure)
def test_a_failed_job_holds_its_key_or_lets_it_go(ledger: Ledger, on_failure: OnFailure) -> None:
    """As declared; a retry by hand of one that holds goes first."""
    declared(ledger)
    submit(ledger, "one", "two", on_failure=on_failure)
    assert behind(ledger, "two") == "one"
    granted = claim(ledger, "one")
    ledger.fail(NAME, "one", granted.attempt, Reason.FAILED, "broke", NOW)  # type: ignore[union-attr]
    handed = ledger.next_of(NAME, KEY, NOW)
    if on_failure is SKIP:
        assert handed is not None
        assert handed.job_id == "two"
        return
    assert handed is None
    assert ledger.keys_stuck(10).keys == (), "a key that a failure holds is not stuck"
    assert ledger.in_front_of(NAME, "two") == InFront("one", JobState.FAILED, 1)
    ledger.reopen(NAME, "one", NOW)
    assert ledger.stands_behind(place("one"), NOW) is None
    assert behind(ledger, "two") == "one"


def test_letting_go_of_a_failed_job(ledger: Ledger) -> None:
    """The next one comes; a job that holds nothing, or has not failed, is refused."""
    declared(ledger)
    submit(ledger, "one", "two")
    assert behind(ledger, "two") == "one"
    with pytest.raises(IllegalTransition, match="only a failed job holds its key"):
        ledger.let_go(NAME, "one", "ada", "cannot be mended", NOW)
    with pytest.raises(UnknownJob):
        ledger.let_go(NAME, "none", "ada", "why", NOW)
    granted = claim(ledger, "one")
    ledger.fail(NAME, "one", granted.attempt, Reason.FAILED, "broke", NOW)  # type: ignore[union-attr]
    assert ledger.let_go(NAME, "one", "ada", "cannot be mended", NOW) == KEY
    assert "cannot be mended" in ledger.job(NAME, "one").way
    handed = ledger.next_of(NAME, KEY, NOW)
    assert handed is not None
    assert handed.job_id == "two"
    with pytest.raises(IllegalTransition, match="holds no key"):
        ledger.let_go(NAME, "one", "ada", "again", NOW)
    ledger.reopen(NAME, "one", NOW)
    assert behind(ledger, "one") == "two", "retried all the same, it stands behind the others"


@on_postgresql
def test_a_skip_beside_a_retry_leaves_the_job_its_place(ledger_case: LedgerCase) -> None:
    """The retry was first and is not committed yet: the skip waits for it, and is refused then."""
    ledger = ledger_case.ledger
    declared(ledger)
    submit(ledger, "one", "two")
    granted = claim(ledger, "one")
    ledger.fail(NAME, "one", granted.attempt, Reason.FAILED, "broke", NOW)  # type: ignore[union-attr]
    with ThreadPoolExecutor(1) as pool, session(ledger_case) as retry:
        retry.execute(text("UPDATE job SET state = 'accepted' WHERE job_id = 'one'"))
        skip = pool.submit(ledger.let_go, NAME, "one", "ada", "cannot be mended", NOW)
        wait_until(lambda: waiting_sessions(ledger_case) == 1, "the skip waits for the retry")
        retry.commit()
        with pytest.raises(IllegalTransition, match="only a failed job holds its key"):
            skip.result(20)
    assert behind(ledger, "two") == "one"


def test_whatever_ends_or_moves_the_first(ledger: Ledger) -> None:
    """Fallback and retry keep its place, a revocation gives it up."""
    declared(ledger)
    submit(ledger, "one", "two", "three")
    assert behind(ledger, "two") == "one"
    granted = claim(ledger, "one")
    ledger.hand_over(NAME, "one", granted.attempt, Reason.FAILED, "broke", NOW)  # type: ignore[union-attr]
    assert behind(ledger, "one") is None, "legacy goes on with it"
    assert behind(ledger, "two") == "one"
    ledger.call_off(NAME, "one", None, JobState.CANCELLED, "revoked", NOW)
    ledger.call_off(NAME, "two", None, JobState.CANCELLED, "revoked while it waited", NOW)
    assert behind(ledger, "three") is None


def test_a_kill_moves_one_that_waits_and_it_waits_again(ledger: Ledger) -> None:
    """Legacy keeps the order, too; what is handed out later goes to legacy."""
    declared(ledger)
    submit(ledger, "one", "two")
    assert behind(ledger, "one") is None
    started_one = claim(ledger, "one")
    assert behind(ledger, "two") == "one"
    moved = ledger.recall(NAME, running=False, reason=Reason.KILLED, now=NOW, limit=10)
    assert [one.job_id for one in moved] == ["two"]
    assert behind(ledger, "two") == "one"
    commit(ledger, started_one)  # type: ignore[arg-type]
    handed = ledger.next_of(NAME, KEY, NOW)
    assert handed is not None
    assert (handed.job_id, handed.path) == ("two", L)


def test_what_a_dead_worker_left_undone_is_found(ledger: Ledger) -> None:
    """A first job that has its outcome, and a first one that waits to be sent."""
    declared(ledger)
    submit(ledger, "one", "two")
    assert behind(ledger, "two") == "one"
    assert ledger.keys_stuck(10).keys == ()
    done(ledger, "one")
    assert ledger.keys_stuck(10).keys == ((NAME, KEY),)
    assert ledger.next_of(NAME, KEY, NOW) is not None
    assert ledger.keys_stuck(10).keys == ()


def test_the_walk_over_all_places_ends(ledger: Ledger) -> None:
    """A slice at a time, and it finds a job that somebody called off."""
    declared(ledger)
    for number in range(7):
        submit(ledger, f"{number}-a", f"{number}-b", key=f"k{number}")
    assert behind(ledger, "5-b", "k5") == "5-a"
    ledger.call_off(NAME, "5-a", None, JobState.CANCELLED, "revoked", NOW)
    found: set[tuple[str, str]] = set()
    after = 0
    for _ in range(5):
        stuck = ledger.keys_stuck(4, after)
        found |= set(stuck.keys)
        after = stuck.after
        if after == 0:
            break
    assert after == 0
    assert found == {(NAME, "k5")}


def test_a_job_without_a_place_takes_the_last(ledger: Ledger) -> None:
    """Of an older release, say; one that is not filed is filed first."""
    declared(ledger)
    submit(ledger, "one")
    with pytest.raises(UnknownJob):
        behind(ledger, "two")
    ledger.file([filing("two", C, key=KEY)])
    assert behind(ledger, "two") == "one"
    assert ledger.in_front_of(NAME, "one") is None
    assert ledger.in_front_of(NAME, "nobody") is None


def test_a_message_that_comes_again_takes_no_place(ledger: Ledger) -> None:
    """The job has its outcome; a failure that was let go must not hold its key anew."""
    declared(ledger)
    submit(ledger, "one", "two")
    ledger.fail(NAME, "one", None, Reason.FAILED, "broke", NOW)
    ledger.let_go(NAME, "one", "ada", "why", NOW)
    assert behind(ledger, "one") is None
    assert behind(ledger, "two") is None
    done(ledger, "two")
    assert behind(ledger, "two") is None
    assert ledger.next_of(NAME, KEY, NOW) is None


def test_a_row_that_has_gone_holds_nobody(ledger: Ledger) -> None:
    """Pruned, or lost in a failover: its place is given up."""
    declared(ledger)
    started(ledger, "one", L)
    ledger.line_up([place("one"), place("gone")])
    submit(ledger, "two")
    assert behind(ledger, "two") == "one"
    ledger.fail(NAME, "one", None, Reason.FAILED, "broke", NOW)
    ledger.let_go(NAME, "one", "ada", "why", NOW)
    assert behind(ledger, "two") is None


@pytest.mark.parametrize("on_failure", OnFailure)
@pytest.mark.parametrize("state", JobState)
def test_every_state_keeps_or_gives_up_its_place_as_the_rule_says(
    ledger: Ledger, state: JobState, on_failure: OnFailure
) -> None:
    """What is stuck is asked of the database in its own words: they say the same."""
    declared(ledger)
    submit(ledger, "one", "two", on_failure=on_failure)
    match state:
        case JobState.STARTED:
            claim(ledger, "one")
        case JobState.COMMITTED:
            done(ledger, "one")
        case JobState.FAILED:
            ledger.fail(NAME, "one", None, Reason.FAILED, "broke", NOW)
        case JobState.CANCELLED | JobState.EXPIRED:
            ledger.call_off(NAME, "one", None, state, "why", NOW)
    assert ledger.job(NAME, "one").state is state
    assert (ledger.keys_stuck(5).keys == ((NAME, KEY),)) is gives_up(state, on_failure)
    assert ledger.next_of(NAME, KEY, NOW) is None, "nobody waits to be sent"
    assert (ledger.in_front_of(NAME, "two") is None) is gives_up(state, on_failure)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    picks=st.lists(st.integers(0, 100), min_size=60, max_size=60),
)
def test_in_whatever_order_they_are_delivered_they_start_in_order(
    keys: Sequence[str], picks: Sequence[int]
) -> None:
    """Each delivery waits or runs to its end; nobody overtakes and nobody is forgotten."""
    ledger = MemoryLedger()
    declared(ledger)
    jobs = [f"{number:02d}" for number in range(len(keys))]
    for job_id, key in zip(jobs, keys, strict=True):
        submit(ledger, job_id, key=key)
    messages, order = list(jobs), []
    for pick in picks:
        if not messages:
            break
        job_id = messages.pop(pick % len(messages))
        key = keys[int(job_id)]
        if behind(ledger, job_id, key) is None:
            order.append(job_id)
            done(ledger, job_id)
            handed = ledger.next_of(NAME, key, NOW)
            if handed is not None:
                messages.append(handed.job_id)
    assert not messages
    for key in set(keys):
        of_key = [job_id for job_id in jobs if keys[int(job_id)] == key]
        assert [job_id for job_id in order if keys[int(job_id)] == key] == of_key
