"""One cycle to look into: speedscope and Chrome trace files of a typical job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollout.audit.measured import Measured

RUNS_MAX = 5_000
_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def cycle_rows(measured: Measured) -> list[int]:
    """The runs of one job,
    the one with the median makespan; a busy stretch where jobs have one run."""
    log, runs = measured.log, measured.runs
    by_job: dict[int, list[int]] = {}
    for row in runs.rows:
        by_job.setdefault(log.job[row], []).append(row)
    several = [rows for rows in by_job.values() if len(rows) > 1]
    if several:
        several.sort(key=lambda rows: max(log.ended[row] for row in rows) - log.started[rows[0]])
        return several[len(several) // 2][:RUNS_MAX]
    middle = max(0, len(runs) // 2 - 100)
    return list(runs.rows[middle : middle + 200])


def chrome_trace(measured: Measured) -> dict[str, Any]:
    """A trace for chrome://tracing and Perfetto: a line for each worker, waits before the runs."""
    events: list[dict[str, Any]] = []
    for lane, begin, end, name, category in spans_of(measured, cycle_rows(measured)):
        events.append(
            {"ph": "X", "pid": 1, "tid": lane, "ts": round(begin * 1e6),
            "dur": round((end - begin) * 1e6),
             "name": name, "cat": category}
        )  # fmt: skip
    return {"traceEvents": events, "otherData": {"written by": "rollout audit"}}


def speedscope(measured: Measured) -> dict[str, Any]:
    """A file for speedscope.app: a profile for each line of runs that do not overlap."""
    frames: list[dict[str, str]] = []
    places: dict[str, int] = {}
    lanes: dict[int, list[tuple[float, float, int]]] = {}
    for lane, begin, end, name, category in spans_of(measured, cycle_rows(measured)):
        text = name if category == "run" else f"{category}: {name}"
        if text not in places:
            places[text] = len(frames)
            frames.append({"name": text})
        lanes.setdefault(lane, []).append((begin, end, places[text]))
    profiles = []
    for lane, spans in sorted(lanes.items()):
        spans.sort()
        events: list[dict[str, Any]] = []
        for begin, end, frame in spans:
            events.append({"type": "O", "frame": frame, "at": begin})
            events.append({"type": "C", "frame": frame, "at": end})
        profiles.append(
            {"type": "evented", "name": f"worker {lane}", "unit": "seconds",
             "startValue": spans[0][0], "endValue": max(end for _, end, _ in spans),
             "events": events}
        )  # fmt: skip
    return {
        "$schema": _SCHEMA,
        "shared": {"frames": frames},
        "profiles": profiles,
        "exporter": "rollout audit",
    }


def lanes_of(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A line for each span, so that no two of a line overlap; spans sorted by their begin."""
    free: list[float] = []
    lanes = []
    for begin, end in spans:
        lane = next((at for at, until in enumerate(free) if until <= begin), len(free))
        if lane == len(free):
            free.append(end)
        free[lane] = end
        lanes.append(lane)
    return lanes


def spans_of(measured: Measured, rows: Sequence[int]) -> list[tuple[int, float, float, str, str]]:
    """Line, begin, end, name and category; times count from the first begin."""
    log = measured.log
    raw: list[tuple[float, float, int]] = []
    for row in sorted(rows, key=log.started.__getitem__):
        came = log.queued[row] if log.queued[row] == log.queued[row] else log.received[row]
        begin = came if came <= log.started[row] else log.started[row]
        raw.append((begin, log.ended[row], row))
    raw.sort()
    zero = raw[0][0] if raw else 0.0
    spans: list[tuple[int, float, float, str, str]] = []
    for lane, (begin, end, row) in zip(lanes_of([one[:2] for one in raw]), raw, strict=True):
        name, started = log.labels.get(row) or log.steps.texts[log.step[row]], log.started[row]
        if started > begin:
            spans.append((lane, begin - zero, started - zero, name, "waits"))
        waited = log.waited[row]
        if waited > 0:
            spans.append(
                (
                    lane,
                    started - zero,
                    min(started + waited, end) - zero,
                    name,
                    "waits for a resource",
                )
            )
            started = min(started + waited, end)
        spans.append((lane, started - zero, end - zero, name, "run"))
    return spans
