"""Which reader a text belongs to, and the reading of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from rollout.audit.job_log import BadAudit, JobLog
from rollout.audit.reading.across import Across
from rollout.audit.reading.chrome import read_chrome
from rollout.audit.reading.documents import read_actions, read_airflow, read_wfformat
from rollout.audit.reading.events import MARK, EventLog
from rollout.audit.reading.json_log import as_celery_lines, logged_object
from rollout.audit.reading.rows import Rows
from rollout.audit.reading.spans import read_jaeger, read_otlp
from rollout.audit.reading.worker_log import HIDDEN, WORDS, WorkerLog

HEAD_LINES = 400
"""Lines that are looked at to tell what a file is: a worker's banner and tracebacks come first."""
READABLE = (
    "a Celery worker log (level INFO), Celery events, CSV or JSON lines with a header of column "
    "names, "
    "OTLP or Jaeger JSON, a Chrome trace, Airflow task instances, GitHub Actions jobs, WfFormat "
    "or XES"
)


def read_text(log: JobLog, name: str, lines: Iterable[str], across: Across | None = None) -> None:
    """Read the lines of one file into the log, whatever they are.

    Args:
        log: Takes the runs.
        name: The file's, for sentences.
        lines: Its lines.
        across: Joins what the log of one worker says in several files; whoever gives it closes it.

    Raises:
        BadAudit: It is none of the known kinds, or holds nothing.
    """
    iterator = iter(lines)
    head = [line for line, _ in zip(iterator, range(HEAD_LINES), strict=False)]
    everything = chain(head, iterator)
    first = next((line.strip() for line in head if line.strip()), "")
    if not first:
        raise BadAudit(f"{name} must hold a job a line, got nothing", f"give {READABLE}")
    of_celery = next((line for line in head if any(word in line for word in WORDS)), None)
    json_logger = of_celery is not None and logged_object(of_celery) is not None
    if of_celery is not None and (json_logger or not first.startswith(("{", "[{"))):
        one = across or Across(log)
        WorkerLog(log, name, one).read(as_celery_lines(everything) if json_logger else everything)
        if across is None:
            one.close()
    elif any(line.startswith(MARK) for line in head):
        EventLog(log, name).read_dump(everything)
    elif first[0] in "{[" and first[:5] != "[2026" and not _is_log(first):
        _json(log, name, first, everything)
    elif any(HIDDEN in line for line in head):
        raise BadAudit(
            f"{name} must be a worker log of level INFO, got failures only",
            "start the worker with --loglevel INFO: received and succeeded are written at INFO",
        )
    elif not _is_log(first) and any(one in first for one in (",", ";", "\t")):
        Rows(log, name).read_csv(chain([first], _after(everything)))
    else:
        raise BadAudit(
            f"{name} must be a known kind of log, got {first[:60]!r}", f"give {READABLE}"
        )


def _is_log(first: str) -> bool:
    """A bracket may open a date of a log: [2026-11-26 ...."""
    return len(first) > 5 and first[0] == "[" and first[1:5].isdigit() and first[5] == "-"


def _after(lines: Iterable[str]) -> Iterable[str]:
    """The lines behind the first that is not empty."""
    iterator = iter(lines)
    for line in iterator:
        if line.strip():
            break
    return iterator


def _json(log: JobLog, name: str, first: str, lines: Iterable[str]) -> None:
    try:
        value = json.loads(first)
    except ValueError:
        value = None
    if isinstance(value, dict) and not _is_document(value):
        _json_lines(log, name, value, lines)
        return
    if isinstance(value, dict) and "resourceSpans" in value:
        read_otlp(log, name, _each(log, name, lines))
        return
    try:
        document = value if value is not None and _complete(value) else json.loads("".join(lines))
    except ValueError as error:
        raise BadAudit(f"{name} must be whole JSON, got: {error}", "export it again") from None
    read_document(log, name, document)


def _complete(value: Any) -> bool:
    return isinstance(value, (dict, list)) and bool(value)


_DOCUMENTS = (
    "traceEvents", "resourceSpans", "data", "jobs", "task_instances", "workflow", "spans",
)  # fmt: skip


def _is_document(value: Mapping[str, Any]) -> bool:
    return any(isinstance(value.get(one), (list, dict)) for one in _DOCUMENTS)


def _each(log: JobLog, name: str, lines: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                log.wrong("a half line", f"{name} line {number}")


def _json_lines(log: JobLog, name: str, first: Mapping[str, Any], lines: Iterable[str]) -> None:
    if str(first.get("type", "")).startswith(("task-", "worker-")):
        events = EventLog(log, name)
        for number, event in enumerate(_each(log, name, lines), start=1):
            events.take_event(number, event)
        events.finish()
    else:
        Rows(log, name).read_json_lines(lines)


def read_document(log: JobLog, name: str, document: Any) -> None:
    """Read one parsed JSON document.

    Raises:
        BadAudit: It is none of the known kinds.
    """
    if isinstance(document, list):
        _listed(log, name, document)
    elif "traceEvents" in document:
        read_chrome(log, name, document)
    elif "resourceSpans" in document:
        read_otlp(log, name, [document])
    elif isinstance(document.get("data"), list) or "spans" in document:
        read_jaeger(log, name, document)
    elif isinstance(document.get("task_instances"), list):
        read_airflow(log, name, document["task_instances"])
    elif isinstance(document.get("jobs"), list):
        read_actions(log, name, document["jobs"])
    elif isinstance(document.get("workflow"), dict):
        read_wfformat(log, name, document)
    else:
        raise BadAudit(
            f"{name} must be a known kind of JSON, got keys {', '.join(document)[:80]}",
            f"give {READABLE}",
        )


def _listed(log: JobLog, name: str, items: list[Any]) -> None:
    first = next((one for one in items if isinstance(one, dict)), None)
    if first is None:
        raise BadAudit(
            f"{name} must be a list of objects, got {str(items)[:40]!r}", f"give {READABLE}"
        )
    if "ph" in first:
        read_chrome(log, name, items)
    elif "resourceSpans" in first:
        read_otlp(log, name, items)
    elif "dag_id" in first:
        read_airflow(log, name, items)
    elif isinstance(first.get("jobs"), list):
        read_actions(log, name, [job for one in items for job in one.get("jobs", ())])
    elif "runner_name" in first and "conclusion" in first:
        read_actions(log, name, items)
    else:
        rows = Rows(log, name, place="object")
        for number, one in enumerate(items, start=1):
            rows.take_object(number, one)
        rows.finish()
