"""Chrome traces: what Bazel, dask, viztracer and browsers write.

A build first loads and analyses and then executes: its phases are kept, and only the actions of the
execution phase are runs. In any other trace a run is an outermost span of a thread; where one span
covers nearly all of its thread, the spans inside it are taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rollout.audit.job_log import BadAudit, Capture, JobLog, Phase

ACTION = "action processing"
PHASE = "build phase marker"
CRITICAL = "critical path component"
_EXECUTION = ("Build artifacts", "Complete build")
"""Bazel's names of where its execution phase begins and ends."""
_WAITING = re.compile(
    r"\b(wait\w*|borrow\w*|acquir\w*|lock\w*|semaphore|queu\w*|throttl\w*)\b", re.I
)
_NO_WAITING = re.compile(r"response|working|release|unlock|CriticalPath", re.I)
_COVERS = 0.9
_DEPTH_MAX = 6

Event = Mapping[str, Any]
Spans = list[tuple[float, float, Event]]


def read_chrome(log: JobLog, name: str, document: Any) -> None:
    """Take in one trace.

    Raises:
        BadAudit: It holds no span with a duration.
    """
    events: Sequence[Event] = document["traceEvents"] if isinstance(document, dict) else document
    spans = _spans(log, name, events)
    if not spans:
        raise BadAudit(f"{name} must hold spans with a duration, got none", "record a whole trace")
    capture = Capture(name, "chrome trace", clock=False)
    log.captures.append(capture)
    capture.phases = _phases(events)
    actions = [one for one in spans if one[2].get("cat") == ACTION]
    if actions:
        capture.kind = "chrome trace of a build"
        _execution(capture)
        capture.critical_path_s = _critical(spans)
        capture.cores = _cores(events, capture.span)
        runs = actions
    else:
        runs = _outermost(spans)
    _add(log, capture, runs, spans)
    capture.slots = len({(e.get("pid"), e.get("tid")) for _, _, e in runs})


def _spans(log: JobLog, name: str, events: Sequence[Event]) -> Spans:
    """Spans in seconds: complete events, and begins with their ends."""
    spans: Spans = []
    open_: dict[tuple[Any, Any], list[tuple[float, Event]]] = {}
    for number, event in enumerate(events, start=1):
        kind = event.get("ph") if isinstance(event, dict) else None
        if kind not in ("X", "B", "E"):
            continue
        try:
            at = float(event["ts"]) / 1e6
            duration = float(event.get("dur", 0)) / 1e6
        except (KeyError, TypeError, ValueError):
            log.wrong("a value that is no time and no number", f"{name} event {number}")
            continue
        thread = (event.get("pid"), event.get("tid"))
        if kind == "B":
            open_.setdefault(thread, []).append((at, event))
        elif kind == "E":
            begun = open_.get(thread)
            if not begun:
                log.wrong("an end without a begin", f"{name} event {number}")
                continue
            begin, first = begun.pop()
            spans.append((begin, at, first))
        elif duration < 0:
            log.wrong("an end before its start", f"{name} event {number}")
        else:
            spans.append((at, at + duration, event))
    return spans


def _phases(events: Sequence[Event]) -> list[Phase]:
    marks = sorted(
        (float(e["ts"]) / 1e6, str(e.get("name")))
        for e in events
        if isinstance(e, dict) and e.get("cat") == PHASE and "ts" in e
    )
    return [Phase(name, at, until) for (at, name), (until, _) in pairwise(marks)]


def _execution(capture: Capture) -> None:
    for phase in capture.phases:
        if phase.name == _EXECUTION[0]:
            capture.span = (phase.begins, phase.ends)


def _cores(events: Sequence[Event], span: tuple[float, float] | None) -> float | None:
    """Mean of the machine's busy cores, from Bazel's counter of it."""
    if span is None:
        return None
    values = [
        float(next(iter(e["args"].values())))
        for e in events
        if e.get("ph") == "C"
        and e.get("name") == "CPU usage (total)"
        and e.get("args")
        and span[0] <= float(e["ts"]) / 1e6 < span[1]
    ]
    return sum(values) / len(values) if values else None


def _critical(spans: Spans) -> float | None:
    found = [ends - begins for begins, ends, e in spans if e.get("cat") == CRITICAL]
    return sum(found) if found else None


def _outermost(spans: Spans) -> Spans:
    """The spans that no other of their thread holds, or those inside when one holds everything."""
    threads: dict[tuple[Any, Any], Spans] = {}
    for span in spans:
        threads.setdefault((span[2].get("pid"), span[2].get("tid")), []).append(span)
    runs: Spans = []
    for of_thread in threads.values():
        inside = sorted(of_thread, key=lambda one: (one[0], -one[1]))
        for _ in range(_DEPTH_MAX):
            outer, inner = _split(inside)
            whole = outer[-1][1] - outer[0][0]
            if len(outer) > 1 or not inner or outer[0][1] - outer[0][0] < _COVERS * whole:
                break
            inside = inner
        runs.extend(_split(inside)[0])
    return runs


def _split(ordered: Spans) -> tuple[Spans, Spans]:
    outer: Spans = []
    inner: Spans = []
    for span in ordered:
        if outer and span[0] < outer[-1][1]:
            inner.append(span)
        else:
            outer.append(span)
    return outer, inner


def _add(log: JobLog, capture: Capture, runs: Spans, spans: Spans) -> None:
    """Add the runs, each with what it waited for in spans inside it."""
    waits: dict[tuple[Any, Any], list[tuple[float, float, str]]] = {}
    for begins, ends, event in spans:
        text = f"{event.get('cat', '')} {event.get('name', '')}"
        if _WAITING.search(text) and not _NO_WAITING.search(text) and event.get("cat") != ACTION:
            thread = (event.get("pid"), event.get("tid"))
            waits.setdefault(thread, []).append((begins, ends, _wait_name(event)))
    for of_thread in waits.values():
        of_thread.sort()
    job = log.jobs.number(capture.name)
    for begins, ends, event in sorted(runs, key=lambda one: one[0]):
        thread = (event.get("pid"), event.get("tid"))
        waited, resource = _waited(waits.get(thread, []), begins, ends)
        row = log.add(
            job, log.steps.number(_step(event)), log.workers.number(f"{capture.name}:{thread[1]}"),
            started=begins, ended=ends, waited=waited,
            resource=log.resources.number(resource) if resource else -1,
        )  # fmt: skip
        log.labels[row] = str(event.get("name", ""))


def _waited(
    waits: Sequence[tuple[float, float, str]], begins: float, ends: float
) -> tuple[float, str]:
    """Seconds waited inside a run, overlaps once, and for what mostly."""
    until, total, longest, resource = begins, 0.0, 0.0, ""
    for begin, end, name in waits:
        if begin >= ends or end <= begins or begin < begins:
            continue
        part = max(0.0, min(end, ends) - max(begin, until))
        total, until = total + part, max(until, end)
        if part > longest:
            longest, resource = part, name
    return total, resource


def _wait_name(event: Event) -> str:
    category = str(event.get("cat") or "")
    return category if _WAITING.search(category) else str(event.get("name", ""))


def _step(event: Event) -> str:
    """What kind of run it is: Bazel's mnemonic, else the first words before any path."""
    arguments = event.get("args")
    if isinstance(arguments, dict) and arguments.get("mnemonic"):
        return str(arguments["mnemonic"])
    name = str(event.get("name", "span"))
    if event.get("cat") != ACTION:
        return name
    words = []
    for word in name.split():
        if "/" in word or "@" in word or "." in word:
            break
        words.append(word)
    return " ".join(words) or name
