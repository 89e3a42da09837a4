"""Claims and commits: the whole truth table, and the two promises that rest on it."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.jobs.claims import (
    DEATHS_MAX,
    Claim,
    JobRecord,
    JobState,
    Refusal,
    is_silent,
    judge_claim,
    judge_commit,
)
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, record, split

L, C = JobPath
REPEATABLE = [effects for effects in Effects if effects is not Effects.UNSAFE]
SILENT = NOW - SILENT_AFTER
HEARD = NOW - SILENT_AFTER + timedelta(microseconds=1)

# The row's path, the delivery's path, killed, silent, effects repeatable, deaths -> the answer
# for a started job. Written by hand; None grants the claim.
STARTED: dict[tuple[JobPath, JobPath, bool, bool, bool, int], Refusal | None] = {
    **{
        (L, C, killed, silent, repeatable, deaths): Refusal.MOVED
        for killed, silent, repeatable in product((False, True), repeat=3)
        for deaths in (0, 1)
    },
    **{
        (path, to, killed, False, repeatable, deaths): Refusal.BUSY
        for path, to in ((C, C), (C, L), (L, L))
        for killed, repeatable in product((False, True), repeat=2)
        for deaths in (0, 1)
    },
    **{
        (path, to, killed, True, False, deaths): Refusal.UNSAFE_REPEAT
        for path, to in ((C, C), (C, L), (L, L))
        for killed in (False, True)
        for deaths in (0, 1)
    },
    **{
        (C, C, killed, True, True, deaths): Refusal.WORKER_LOST
        for killed in (False, True)
        for deaths in (0, 1)
    },
    **{(path, L, killed, True, True, 0): None for path in JobPath for killed in (False, True)},
    **{
        (path, L, killed, True, True, 1): Refusal.POISON
        for path in JobPath
        for killed in (False, True)
    },
}
# The row's path, the delivery's path, killed -> the answer for an accepted job.
ACCEPTED: dict[tuple[JobPath, JobPath, bool], Refusal | None] = {
    (L, L, False): None,
    (L, L, True): None,
    (L, C, False): Refusal.MOVED,
    (L, C, True): Refusal.MOVED,
    (C, L, False): None,
    (C, L, True): None,
    (C, C, False): None,
    (C, C, True): Refusal.KILLED,
}


def judge(job: JobRecord, to: JobPath, effects: Effects, *, killed: bool = False) -> Refusal | None:
    """Ask for a claim now."""
    return judge_claim(job, to, split(killed=killed), effects, NOW, SILENT_AFTER)


def test_the_table_for_started_jobs_is_complete() -> None:
    """Every combination has its row."""
    flags = (False, True)
    assert set(STARTED) == set(product(JobPath, JobPath, flags, flags, flags, (0, 1)))


@pytest.mark.parametrize("case", STARTED, ids=str)
def test_a_claim_of_a_started_job(case: tuple[JobPath, JobPath, bool, bool, bool, int]) -> None:
    """The answer is the table's for every kind of effects it stands for."""
    path, to, killed, silent, repeatable, deaths = case
    heard = SILENT if silent else HEARD
    job = record(
        state=JobState.STARTED, path=path, attempt=1, renewed_at=heard, started_at=heard,
        deaths=deaths,
    )  # fmt: skip
    for effects in REPEATABLE if repeatable else [Effects.UNSAFE]:
        assert judge(job, to, effects, killed=killed) is STARTED[case]


@pytest.mark.parametrize("case", ACCEPTED, ids=str)
def test_a_claim_of_an_accepted_job(case: tuple[JobPath, JobPath, bool]) -> None:
    """A waiting job may start, except on the concurrent path once killed or moved."""
    path, to, killed = case
    for effects in Effects:
        assert judge(record(path=path), to, effects, killed=killed) is ACCEPTED[case]


@pytest.mark.parametrize("state", [JobState.COMMITTED, JobState.FAILED])
def test_a_finished_job_is_never_claimed(state: JobState) -> None:
    """Its outcome stands, whoever asks."""
    for (path, to, killed), effects in product(ACCEPTED, Effects):
        job = record(state=state, path=path, attempt=1, started_at=SILENT)
        assert judge(job, to, effects, killed=killed) is Refusal.FINISHED


def test_silence_counts_from_the_last_sign_of_life() -> None:
    """Renewal counts before the start; a start without a time is silent."""
    assert not is_silent(record(started_at=SILENT, renewed_at=HEARD), NOW, SILENT_AFTER)
    assert is_silent(record(started_at=SILENT, renewed_at=SILENT), NOW, SILENT_AFTER)
    assert not is_silent(record(started_at=HEARD), NOW, SILENT_AFTER)
    assert is_silent(record(), NOW, SILENT_AFTER)


@given(
    path=st.sampled_from(JobPath),
    state=st.sampled_from([JobState.ACCEPTED, JobState.STARTED]),
    effects=st.sampled_from(REPEATABLE),
    killed=st.booleans(),
    fence=st.integers(0, 5),
    attempt=st.integers(0, 3),
)
def test_legacy_may_take_any_unfinished_job_of_a_silent_worker(
    path: JobPath, state: JobState, effects: Effects, killed: bool, fence: int, attempt: int
) -> None:
    """Whatever the switches say, a repeatable job nobody is heard of on can go on, on legacy."""
    job = record(state=state, path=path, attempt=attempt, started_at=SILENT)
    control = split(killed=killed, fence_revision=fence)
    assert judge_claim(job, L, control, effects, NOW, SILENT_AFTER) is None


def claim_of(**values: Any) -> Claim:
    """The first concurrent attempt's claim, made on fence 0."""
    return Claim(**{
        "job_id": "job-1", "name": NAME, "path": C, "attempt": 1, "fence_revision": 0,
        "fell_back": False, **values,
    })  # fmt: skip


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_a_commit_counts_only_for_the_attempt_that_holds_the_job(
    state: JobState, attempt: int
) -> None:
    """State and attempt decide first; then the fence, for concurrent work that can be repeated."""
    for path, killed, fence, effects in product(JobPath, (False, True), (0, 4), Effects):
        job = record(state=state, path=path, attempt=attempt)
        control = split(killed=killed, fence_revision=fence)
        if attempt == 1 and state is JobState.COMMITTED:
            expected: Refusal | None = Refusal.FINISHED
        elif attempt != 1 or state is not JobState.STARTED:
            expected = Refusal.STALE
        elif path is C and effects is not Effects.UNSAFE and (killed or fence == 4):
            expected = Refusal.KILLED
        else:
            expected = None
        said = judge_commit(job, claim_of(path=path), control, effects)
        assert said is expected, (path, killed, fence, effects)


@given(
    job=st.builds(
        record, state=st.sampled_from(JobState), attempt=st.integers(0, 6),
        path=st.sampled_from(JobPath),
    ),
    killed=st.booleans(),
    effects=st.sampled_from(Effects),
    fences=st.lists(st.integers(0, 3), min_size=7, max_size=7),
)  # fmt: skip
def test_at_most_one_attempt_number_can_ever_commit(
    job: JobRecord, killed: bool, effects: Effects, fences: list[int]
) -> None:
    """Of all claims ever given on a job, the ledger lets one number through at any moment."""
    control = split(killed=killed, fence_revision=2)
    counting = [
        attempt
        for attempt, fence in enumerate(fences)
        for path in JobPath
        if judge_commit(
            job, claim_of(attempt=attempt, path=path, fence_revision=fence), control, effects
        )
        is None
    ]
    assert len(set(counting)) <= 1
    assert set(counting) <= {job.attempt}
    assert not counting or job.state is JobState.STARTED


def test_poison_takes_the_number_of_deaths_that_the_constant_names() -> None:
    """The start after the last allowed death is refused."""
    job = record(state=JobState.STARTED, attempt=1, started_at=SILENT, deaths=DEATHS_MAX - 1)
    assert judge(job, L, Effects.COMMIT) is Refusal.POISON
