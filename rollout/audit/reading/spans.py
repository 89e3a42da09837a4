"""Spans of distributed traces: OTLP JSON and Jaeger JSON.

A run is a span; its job is its trace, its parents are the spans that ended before it under the same
parent span, so that a service's own way stays in order. A span that only holds others is left out
when it has children: its time is theirs. A lock's own message ("Waiting for lock behind 3
transactions", "Acquired lock; 0 transactions waiting") is a wait only where somebody really waited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.audit.job_log import NAN, BadAudit, Capture, JobLog, Status

_WAITS = re.compile(r"wait\w* for (?:the )?(?P<what>\w+)(?: behind (?P<count>\d+))?", re.I)
_GOT = re.compile(r"acquired (?:the )?(?P<what>\w+)", re.I)
_SELF_MIN = 0.05
"""A parent span whose own time is below this share of it is only a frame around its children."""


@dataclass(slots=True)
class Span:
    """One span, in seconds since 1970."""

    trace: str
    id: str
    parent: str
    name: str
    service: str
    begins: float
    ends: float
    failed: bool = False
    events: list[tuple[float, str]] = field(default_factory=list)
    cpu: float = NAN
    size: float = NAN


def read_otlp(log: JobLog, name: str, documents: Iterable[Mapping[str, Any]]) -> None:
    """Take in OTLP JSON: one document, or one a line as the collector's file exporter writes."""
    _take(log, name, "OTLP spans", _otlp(documents))


def read_jaeger(log: JobLog, name: str, document: Mapping[str, Any]) -> None:
    """Take in what Jaeger hands out: `{"data": [{"traceID", "spans", "processes"}]}`."""
    _take(log, name, "Jaeger spans", _jaeger(document))


def _otlp(documents: Iterable[Mapping[str, Any]]) -> Iterator[Span]:
    for document in documents:
        for resource in document.get("resourceSpans") or document.get("resource_spans") or ():
            about = _attributes(resource.get("resource", {}).get("attributes"))
            scopes = resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans") or ()
            for scope in scopes:
                for span in scope.get("spans", ()):
                    more = _attributes(span.get("attributes"))
                    status = span.get("status", {}).get("code", 0)
                    yield Span(
                        str(span.get("traceId", "")), str(span.get("spanId", "")),
                        str(span.get("parentSpanId") or ""), str(span.get("name", "span")),
                        str(about.get("service.name", "")),
                        float(span["startTimeUnixNano"]) / 1e9,
                        float(span["endTimeUnixNano"]) / 1e9,
                        status in (2, "STATUS_CODE_ERROR"),
                        [(float(e.get("timeUnixNano", 0)) / 1e9, str(e.get("name", "")))
                         for e in span.get("events", ())],
                        _number(more, "cpu_s", "process.cpu.time"),
                        _number(more, "messaging.message.body.size", "input.size", "size"),
                    )  # fmt: skip


def _jaeger(document: Mapping[str, Any]) -> Iterator[Span]:
    traces = document["data"] if isinstance(document.get("data"), list) else [document]
    for trace in traces:
        processes = trace.get("processes", {})
        for span in trace.get("spans", ()):
            tags = {str(t.get("key")): t.get("value") for t in span.get("tags", ())}
            parents = [
                str(r.get("spanID")) for r in span.get("references", ())
                if r.get("refType", "CHILD_OF") == "CHILD_OF"
            ]  # fmt: skip
            begins = float(span["startTime"]) / 1e6
            yield Span(
                str(span.get("traceID", "")), str(span.get("spanID", "")),
                parents[0] if parents else str(span.get("parentSpanID") or ""),
                str(span.get("operationName", "span")),
                str(processes.get(span.get("processID"), {}).get("serviceName", "")),
                begins, begins + float(span.get("duration", 0)) / 1e6,
                str(tags.get("error", "")).lower() == "true",
                [(float(one.get("timestamp", 0)) / 1e6, _text(one)) for one in span.get("logs",
                ())],
            )  # fmt: skip


def _text(entry: Mapping[str, Any]) -> str:
    return " ".join(
        str(one.get("value", ""))
        for one in entry.get("fields", ())
        if one.get("key") in ("event", "message", "name")
    )


def _attributes(listed: Any) -> dict[str, Any]:
    return {
        str(one.get("key")): next(iter(one.get("value", {}).values()), None)
        for one in listed or ()
        if isinstance(one.get("value"), dict)
    }


def _number(values: Mapping[str, Any], *names: str) -> float:
    for name in names:
        try:
            return float(values[name])
        except (KeyError, TypeError, ValueError):
            continue
    return NAN


def _take(log: JobLog, name: str, kind: str, spans: Iterable[Span]) -> None:
    log.captures.append(Capture(name, kind))
    kept: list[Span] = []
    for number, span in enumerate(spans, start=1):
        if span.ends < span.begins:
            log.wrong("an end before its start", f"{name} span {number}")
        else:
            kept.append(span)
    if not kept:
        raise BadAudit(f"{name} must hold spans, got none", "export traces, not metrics or logs")
    by_id = {(one.trace, one.id): one for one in kept}
    children: dict[tuple[str, str], list[Span]] = {}
    for one in kept:
        above = by_id.get((one.trace, one.parent))
        if above is not None:
            children.setdefault((one.trace, one.parent), []).append(one)
            if one.ends <= above.begins:
                log.wrong("an end before the job began", f"{name} span {one.id}")
    rows: dict[int, int] = {}
    for one in sorted(kept, key=lambda span: span.begins):
        inside = children.get((one.trace, one.id), [])
        if inside and _own(one, inside) < _SELF_MIN * (one.ends - one.begins):
            continue
        if inside:
            log.notes["spans around others"] += 1
            continue
        waited, what = waits_of(one)
        service = f"{one.service}: " if one.service else ""
        rows[id(one)] = log.add(
            log.jobs.number(one.trace), log.steps.number(f"{service}{one.name}"),
            log.workers.number(one.service) if one.service else -1,
            started=one.begins, ended=one.ends,
            status=Status.FAILED if one.failed else Status.DONE,
            resource=log.resources.number(what) if what else -1, waited=waited,
            cpu=one.cpu, size=one.size,
        )  # fmt: skip
    _tie(log, children, rows)


def _own(span: Span, children: list[Span]) -> float:
    """Seconds of a span in which none of its children ran."""
    until, covered = span.begins, 0.0
    for child in sorted(children, key=lambda one: one.begins):
        begin, end = max(child.begins, until), min(child.ends, span.ends)
        covered, until = covered + max(0.0, end - begin), max(until, end)
    return span.ends - span.begins - covered


def waits_of(span: Span) -> tuple[float, str]:
    """Seconds that a span's own messages say it waited for a lock or a pool, and for which.

    "Acquired lock; 0 transactions waiting" is no contention: without a message before it that says
    that this one waits, nothing was waited for.
    """
    total, since, what, spoken = 0.0, NAN, "", False
    for at, text in sorted(span.events):
        if waits := _WAITS.search(text):
            spoken = True
            if waits["count"] != "0":
                since, what = at, waits["what"]
        elif _GOT.search(text):
            spoken = True
            if since == since:
                total, since = total + at - since, NAN
    return (total, what) if spoken else (NAN, "")


def _tie(
    log: JobLog, children: Mapping[tuple[str, str], list[Span]], rows: Mapping[int, int]
) -> None:
    """Order among the spans of one parent: the latest that had ended when one began."""
    for siblings in children.values():
        ordered = [(one, rows[id(one)]) for one in siblings if id(one) in rows]
        for one, row in ordered:
            before = [other for other, _ in ordered if other.ends <= one.begins]
            if before:
                last = max(before, key=lambda other: other.ends)
                log.parents[row] = (rows[id(last)],)
