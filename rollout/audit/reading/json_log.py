"""Worker logs whose logger writes JSON: each object becomes the line that Celery would write.

python-json-logger, structlog, loguru, ECS, Google Cloud, and what Docker and collectors wrap a line
in differ in their names only: one field holds the message, one the time, perhaps one the process.
A prefix before the object (docker compose, kubectl) does no harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rollout.audit.reading.times import seconds_of

_MESSAGES = ("message", "msg", "event", "log", "text", "MESSAGE", "short_message", "@message",
             "textPayload")  # fmt: skip
_TIMES = ("timestamp", "@timestamp", "time", "ts", "asctime", "created", "datetime", "date", "t",
          "__REALTIME_TIMESTAMP", "@t")  # fmt: skip
_PROCESSES = ("processName", "process_name", "process", "process.name")
_PLAIN = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,3})\d*)?(?:Z|\+00:00)?")
_INSIDE = ("record", "jsonPayload", "fields", "log")
"""Fields in which some loggers keep the others."""


def logged_object(line: str) -> dict[str, Any] | None:
    """The object that a line of a JSON logger holds; None when it holds none with a message."""
    begins = line.find("{")
    if begins < 0:
        return None
    try:
        values = json.loads(line[begins:])
    except ValueError:
        return None
    if not isinstance(values, dict) or not _message(values):
        return None
    return values


def as_celery_lines(lines: Iterable[str]) -> Iterator[str]:
    """One line for each line, so that numbers stay; what is no object is passed on as it is."""
    for line in lines:
        values = logged_object(line)
        yield line if values is None else _line(values)


def _line(values: Mapping[str, Any]) -> str:
    message = _message(values).partition("\n")[0]
    if message.startswith("[") and message[1:5].isdigit():
        return message  # Celery's own line, wrapped by whoever collected it
    when = _time(values)
    if when is None:
        return message
    return f"[{when}: INFO/{next(_texts(values, _PROCESSES), '')}] {message}"


def _fields(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield values
    for name in _INSIDE:
        inside = values.get(name)
        if isinstance(inside, dict):
            yield inside


def _message(values: Mapping[str, Any]) -> str:
    """What Celery said, else the first text that may be a message; "" for none."""
    first = ""
    for text in _texts(values, _MESSAGES):
        if "Task " in text:
            return text
        first = first or text
    return first


def _texts(values: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for fields in _fields(values):
        for name in names:
            value = fields.get(name)
            if isinstance(value, dict):  # {"process": {"name": ...}}, {"level": {"name": ...}}
                value = value.get("name")
            if isinstance(value, str):
                yield value


def _time(values: Mapping[str, Any]) -> str | None:
    """The first field that is a time, in UTC as Celery writes it; None for none."""
    for fields in _fields(values):
        for name in _TIMES:
            value = fields.get(name)
            if isinstance(value, dict):  # loguru: {"time": {"repr": ..., "timestamp": ...}}
                value = value.get("timestamp")
            if value is None or isinstance(value, bool):
                continue
            if isinstance(value, str):
                value = value.replace(",", ".")
                if plain := _PLAIN.fullmatch(value):
                    return f"{plain[1]} {plain[2]}" + (f",{plain[3]:0<3}" if plain[3] else "")
            try:
                at = datetime.fromtimestamp(seconds_of(value), UTC).replace(tzinfo=None)
            except (ValueError, TypeError, OverflowError):
                continue
            whole = isinstance(value, int) and not at.microsecond
            return at.isoformat(" ", "seconds" if whole else "milliseconds").replace(".", ",")
    return None
