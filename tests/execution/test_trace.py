"""What a run leaves for other tools, its bounds, and how near it came."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rollout.execution import Chain, ChainEngine, Graph, GraphEngine, Mapped, Stage, Step
from rollout.execution.chain_report import StageTimes, speedup_bound


def sleep(*args: Any, seconds: float = 0.01) -> None:
    """A step of a known length."""
    time.sleep(seconds)


def diamond() -> GraphEngine:
    """A graph with a critical path that is known."""
    steps: list[Step | Mapped] = [
        Step("begin", sleep),
        Mapped("side", sleep, range(2), ["begin"]),
        Step("long", sleep, ["begin"], kwargs={"seconds": 0.05}),
        Step("end", sleep, ["side", "long"]),
    ]
    return GraphEngine(Graph("diamond", steps), workers=3)


def test_the_critical_path_and_the_bound() -> None:
    """By the times that were measured; the run is never better than its bound."""
    report = diamond().run()
    assert report.critical == ("begin", "long", "end")
    assert report.bounds.critical_path_s == pytest.approx(0.07, rel=0.5)
    assert report.bounds.work_s == pytest.approx(0.09, rel=0.5)
    assert 1.0 <= report.nearness < 3
    assert report.to_json()["critical"] == ["begin", "long", "end"]


def test_run_times_are_kept_as_json_for_the_next_run() -> None:
    """The second run is ordered by what the first one took."""
    report = diamond().run()
    times = json.loads(json.dumps(report.run_times()))
    assert times["long"] > times["begin"]
    engine = GraphEngine(Graph("g", [Step("begin", sleep), Step("long", sleep)]), run_times=times)
    assert engine.board.place_of == [1, 0]


def test_the_chrome_trace(tmp_path: Path) -> None:
    """Complete events in microseconds, one thread per slot, as the Trace Event Format says."""
    report = diamond().run()
    trace, _ = report.save_trace(tmp_path)
    events = json.loads(trace.read_text())["traceEvents"]
    complete = [event for event in events if event["ph"] == "X"]
    assert {event["name"] for event in complete} == set(report.states)
    long = next(event for event in complete if event["name"] == "long")
    assert long["dur"] == pytest.approx(50_000, rel=0.5)
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    assert named == {event["tid"] for event in complete}
    for tid in named:
        mine = sorted((one["ts"], one["ts"] + one["dur"]) for one in complete if one["tid"] == tid)
        assert all(end <= start for (_, end), (start, _) in pairwise(mine))


def assert_speedscope(file: Path) -> dict[str, Any]:
    """Check what speedscope itself checks: balanced events that do not go back in time."""
    content: dict[str, Any] = json.loads(file.read_text())
    assert content["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = len(content["shared"]["frames"])
    for profile in content["profiles"]:
        assert profile["type"] == "evented"
        at, open_frames = profile["startValue"], []
        for event in profile["events"]:
            assert event["at"] >= at
            at = event["at"]
            assert 0 <= event["frame"] < frames
            if event["type"] == "O":
                open_frames.append(event["frame"])
            else:
                assert open_frames.pop() == event["frame"]
        assert not open_frames
        assert profile["endValue"] >= at
    return content


def test_the_flame_graph(tmp_path: Path) -> None:
    """The critical path first, then a profile per slot."""
    report = diamond().run()
    _, flame = report.save_trace(tmp_path)
    content = assert_speedscope(flame)
    names = [frame["name"] for frame in content["shared"]["frames"]]
    first = content["profiles"][0]
    assert first["name"] == "critical path"
    opened = [names[event["frame"]] for event in first["events"] if event["type"] == "O"]
    assert opened == ["begin", "long", "end"]


def test_a_chain_has_both_too(tmp_path: Path) -> None:
    """Each batch at each place, and the bottleneck's work as the critical path."""
    chain = Chain("c", [Stage("quick", list), Stage("slow", slow_stage, 2)], size=1)
    report = ChainEngine(chain, range(6)).run()
    assert report.bottleneck == "slow"
    trace, flame = report.save_trace(tmp_path)
    content = assert_speedscope(flame)
    assert content["profiles"][0]["name"] == "critical path"
    names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"source[0]", "quick[3]", "slow[5]", "sink[5]"} <= names
    assert report.nearness >= 1.0
    assert report.to_json()["bottleneck"] == "slow"


def slow_stage(batch: list[int]) -> list[int]:
    """A stage of a known length."""
    time.sleep(0.01)
    return batch


def test_the_bound_of_a_chain() -> None:
    """`sum / max(t / w)`: the article's 45 to 11 minutes needs more than three workers."""
    one_each = [StageTimes("a", 1, 5.0), StageTimes("b", 1, 2.5), StageTimes("c", 1, 15.0)]
    assert speedup_bound(one_each) == pytest.approx(1.5)
    equal = [StageTimes(name, 1, 15.0) for name in "abc"]
    assert speedup_bound(equal) == pytest.approx(3.0)
    own = [StageTimes("a", 1, 5.0), StageTimes("b", 2, 2.5), StageTimes("c", 4, 15.0)]
    assert speedup_bound(own) == pytest.approx(4.5)
    assert speedup_bound([]) == 1.0
