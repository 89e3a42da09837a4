"""An incident is timed from its first window outside to the first of k windows in a row inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.drills.watch import Rules, Watch, observe
from rollout.evidence.errors import BadProcess, BadState, EvidenceError
from rollout.evidence.sample import BadTime, PathSample
from tests.path_windows import (
    EMPTY,
    FAILING,
    HASTY,
    MINUTE,
    SLOW,
    STUCK,
    USUAL,
    WAITING,
    fed,
    settled,
)

BAD = [SLOW, FAILING, STUCK]
bad = st.sampled_from(BAD)
quiet = st.sampled_from([EMPTY, WAITING])
windows = st.lists(st.sampled_from([USUAL, USUAL, *BAD, EMPTY, WAITING]), max_size=60)


@pytest.mark.parametrize("sample", BAD)
def test_an_incident_has_onset_detection_and_recovery(sample: PathSample) -> None:
    """Ten minutes outside: begun with the first, known with the third, over after five inside."""
    watch = settled()
    onset = watch.at
    assert onset is not None
    watch, said = fed(watch, [sample] * 10 + [USUAL] * 5)
    begun, ended = said
    assert (begun.onset_at, begun.detected_at) == (onset, onset + 3 * MINUTE)
    assert (begun.lasts, begun.recovery_s) == (True, None)
    assert replace(ended, recovered_at=None, sentence=begun.sentence) == begun
    assert ended.recovered_at == onset + 10 * MINUTE
    assert (ended.lasts, ended.gave_up_at, ended.recovery_s) == (False, None, 600.0)
    assert ended.sentence == f"{begun.sentence} It was back inside after 600 s."
    assert watch.excursion is None


@given(st.lists(st.one_of(bad, quiet), min_size=3, max_size=40), st.integers(0, 10))
def test_it_is_timed_from_the_first_window_outside(
    trouble: Sequence[PathSample], calm_before: int
) -> None:
    """Whatever is outside and whatever windows say nothing between: the onset is the first one."""
    watch = settled(30 + calm_before)
    assert watch.at is not None
    outside = [number for number, sample in enumerate(trouble) if sample in BAD]
    after, said = fed(watch, trouble)
    if len(outside) < 3:
        assert said == []
        return
    assert said[0].onset_at == watch.at + outside[0] * MINUTE
    assert said[0].detected_at == watch.at + (outside[2] + 1) * MINUTE
    assert after.excursion == said[0]


@given(st.lists(st.integers(1, 4), max_size=6), st.integers(1, 6), bad)
def test_k_windows_in_a_row_inside_end_it_and_fewer_do_not(
    pauses: Sequence[int], longest: int, sample: PathSample
) -> None:
    """Each window outside starts the count afresh; windows that say nothing do not count."""
    lasting, _ = fed(settled(), [sample] * 3)
    restless = [each for pause in pauses for each in (*[USUAL] * pause, WAITING, sample)]
    still, said = fed(lasting, restless)
    assert said == []
    assert still.at is not None
    over, said = fed(still, [USUAL, EMPTY] * longest)
    if longest < HASTY.inside_min:
        assert (said, over.excursion) == ([], lasting.excursion)
    else:
        assert said[0].recovered_at == still.at


@given(windows, st.integers(0, 60))
def test_pieces_give_what_the_whole_gives(samples: Sequence[PathSample], cut: int) -> None:
    """A watch that is stored and read back after each window goes on exactly as it would have."""
    whole, said = fed(settled(60), samples)
    first, said_first = fed(settled(60), samples[:cut], stored=True)
    second, said_second = fed(first, samples[cut:], stored=True)
    assert second == whole
    assert said_first + said_second == said


@given(st.integers(1, 10**6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_constant_windows_never_alarm(jobs: int, p95_s: float, oldest_s: float) -> None:
    """However a path behaves, behaving the same for ever is no incident."""
    sample = replace(USUAL, jobs=jobs, failed=jobs // 3, p95_s=p95_s, oldest_s=oldest_s)
    watch, said = fed(Watch(), [sample] * 120)
    assert said == []
    assert watch.band is not None


@pytest.mark.parametrize("sample", BAD)
def test_one_odd_window_is_no_incident(sample: PathSample) -> None:
    """Two of five are none either, and nothing is learnt from them."""
    watch = settled()
    odd, said = fed(watch, [sample, USUAL, sample, USUAL])
    assert said == []
    assert odd.baseline == watch.baseline


def test_nothing_is_learnt_while_an_incident_lasts() -> None:
    """From the first window outside to the recovery what is normal stands still."""
    watch = settled()
    lasting, _ = fed(watch, [SLOW] * 60)
    almost, _ = fed(lasting, [USUAL] * 4)
    over, said = fed(almost, [USUAL])
    assert len(said) == 1
    assert watch.baseline == lasting.baseline == almost.baseline == over.baseline
    later, _ = fed(over, [USUAL] * 20)
    assert later.baseline != watch.baseline


def test_an_empty_window_with_an_old_job_is_outside() -> None:
    """A path on which nothing ends any more gives no cycle times, and is seen all the same."""
    assert len(fed(settled(), [STUCK] * 3)[1]) == 1


def test_empty_windows_say_nothing() -> None:
    """Nothing open, or a young job: neither an incident nor its end nor anything to learn."""
    watch = settled()
    after, said = fed(watch, [EMPTY, WAITING] * 20)
    assert said == []
    assert after == replace(watch, at=after.at)
    lasting, _ = fed(watch, [SLOW] * 3)
    assert fed(lasting, [EMPTY, WAITING] * 20)[0].excursion is not None


def test_total_failure_is_seen_with_one_job_a_window() -> None:
    """No window alone shows it where a twentieth fails anyway; those before it are added up."""
    rare = replace(USUAL, jobs=1)
    usual = [replace(rare, failed=int(number % 20 == 0)) for number in range(48)]
    watch, said = fed(Watch(), [replace(USUAL, jobs=20, failed=1)] * 30 + usual)
    assert said == []
    lasting, said = fed(watch, [replace(rare, failed=1)] * 8)
    assert len(said) == 1
    assert fed(lasting, [replace(rare, failed=1)] * 60)[1] == []
    assert fed(lasting, [rare] * 5)[1][0].recovered_at is not None


def test_failures_of_an_odd_window_are_not_held_against_the_next() -> None:
    """After a window in which all failed, windows with the odd failure are as calm as before."""
    calm = replace(USUAL, failed=1)
    assert fed(settled(), [FAILING, *[calm] * 4])[1] == []


def test_as_many_windows_are_added_up_as_are_looked_at() -> None:
    """A failure in each of five windows is chance yet; that of a sixth is not added to them."""
    watch, _ = fed(settled(), [replace(USUAL, jobs=24, failed=1)] * 8)
    assert [seen.outside for seen in watch.recent] == [False] * 5


def test_a_shift_that_stays_is_given_up_on_at_the_cap() -> None:
    """The recovery is censored and says so; then the level is learnt as the new normal."""
    watch = settled()
    after, said = fed(watch, [SLOW] * 120)
    begun, given_up = said
    assert given_up.recovered_at is None
    assert given_up.gave_up_at is not None
    assert given_up.gave_up_at == begun.onset_at + HASTY.cap
    assert given_up.recovery_s == HASTY.cap.total_seconds()
    assert given_up.sentence.endswith("It had not recovered at the cap, after 7200 s.")
    assert (after.band, after.excursion) == (None, None)
    new_normal, said = fed(after, [SLOW] * 60)
    assert said == []
    assert new_normal.band is not None
    assert new_normal.band.p95_s_max > 20.0


def test_a_path_without_jobs_is_given_up_on_too() -> None:
    """After a kill no job comes: the incident does not last for ever."""
    lasting, _ = fed(settled(), [SLOW] * 3)
    said = fed(lasting, [EMPTY] * 120)[1]
    assert said[0].gave_up_at is not None


def test_a_slow_change_becomes_normal() -> None:
    """A path that takes three times as long after some weeks never had an incident."""
    drift = [replace(USUAL, p95_s=2.0 * 3 ** (number / 2000)) for number in range(2000)]
    watch, said = fed(settled(), drift)
    assert said == []
    assert watch.band is not None
    assert watch.band.p95_s_max > 6.0


def test_a_new_watch_settles_for_a_day() -> None:
    """What was never seen by night is not judged by day."""
    day = [USUAL] * 1440
    early, _ = fed(Watch(), day, Rules())
    assert early.band is None
    assert fed(early, [USUAL], Rules())[0].band is not None
    assert fed(Watch(), [SLOW, USUAL] * 700, Rules())[1] == []


def test_the_state_stays_small() -> None:
    """However long it runs, whatever it has seen: some KB of JSON."""
    third = replace(USUAL, jobs=123_456, failed=123, p95_s=200 / 3, oldest_s=100 / 3)
    watch, _ = fed(Watch(), [third] * 5_000)
    lasting, _ = fed(watch, [replace(third, p95_s=1e5)] * 3)
    assert lasting.excursion is not None
    assert len(json.dumps(lasting.to_json())) < 5_000


@pytest.mark.parametrize("back", [timedelta(0), MINUTE])
def test_a_clock_that_goes_back_changes_nothing(back: timedelta) -> None:
    """A window that ends with or before the last one is refused; the next one goes on."""
    watch = settled()
    assert watch.at is not None
    before = watch.to_json()
    with pytest.raises(BadTime, match="must end after the last one"):
        observe(watch, replace(SLOW, at=watch.at - back), HASTY)
    assert watch.to_json() == before
    assert len(fed(watch, [SLOW] * 3)[1]) == 1


def test_a_long_window_is_one_window() -> None:
    """When nobody looked for an hour, the next window covers it and its start is the onset."""
    watch = settled()
    assert watch.at is not None
    lasting, _ = observe(watch, replace(SLOW, at=watch.at + timedelta(hours=1)), HASTY)
    assert fed(lasting, [SLOW] * 2)[1][0].onset_at == watch.at


@pytest.mark.parametrize(
    "values",
    [
        {"outside_min": 0},
        {"outside_min": 6},
        {"of_last": 101},
        {"inside_min": 0},
        {"cap": timedelta(0)},
        {"settle": timedelta(days=4)},
        {"settle": timedelta(-1)},
        {"settle": timedelta(0), "memory": timedelta(0)},
    ],
)
def test_rules_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    """They would see incidents in nothing, or never."""
    with pytest.raises(BadProcess):
        Rules(**values)


def broken(**values: Any) -> dict[str, Any]:
    """A stored watch with something else in it."""
    lasting, _ = fed(settled(), [SLOW] * 4 + [USUAL])
    stored: dict[str, Any] = json.loads(json.dumps(lasting.to_json()))
    return {**stored, **values}


@pytest.mark.parametrize(
    "values",
    [
        {"at": "yesterday"},
        {"at": "2026-01-01T00:00:00"},
        {"at": 5},
        {"baseline": None},
        {"baseline": {"kept": [[1, 2, 3]], "pause_us": 0, "settled": True}},
        {"baseline": {"kept": [[1, 1, 5, 1.0, 0.0]], "pause_us": 0, "settled": True}},
        {"baseline": {"kept": [[1, 1, 0, 1.0, 0.0]] * 49, "pause_us": 0, "settled": True}},
        {"baseline": {"kept": [], "pause_us": -1, "settled": True}},
        {"recent": [["2026-01-01T00:00:00+00:00", 1, 0, 0]]},
        {"inside": -1},
        {"excursion": {"onset_at": None}},
        {"more": 1},
    ],
)
def test_a_damaged_state_is_refused(values: dict[str, Any]) -> None:
    """Stored evidence that cannot be is never guessed at."""
    assert Watch.from_json(broken()).excursion is not None
    with pytest.raises(EvidenceError):
        Watch.from_json(broken(**values))


def test_a_damaged_sentence_is_refused() -> None:
    """An incident has its sentence in words."""
    stored = broken()
    stored["excursion"]["sentence"] = 5
    with pytest.raises(BadState, match="must be text"):
        Watch.from_json(stored)
