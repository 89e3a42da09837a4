"""A run's spans as files that other tools draw: Chrome trace and speedscope. Pure but for `save`.

Formats: the Trace Event Format (read by Perfetto and chrome://tracing) and speedscope's JSON.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MICRO = 1e6


@dataclass(frozen=True)
class Slice:
    """One attempt in one slot; seconds from the start of the run."""

    name: str
    slot: int
    start_s: float
    end_s: float
    well: bool = True


def chrome_trace(name: str, slices: Sequence[Slice]) -> dict[str, Any]:
    """Give the run in the Trace Event Format: one thread per slot, times in microseconds."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": name}}
    ]
    for slot in sorted({one.slot for one in slices}):
        events.append(
            {
                "ph": "M",
                "name": "thread_name",
                "pid": 1,
                "tid": slot,
                "args": {"name": f"slot {slot}"},
            }
        )
    for one in slices:
        events.append(
            {
                "ph": "X",
                "name": one.name,
                "cat": "step" if one.well else "failed",
                "pid": 1,
                "tid": one.slot,
                "ts": one.start_s * MICRO,
                "dur": (one.end_s - one.start_s) * MICRO,
            }
        )
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def speedscope(name: str, slices: Sequence[Slice], critical: Sequence[Slice]) -> dict[str, Any]:
    """Give the run as a flame graph: a profile per slot, and one of the critical path."""
    names = list(dict.fromkeys([*(one.name for one in critical), *(one.name for one in slices)]))
    frames = {one: number for number, one in enumerate(names)}
    end_s = max((one.end_s for one in slices), default=0.0)
    profiles = []
    if critical:
        profiles.append(_profile("critical path", critical, frames, end_s))
    for slot in sorted({one.slot for one in slices}):
        mine = [one for one in slices if one.slot == slot]
        profiles.append(_profile(f"slot {slot}", mine, frames, end_s))
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "rollout.execution",
        "name": name,
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": one} for one in names]},
        "profiles": profiles,
    }


def _profile(
    name: str, slices: Sequence[Slice], frames: dict[str, int], end_s: float
) -> dict[str, Any]:
    events = []
    at_s = 0.0
    for one in sorted(slices, key=lambda each: (each.start_s, each.end_s)):
        # Events must not go back in time, not even by the last digit of a float.
        start_s = max(at_s, one.start_s)
        at_s = max(start_s, one.end_s)
        events.append({"type": "O", "frame": frames[one.name], "at": start_s})
        events.append({"type": "C", "frame": frames[one.name], "at": at_s})
    return {
        "type": "evented",
        "name": name,
        "unit": "seconds",
        "startValue": 0.0,
        "endValue": max(end_s, at_s),
        "events": events,
    }


def save(folder: Path, name: str, slices: Sequence[Slice], critical: Sequence[Slice]) -> list[Path]:
    """Write `<name>.trace.json` and `<name>.speedscope.json`; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind, content in (
        ("trace", chrome_trace(name, slices)),
        ("speedscope", speedscope(name, slices, critical)),
    ):
        file = folder / f"{name}.{kind}.json"
        file.write_text(json.dumps(content))
        files.append(file)
    return files
