"""Declarations of drills and game days, healing, and the picture of a journal: pure."""

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.drills.drill import Abort, Drill, Exercise, Target, read_drill
from rollout.drills.errors import BadDrill, DrillRefused
from rollout.drills.expectation import Met, lines_of
from rollout.drills.fault import Fault, FaultPlan, read_plan
from rollout.drills.gameday import GameDay, Played, is_game_day, read_game_day
from rollout.drills.gameday_report import make_report
from rollout.drills.healing import Healing
from rollout.drills.score import Result, Score
from rollout.drills.timeline import Line, timeline
from rollout.routing.decision import JobPath
from tests.builders import NOW

GOOD: dict[str, Any] = {
    "name": "broken",
    "sub_pipeline": "invoices",
    "fault": "raise",
    "duration_s": 5,
    "blast_radius_jobs": 5,
    "deadline_s": 60,
}


def s(seconds: float) -> timedelta:
    """Seconds."""
    return timedelta(seconds=seconds)


# Declaring ---------------------------------------------------------------------------------


def test_a_declaration_is_read() -> None:
    """Both paths unless told otherwise; tables become values."""
    drill = read_drill({**GOOD, "target": {"share": 0.25}, "abort": {"waiting_jobs_max": 9}})
    assert drill.paths == tuple(JobPath)
    assert (drill.fault, drill.target, drill.target.share_bp) == (
        Fault.RAISE,
        Target(share=0.25),
        2500,
    )
    assert drill.abort == Abort(waiting_jobs_max=9)
    assert drill.jobs_max == 5
    assert read_drill({**GOOD, "target": {"jobs": 2}}).jobs_max == 2


BAD: list[tuple[dict[str, Any], str]] = [
    ({"fault_s": 1, "fault": "delay", "duration_s": 0.5}, "must lie in 0.001..0.5, got 1"),
    ({"fault": "lock"}, "must lie in 0.001..5, got 0.0"),
    ({"memory_mb": 10**6, "fault": "memory"}, "must lie in 1..4096"),
    ({"blast_radius_jobs": 0}, "must lie in 1..1e+06, got 0"),
    ({"blast_radius_jobs": 2.5}, "must be a whole number, got 2.5"),
    ({"blast_radius_jobs": True}, "got True"),
    ({"deadline_s": "soon"}, "got 'soon'"),
    ({"deadline_s": float("nan")}, "got nan"),
    ({"duration_s": -1}, "got -1"),
    ({"windows_with_jobs_min": 30}, "must lie in 1..20, got 30"),
    ({"target": {}}, "got nothing"),
    ({"target": {"share": 0}}, "must lie in 0..1, got 0"),
    ({"target": {"share": 1.5}}, "got 1.5"),
    ({"target": {"worker": " "}}, "must be a node's name"),
    ({"target": {"node": "w1"}}, "has no 'node'"),
    ({"target": 5}, "must be a table of names and values, got 5"),
    ({"abort": {"other_path_windows": 0}}, "other_path_windows >= 1"),
    ({"abort": {"waiting_jobs_max": -1}}, "waiting_jobs_max >= 0"),
    ({"fault": "kill_switch"}, "must have path 'concurrent', got legacy and concurrent"),
    ({"fault": "way_back", "path": "legacy"}, "must have path 'concurrent', got legacy"),
    ({"fault": "chaos"}, "must have an experiment exactly when its fault is 'chaos'"),
    ({"name": " "}, "'name' of the drill must be text"),
    ({"sub_pipeline": 7}, "'sub_pipeline' of the drill must be text, got 7"),
    ({"experiment": {}}, "has no 'experiment'"),
]


@pytest.mark.parametrize(("values", "said"), BAD, ids=lambda value: str(value)[:40])
def test_a_wrong_declaration_says_what_is_wrong(values: dict[str, Any], said: str) -> None:
    """With what was expected, what came and a hint."""
    with pytest.raises(BadDrill) as caught:
        read_drill({**GOOD, **values})
    assert said in caught.value.problem
    assert caught.value.hint


def test_errors_survive_being_carried() -> None:
    """As all others of this package."""
    for error in (BadDrill("a", "b"), DrillRefused("invoices", "why", "what")):
        assert str(type(error)(*error.args)) == str(error)


VALUES = st.none() | st.integers() | st.text()


@given(st.dictionaries(st.sampled_from([*GOOD, "path", "x"]), VALUES))
def test_no_values_end_in_another_error(values: dict[str, Any]) -> None:
    """Whatever a file holds, it is a drill or our error, never another one."""
    with contextlib.suppress(BadDrill):
        assert isinstance(read_drill({**GOOD, **values}), Drill)


@given(st.text() | st.binary().map(str))
def test_a_damaged_plan_is_no_plan(text: str) -> None:
    """Nothing that is not wholly a plan breaks anything."""
    assert read_plan("invoices", text) is None


def test_a_plan_of_another_name_is_no_plan() -> None:
    """A plan belongs to the key it was found under."""
    plan = FaultPlan("d1", "invoices", (JobPath.LEGACY,), Fault.RAISE, NOW, 1)
    assert read_plan("invoices", plan.to_json()) == plan
    assert read_plan("reports", plan.to_json()) is None


# Healing -----------------------------------------------------------------------------------


def windows(healing: Healing, outside: list[bool | None]) -> Healing:
    """Feed windows of two seconds; None is one without jobs."""
    for number, one in enumerate(outside):
        start = NOW + s(2 * number)
        healing = healing.observe(start, start + s(2), bool(one), 0 if one is None else 3)
    return healing


def test_a_path_is_healed_when_the_last_row_inside_began() -> None:
    """Not at an earlier row that was too short."""
    healing = windows(Healing(NOW + s(1), 3), [True, False, False, True, False, False, False])
    assert healing.healed_at(NOW + s(3)) == NOW + s(8)
    assert healing.outside_at == NOW + s(2)


@pytest.mark.parametrize("outside", [[True, False, False], [True, False, None, False], [True] * 9])
def test_too_few_windows_inside_are_not_healed(outside: list[bool | None]) -> None:
    """Windows without jobs say nothing."""
    assert windows(Healing(NOW, 3), outside).healed_at(NOW) is None


def test_a_hurt_job_that_is_not_done_is_not_healed() -> None:
    """However calm the windows are; and one that ended late moves the end."""
    healing = windows(Healing(NOW, 2), [True, False, False, False])
    assert healing.healed_at(None) is None
    assert healing.healed_at(NOW + s(5)) == NOW + s(5)


def test_a_path_that_never_left_its_band_healed_with_its_last_job() -> None:
    """There is no window to count from."""
    assert windows(Healing(NOW, 2), [False, False]).healed_at(NOW + s(1.5)) == NOW + s(1.5)


def test_windows_before_the_onset_do_not_count() -> None:
    """The path was well then, which is no recovery."""
    assert windows(Healing(NOW + s(4), 2), [False, False]).inside == 0


# Game days ---------------------------------------------------------------------------------


def test_a_game_day_is_read_with_its_defaults() -> None:
    """A drill's own value wins."""
    values = {"title": "day", "defaults": GOOD, "drill": [{"name": "one"}, {"fault": "hang"}]}
    assert is_game_day(values)
    assert not is_game_day(GOOD)
    day = read_game_day(values)
    assert [(one.name, one.fault) for one in day.drills] == [
        ("one", Fault.RAISE),
        ("broken", Fault.HANG),
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"drill": []}, "must have one [[drill]] or more"),
        ({"drill": [GOOD], "pause": 3}, "has no 'pause'"),
        ({"drill": [GOOD], "pause_s": -1}, "'pause_s' of the game day must be seconds"),
        ({"drill": [GOOD], "title": 3}, "must be text, got 3"),
        ({"drill": [GOOD, {"fault": "x"}]}, "drill 2 of the game day needs 'name'"),
        ({"drill": [7]}, "drill 1 of the game day must be a table"),
    ],
)
def test_a_wrong_game_day_says_what_is_wrong(values: dict[str, Any], said: str) -> None:
    """Before anything was run."""
    with pytest.raises(BadDrill) as caught:
        read_game_day(values)
    assert said in caught.value.problem


def lines(*whats: str) -> list[Line]:
    """A journal with a window each second."""
    found = [Line(NOW + s(at), what, {}) for at, what in enumerate(whats)]
    found += [
        Line(NOW + s(at + 1), "window", {"jobs": 4, "failed": at % 2, "p95_s": 0.5 + at})
        for at in range(5)
    ]
    return found


def test_a_timeline_is_svg_with_everything_in_it() -> None:
    """Fault, windows, times and marks; a title that is no markup."""
    drawn = timeline("<b>&", lines("fault on", "left the band", "fault off", "back in the band"))
    root = ElementTree.fromstring(drawn)
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags.count("polyline") == 1
    assert tags.count("rect") >= 1 + 1 + 5 + 2
    text = "".join(root.itertext())
    assert "<b>&" in text
    assert "healed" in text


def test_words_of_marks_at_one_time_do_not_cover_each_other() -> None:
    """All four that there are come together and have a row each; none leaves the picture."""
    words = ("left the band", "last hurt job finished", "back in the band", "aborted")
    drawn = timeline("close", [Line(NOW, "fault on", {}), *(Line(NOW, one, {}) for one in words)])
    shown = {"not as usual", "last job done", "healed", "aborted"}
    heights = {
        element.get("y")
        for element in ElementTree.fromstring(drawn).iter()
        if element.text in shown
    }
    assert len(heights) == len(words)
    tags = [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawn).iter()]
    place = drawn.index(">not as usual<")
    assert drawn.rindex('stroke-dasharray="3 3"') < place, "no line strikes a word through"
    assert tags.count("line") == len(words) + 1


def test_moved_jobs_are_not_painted_as_failed() -> None:
    """What the drill moved and legacy finished is amber; another failure is red."""
    found = [
        Line(NOW, "fault on", {}),
        Line(NOW + s(0.2), "job handed to legacy", {"job": "a"}),
        Line(NOW + s(0.4), "job committed", {"job": "a"}),
        Line(NOW + s(1), "window", {"jobs": 3, "failed": 1, "p95_s": 0.5}),
    ]
    assert "#e5a93d" in timeline("moved", found)
    assert "#c0392b" not in timeline("moved", found)
    found[-1] = Line(NOW + s(1), "window", {"jobs": 3, "failed": 2, "p95_s": 0.5})
    assert "#c0392b" in timeline("one more", found)


@pytest.mark.parametrize(
    ("values", "met"),
    [
        ({}, Met.PASSED),
        ({"recovery_s": 30.0}, Met.MISSED),
        ({"jobs_lost": 1}, Met.MISSED),
        ({"result": Result.NOT_HEALED}, Met.MISSED),
        ({"result": Result.ABORTED}, Met.UNKNOWN),
    ],
)
def test_a_drill_is_held_to_what_was_expected(values: dict[str, Any], met: Met) -> None:
    """A new path that heals later than legacy, or loses a job, has missed it."""
    (drill,) = read_game_day({"drill": [GOOD]}).drills
    pair = replace(drill, paths=tuple(JobPath))
    scores = (score(JobPath.LEGACY), replace(score(JobPath.CONCURRENT), **values))
    (line,) = lines_of(GameDay("day", (pair,)), [Played(pair, scores)])
    assert line.met is met
    assert "heals no later than legacy" in line.expected


def test_a_timeline_needs_no_window() -> None:
    """A drill that ended at once has a picture, too."""
    root = ElementTree.fromstring(timeline("short", [Line(NOW, "fault on", {})]))
    assert "short" in "".join(root.itertext())


def score(path: JobPath, **values: Any) -> Score:
    """What came of a drill."""
    given: dict[str, Any] = {"recovery_s": 4.0, "jobs_hurt": 3, **values}
    return Score(f"d-{path}", path, Result.HEALED, "All is well.", NOW, **given)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_report_has_each_drill_and_says_what_was_lost(lost: int) -> None:
    """As Markdown and as HTML, with a picture each, and the ratio of a pair."""
    day = read_game_day({"title": "a | day", "drill": [GOOD, GOOD]})
    scores = (score(JobPath.LEGACY, recovery_s=8.0), score(JobPath.CONCURRENT, jobs_lost=lost))
    played = [Played(day.drills[0], scores, "p1"), Played(day.drills[1], refused="it is <killed>")]
    journals = {one.drill_id: lines("fault on", "fault off") for one in scores}
    report = make_report(day, played, journals, NOW, NOW + s(60))
    assert set(report.files) == {
        "gameday.md",
        "gameday.html",
        "01-legacy.svg",
        "02-concurrent.svg",
    }
    assert report.clean == (lost == 0)
    markdown, html = report.files["gameday.md"], report.files["gameday.html"]
    assert markdown.startswith("# a / day\n")
    assert "legacy healed in 8 seconds, 3 jobs hurt; the new path healed in 4 seconds" in markdown
    assert "refused: it is <killed>" in markdown
    assert "it is &lt;killed&gt;" in html
    assert html.count("<svg") == 2
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert html.count('data-is="expected"') == 2
    assert "jobs raise an error, on legacy" in html
    assert "<h2>1. lost children: legacy</h2>" in html or "<h2>1. broken: legacy</h2>" in html
    assert ("JOBS WERE LOST" in markdown) == ("JOBS WERE LOST" in html) == (lost == 1)


def test_every_fault_and_exercise_has_its_own_word() -> None:
    """They share one namespace in a declaration."""
    words = [str(word) for kind in (Fault, Exercise) for word in kind]
    assert len(set(words)) == len(words)
    assert isinstance(read_drill({**GOOD, "fault_s": 1, "fault": "delay"}), Drill)
    assert datetime.fromisoformat(NOW.isoformat()) == NOW
