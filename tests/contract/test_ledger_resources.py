"""Resources that so many jobs use at once: the same on every ledger."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations
from threading import Barrier, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.jobs.claims import Claim, JobState, Refusal
from rollout.jobs.order import NEVER
from rollout.jobs.ports import Ledger, Lost, Refused
from rollout.jobs.resources import CALLED_FOR, Need
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, filing
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import C, L, commit, declared

STORE = "warehouse"
OTHER = "bills"


def store(weight: int = 1, capacity: int = 2) -> Need:
    """What a job takes of the warehouse."""
    return Need(STORE, weight, capacity)


def take(
    ledger: Ledger,
    job_id: str,
    *needs: Need,
    path: JobPath = C,
    name: str = NAME,
    after: timedelta = timedelta(0),
) -> Claim | Refused:
    """File a job, if it is not there, and claim it with what it needs."""
    ledger.file([filing(job_id, path, name=name)])
    now = NOW + after
    return ledger.claim(
        name, job_id, path, Effects.COMMIT, "w1", now, SILENT_AFTER, needs or (store(),)
    )


def held(ledger: Ledger, job_id: str, *needs: Need, name: str = NAME) -> Claim:
    """The same, granted."""
    got = take(ledger, job_id, *needs, name=name)
    assert isinstance(got, Claim)
    return got


def rests(ledger: Ledger, job_id: str, *needs: Need, name: str = NAME, path: JobPath = C) -> bool:
    """The same; whether it was put to rest."""
    got = take(ledger, job_id, *needs, name=name, path=path)
    return isinstance(got, Refused) and got.refusal is Refusal.TAKEN


def called(
    ledger: Ledger, after: timedelta = timedelta(0), *, capacity: int | None = 2
) -> list[str]:
    """Who is called at the warehouse now."""
    return [one.job_id for one in ledger.call_next({STORE: capacity}, NOW + after)]


def line(ledger: Ledger) -> list[tuple[str, bool]]:
    """Jobs at the warehouse, and whether they hold it."""
    return [(use.job_id, use.holds) for use in ledger.resource_uses([STORE], 100)]


def test_no_more_jobs_start_than_there_is_room_for(ledger: Ledger) -> None:
    """Over sub-pipelines; who gives back calls the next, on its path, once."""
    declared(ledger)
    declared(ledger, name=OTHER)
    one = held(ledger, "one")
    held(ledger, "two", name=OTHER)
    assert rests(ledger, "three")
    assert rests(ledger, "four", name=OTHER)
    assert called(ledger) == [], "nobody has given anything back"
    assert line(ledger) == [("one", True), ("two", True), ("three", False), ("four", False)]
    commit(ledger, one)
    later = NOW + timedelta(seconds=5)
    (handed,) = ledger.call_next({STORE: 2}, later)
    assert (handed.job_id, handed.name, handed.path) == ("three", NAME, C)
    assert handed.envelope == ledger.job(NAME, "three").envelope
    assert ledger.job(NAME, "three").sent_at == later
    assert called(ledger) == [], "it was called once"
    assert rests(ledger, "five"), "room is kept for the one that was called"
    assert isinstance(take(ledger, "three"), Claim)
    assert ledger.resources_of(NAME, "three") == []
    assert ledger.resources_of(OTHER, "four") == [STORE]


def test_one_that_rests_is_not_lost(ledger: Ledger) -> None:
    """No queue holds its message: the sweep leaves it alone until it was called."""
    declared(ledger)
    full = held(ledger, "one", store(2))
    assert rests(ledger, "two")
    assert rests(ledger, "two"), "a second message of it changes nothing"
    record = ledger.job(NAME, "two")
    assert (record.state, record.not_before, record.attempt) == (JobState.ACCEPTED, NEVER, 0)
    assert "waits" in record.way
    lost = Lost(NAME, C, NOW + timedelta(days=1))
    assert ledger.count_lost(lost) == 0
    commit(ledger, full)
    assert called(ledger) == ["two"]
    assert ledger.job(NAME, "two").not_before is None
    assert ledger.count_lost(lost) == 1
    assert "called" in ledger.job(NAME, "two").way


@pytest.mark.parametrize("end", ["silent", "handed over", "recalled", "failed"])
def test_one_that_rested_is_found_when_its_next_message_is_lost(ledger: Ledger, end: str) -> None:
    """Another message of it may start it before it is called; from then on it rests no more."""
    declared(ledger)
    full = held(ledger, "one", store(2))
    assert rests(ledger, "two")
    commit(ledger, full)
    two = held(ledger, "two")  # by a message that somebody else had sent
    later = NOW + SILENT_AFTER + timedelta(seconds=1)
    match end:
        case "silent":
            ledger.resend_silent(NAME, SILENT_AFTER, later, 10)
        case "handed over":
            ledger.hand_over(NAME, "two", two.attempt, Reason.FAILED, "boom", later)
        case "recalled":
            ledger.recall(NAME, running=True, reason=Reason.FENCED, now=later, limit=10)
        case "failed":
            ledger.fail(NAME, "two", two.attempt, None, "boom", later)
            ledger.reopen(NAME, "two", later)
    record = ledger.job(NAME, "two")
    assert (record.state, record.path, record.not_before) == (JobState.ACCEPTED, L, None)
    lost = Lost(NAME, L, later + timedelta(days=1))
    assert [one.job_id for one in ledger.resend_lost(lost, later, 10)] == ["two"]


def test_light_jobs_do_not_starve_a_heavy_one(ledger: Ledger) -> None:
    """First come, first served: what came later waits behind it though there is room for it."""
    declared(ledger)
    first, second = held(ledger, "one"), held(ledger, "two")
    assert rests(ledger, "heavy", store(2))
    assert rests(ledger, "light")
    commit(ledger, first)
    assert called(ledger) == []
    assert rests(ledger, "lighter")
    commit(ledger, second)
    assert called(ledger) == ["heavy"]
    heavy = held(ledger, "heavy", store(2))
    assert called(ledger) == []
    commit(ledger, heavy)
    assert called(ledger) == ["light", "lighter"]


def test_one_that_does_not_come_is_passed_by(ledger: Ledger) -> None:
    """Its queue may have no worker; it keeps its place for when it comes."""
    declared(ledger)
    first = held(ledger, "one", store(2))
    assert rests(ledger, "sleepy", store(2))
    assert rests(ledger, "next")
    assert rests(ledger, "last", store(2))
    commit(ledger, first)
    assert called(ledger) == ["sleepy"]
    assert called(ledger, CALLED_FOR) == []
    late = CALLED_FOR + timedelta(seconds=1)
    assert called(ledger, late) == ["next"]
    got = take(ledger, "next", after=late)
    assert isinstance(got, Claim)
    commit(ledger, got)
    assert isinstance(take(ledger, "sleepy", store(2), after=late), Claim), "before the last"


@pytest.mark.parametrize("way", ["fallback", "retry", "fail", "call off", "kill", "silence"])
def test_whatever_ends_an_attempt_gives_back(ledger: Ledger, way: str) -> None:
    """At that very moment, and without being told of resources."""
    declared(ledger)
    one = held(ledger, "one", store(2))
    assert rests(ledger, "two")
    match way:
        case "fallback":
            ledger.hand_over(NAME, "one", one.attempt, Reason.FAILED, "broke", NOW)
        case "retry":
            ledger.release(filing("one", C), one.attempt)
        case "fail":
            ledger.fail(NAME, "one", one.attempt, None, "broke", NOW)
        case "call off":
            ledger.call_off(NAME, "one", None, JobState.CANCELLED, "revoked", NOW)
        case "kill":
            ledger.recall(NAME, running=True, reason=Reason.KILLED, now=NOW, limit=10)
        case "silence":
            later = NOW + SILENT_AFTER + timedelta(seconds=1)
            assert called(ledger) == []
            ledger.resend_silent(NAME, SILENT_AFTER, later, 10)
    assert line(ledger) == [("two", False)]
    assert ledger.lines(10).resources == (STORE,)
    assert called(ledger) == ["two"]
    if way in ("fallback", "retry"):
        assert isinstance(take(ledger, "two"), Claim)
        path = L if way == "fallback" else C
        assert rests(ledger, "one", store(2), path=path), "it has to wait like everybody"
        assert line(ledger) == [("two", True), ("one", False)]


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.EXPIRED, JobState.FAILED])
def test_one_that_ends_while_it_waits_is_in_nobodys_way(ledger: Ledger, state: JobState) -> None:
    """Its place is given up, and cleared away in the walk."""
    declared(ledger)
    one = held(ledger, "one", store(2))
    assert rests(ledger, "two", store(2))
    assert rests(ledger, "three")
    if state is JobState.FAILED:
        ledger.fail(NAME, "two", None, None, "cannot be read", NOW)
    else:
        ledger.call_off(NAME, "two", None, state, "why", NOW)
    commit(ledger, one)
    assert ledger.lines(10).after == 0
    assert line(ledger) == [("three", False)]
    assert called(ledger) == ["three"]


def test_the_walk_over_what_is_stale_ends(ledger: Ledger) -> None:
    """A slice at a time; with nobody left in a line it is not looked at again."""
    declared(ledger)
    one = held(ledger, "0", store(2))
    for number in range(1, 8):
        assert rests(ledger, str(number))
        ledger.call_off(NAME, str(number), None, JobState.CANCELLED, "why", NOW)
    commit(ledger, one)
    after = ledger.lines(3).after
    for _ in range(5):
        if after == 0:
            break
        after = ledger.lines(3, after).after
    assert after == 0
    assert ledger.lines(3).resources == ()


def test_all_that_is_needed_or_nothing(ledger: Ledger) -> None:
    """One that waits for a second resource holds nothing of the first."""
    declared(ledger)
    both = (Need("license", 1, 1), store(1, 1))
    first = held(ledger, "one", store(1, 1))
    assert rests(ledger, "both", *both)
    holders = [use.job_id for use in ledger.resource_uses(None, 100) if use.holds]
    assert holders == ["one"]
    assert ledger.resources_of(NAME, "both") == ["license", STORE]
    assert rests(ledger, "after", Need("license", 1, 1)), "it came later"
    commit(ledger, first)
    assert [one.job_id for one in ledger.call_next({STORE: 1}, NOW)] == ["both"]
    got = held(ledger, "both", *both)
    assert ledger.call_next({STORE: 1, "license": 1}, NOW) == []
    commit(ledger, got)
    assert [one.job_id for one in ledger.call_next({STORE: 1, "license": 1}, NOW)] == ["after"]


def test_one_that_waits_for_two_is_called_when_it_has_both(ledger: Ledger) -> None:
    """Whichever is given back last."""
    declared(ledger)
    licence, room = Need("license", 1, 1), store(1, 1)
    first, second = held(ledger, "one", room), held(ledger, "two", licence)
    assert rests(ledger, "both", licence, room)
    commit(ledger, first)
    assert ledger.call_next({STORE: 1}, NOW) == []
    commit(ledger, second)
    assert [one.job_id for one in ledger.call_next({"license": 1}, NOW)] == ["both"]


def test_an_attempt_takes_over_what_a_silent_one_holds(ledger: Ledger) -> None:
    """A delivery on legacy that finds the worker of another dead, before the sweep does."""
    declared(ledger)
    old = held(ledger, "one", store(2))
    assert rests(ledger, "two")
    later = SILENT_AFTER + timedelta(seconds=1)
    got = take(ledger, "one", store(2), path=L, after=later)
    assert isinstance(got, Claim)
    assert (got.attempt, got.nonce == old.nonce) == (2, False)
    assert line(ledger) == [("one", True), ("two", False)]
    assert called(ledger, later) == []
    commit(ledger, got)
    assert called(ledger, later) == ["two"]


def test_what_was_declared_after_a_start_is_left_to_the_sweep(ledger: Ledger) -> None:
    """A silent attempt that holds nothing is not taken over past those who wait."""
    declared(ledger)
    ledger.file([filing("old", L)])
    ledger.claim(NAME, "old", L, Effects.COMMIT, "w1", NOW, SILENT_AFTER)
    late = SILENT_AFTER + timedelta(seconds=1)
    got = take(ledger, "old", path=L, after=late)
    assert isinstance(got, Refused)
    assert got.refusal is Refusal.BUSY
    ledger.resend_silent(NAME, SILENT_AFTER, NOW + late, 10)
    assert isinstance(take(ledger, "old", path=L, after=late), Claim)


def test_one_that_wants_more_than_there_is_by_now_runs_alone(ledger: Ledger) -> None:
    """The capacity was lowered while it waited: it must not wait for ever."""
    declared(ledger)
    one = held(ledger, "one", store(1, 4))
    two = held(ledger, "two", store(1, 4))
    assert rests(ledger, "heavy", store(3, 4))
    commit(ledger, one)
    assert called(ledger, capacity=1) == []
    commit(ledger, two)
    assert called(ledger, capacity=1) == ["heavy"]
    held(ledger, "heavy", store(3, 1))
    assert rests(ledger, "next", store(1, 1))


def test_a_larger_capacity_lets_those_that_wait_come(ledger: Ledger) -> None:
    """Though they were put to rest under the smaller one; who knows none goes by that."""
    declared(ledger)
    held(ledger, "one", store(1, 1))
    for job_id in ("two", "three", "four"):
        assert rests(ledger, job_id, store(1, 1))
    assert called(ledger, capacity=None) == []
    assert called(ledger, capacity=3) == ["two", "three"]


def test_a_job_that_was_killed_while_it_rested_waits_on(ledger: Ledger) -> None:
    """On legacy, at its place; its message is there twice at worst."""
    declared(ledger)
    one = held(ledger, "one", store(2))
    assert rests(ledger, "two")
    assert rests(ledger, "three")
    moved = ledger.recall(NAME, running=False, reason=Reason.KILLED, now=NOW, limit=10)
    assert sorted(job.job_id for job in moved) == ["three", "two"]
    assert rests(ledger, "three", path=L)
    assert line(ledger) == [("one", True), ("two", False), ("three", False)]
    commit(ledger, one)
    assert called(ledger) == ["two", "three"]
    assert isinstance(take(ledger, "two", path=L), Claim)


def test_one_that_rests_on_legacy_says_why_it_is_there(ledger: Ledger) -> None:
    """The ledger was away at its claim on the concurrent path, and came back for this one."""
    declared(ledger)
    held(ledger, "one", store(2))
    ledger.file([filing("two", C)])
    got = ledger.claim(NAME, "two", L, Effects.COMMIT, "w1", NOW, SILENT_AFTER, (store(),))
    assert isinstance(got, Refused)
    assert got.refusal is Refusal.TAKEN
    record = ledger.job(NAME, "two")
    assert (record.path, record.moved_reason) == (L, Reason.LEDGER_UNREACHABLE)


def test_a_row_that_has_gone_holds_nothing(ledger: Ledger) -> None:
    """Lost in a failover, or pruned."""
    declared(ledger)
    one = held(ledger, "one", store(2))
    commit(ledger, one)
    ledger.fold(10)
    assert ledger.prune(NOW + timedelta(days=1), 10) == 1
    assert line(ledger) == []
    held(ledger, "two", store(2))
    assert ledger.lines(10).resources == ()


def test_without_needs_nothing_is_asked(ledger: Ledger) -> None:
    """A sub-pipeline that declares none is in no line."""
    declared(ledger)
    held(ledger, "one", store(2))
    ledger.file([filing("free", C)])
    got = ledger.claim(NAME, "free", C, Effects.COMMIT, "w1", NOW, SILENT_AFTER)
    assert isinstance(got, Claim)
    assert line(ledger) == [("one", True)]


@on_databases
def test_many_at_once_take_no_more_than_there_is(ledger_case: LedgerCase) -> None:
    """Eight processes' worth of clients claim at the same moment."""
    ledger = ledger_case.sql
    declared(ledger)
    needs = [(store(1, 3), Need("license", 1, 2)), (Need("license", 1, 2), store(1, 3))]
    ledger.file([filing(f"job-{number}", C) for number in range(16)])
    clients = [ledger_case.another() for _ in range(4)]
    together, granted, rested = Barrier(4), list[Claim](), list[str]()

    def work(number: int) -> None:
        together.wait(30)
        for mine in range(number, 16, 4):
            got = clients[number].claim(
                NAME, f"job-{mine}", C, Effects.COMMIT, "w1", NOW, SILENT_AFTER, needs[mine % 2]
            )
            if isinstance(got, Claim):
                granted.append(got)
            else:
                rested.append(str(got.refusal))

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for client in clients:
        client.close()
    assert len(granted) == 2
    assert rested == ["taken"] * 14
    done = 2
    while granted:
        commit(ledger, granted.pop())
        for handed in ledger.call_next({STORE: 3, "license": 2}, NOW):
            got = ledger.claim(
                NAME, handed.job_id, C, Effects.COMMIT, "w1", NOW, SILENT_AFTER, needs[0]
            )
            assert isinstance(got, Claim), "who is called has room"
            granted.append(got)
            done += 1
    assert done == 16


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wants=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2)).filter(any), min_size=1, max_size=14
    ),
    picks=st.lists(st.integers(0, 1000), min_size=120, max_size=120),
)
def test_whatever_comes_and_ends_in_whatever_order(
    wants: Sequence[tuple[int, int]], picks: Sequence[int]
) -> None:
    """No capacity is exceeded, nobody is forgotten, and conflicting jobs start as they came."""
    ledger = MemoryLedger()
    declared(ledger)
    capacity = {STORE: 3, "license": 2}
    needs = {
        str(number): tuple(
            Need(resource, weight, capacity[resource])
            for resource, weight in zip(capacity, pair, strict=True)
            if weight
        )
        for number, pair in enumerate(wants)
    }
    messages, running, came, began = list(needs), list[Claim](), list[str](), list[str]()
    for pick in picks:
        if messages and (pick % 3 or not running):
            job_id = messages.pop(pick % len(messages))
            if job_id not in came:
                came.append(job_id)
            got = take(ledger, job_id, *needs[job_id])
            if isinstance(got, Claim):
                running.append(got)
                began.append(job_id)
        elif running:
            ended = running.pop(pick % len(running))
            commit(ledger, ended)
            given = {need.resource: need.capacity for need in needs[ended.job_id]}
            messages += [one.job_id for one in ledger.call_next(given, NOW)]
        for resource, most in capacity.items():
            uses = [use for use in ledger.resource_uses([resource], 100) if use.holds]
            assert sum(use.weight for use in uses) <= most
    assert len(began) == len(set(began)) == len(wants)
    for first, second in combinations(came, 2):
        both = Counter({need.resource: need.weight for need in needs[first]})
        both.update({need.resource: need.weight for need in needs[second]})
        shared = {one.resource for one in needs[first]} & {one.resource for one in needs[second]}
        if any(both[resource] > capacity[resource] for resource in shared):
            assert began.index(first) < began.index(second)
