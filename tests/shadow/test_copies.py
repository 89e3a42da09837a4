"""Which jobs are in a sample, what stops shadows, and what a copy's message may be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import MalformedCopy
from rollout.routing.decision import JobPath
from rollout.routing.rule import Reading
from rollout.routing.stages import Stage
from rollout.shadow.canonical import Digest
from rollout.shadow.copies import (
    ShadowCopy,
    Shed,
    Trouble,
    Unusable,
    in_sample,
    read_copy,
    share_bp,
)
from tests.builders import split

RESULTS = (
    st.text(max_size=20)
    | st.builds(
        Digest,
        st.text(max_size=5),
        st.integers(0, 10**9),
        st.dictionaries(
            st.text(max_size=5), st.tuples(st.text(max_size=5), st.integers()), max_size=3
        ),
    )
    | st.builds(Unusable, st.sampled_from(Trouble), st.text(max_size=20))
)


@given(
    st.text(max_size=10),
    st.sampled_from(JobPath),
    st.floats(0, 1e6),
    RESULTS,
    st.dictionaries(st.sampled_from(list(Shed)).map(str), st.integers(1, 9), max_size=3),
    st.none() | st.text(max_size=5),
)
def test_a_copy_reads_back(
    job_id: str,
    path: JobPath,
    legacy_s: float,
    result: Any,
    shed: dict[str, int],
    build: str | None,
) -> None:
    """As it was written."""
    copy = ShadowCopy(job_id, path, legacy_s, result, shed, build)
    assert read_copy(copy.to_values()) == copy


GOOD = ShadowCopy("job-1", JobPath.CONCURRENT, 0.5, "1").to_values()


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "text",
        {},
        {**GOOD, "path": "sideways"},
        {**GOOD, "legacy_s": -1},
        {**GOOD, "legacy_s": "nan"},
        {**GOOD, "job_id": None},
        {**GOOD, "shed": {"boredom": 1}},
        {**GOOD, "shed": None},
        {**GOOD, "build": 7},
        {**GOOD, "text": 17},
        {key: value for key, value in GOOD.items() if key != "text"},
    ],
)
def test_what_is_no_copy_is_refused(values: Any) -> None:
    """With one error, whatever it is."""
    with pytest.raises(MalformedCopy, match="a shadow copy must carry"):
        read_copy(values)


@given(st.text(max_size=20), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_larger_share_keeps_the_smaller_ones_jobs(job_id: str, one: int, other: int) -> None:
    """As routing does with keys."""
    small, large = sorted((one, other))
    assert in_sample("x", job_id, large) or not in_sample("x", job_id, small)


def test_samples_of_different_purposes_are_apart() -> None:
    """Who runs legacy again has nothing to do with who is copied."""
    jobs = [f"job-{number}" for number in range(4_000)]
    copied = [job for job in jobs if in_sample("x", job, 5_000)]
    again = [job for job in copied if in_sample("again x", job, 5_000)]
    assert 0.4 < len(again) / len(copied) < 0.6


@pytest.mark.parametrize("stage", Stage)
def test_each_stage_has_its_share(stage: Stage) -> None:
    """Only shadow and split have any."""
    reading = Reading(split(stage=stage), supervised=True)
    expected = {Stage.SHADOW: 700, Stage.SPLIT: 30}.get(stage, 0)
    assert share_bp(reading, 700, 30) == expected


@pytest.mark.parametrize(
    "reading",
    [
        Reading(split(), supervised=False),
        Reading(split(), supervised=True, killed=True),
        Reading(split(), supervised=True, killed_all=True),
        Reading(split(killed=True), supervised=True),
        Reading(None, supervised=True),
    ],
)
def test_in_doubt_there_are_no_shadows(reading: Reading) -> None:
    """Nothing starts on the concurrent path then."""
    assert share_bp(reading, 10_000, 10_000) == 0
