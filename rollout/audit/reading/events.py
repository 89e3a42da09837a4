"""Captures of Celery's events (`-E`): `celery events --dump`, or the events as JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rollout.audit.job_log import NAN, Capture, JobLog, Status
from rollout.audit.reading.times import seconds_of

_DUMPED = re.compile(
    r"^(?P<host>\S+) \[(?P<at>[^\]]+)\] task "
    r"(?P<kind>sent|received|started|succeeded|failed|retried|revoked):? "
    r"(?:(?P<name>\S+?)\((?P<id>[0-9a-fA-F-]{8,})\))?"
)
MARK = "-> evdump: starting capture"
"""The first line of `celery events --dump`."""
_ENDS = {
    "succeeded": Status.DONE,
    "failed": Status.FAILED,
    "retried": Status.RETRIED,
    "revoked": Status.REVOKED,
}


class EventLog:
    """Puts the events of each task together; a row is written at its end."""

    def __init__(self, log: JobLog, name: str) -> None:
        self._log, self._name = log, name
        self._open: dict[str, dict[str, Any]] = {}
        log.captures.append(Capture(name, "Celery events"))

    def read_dump(self, lines: Iterable[str]) -> None:
        """Take in what `celery events --dump` printed."""
        for number, line in enumerate(lines, start=1):
            if found := _DUMPED.match(line):
                if found["id"] is None:
                    self._log.wrong(
                        "an event of a task whose begin is not in this log",
                        f"{self._name} line {number}",
                    )
                    continue
                at = seconds_of(found["at"])
                self.take(number, found["kind"], found["id"], found["name"], at, found["host"])
        self.finish()

    def take_event(self, number: int, event: Mapping[str, Any]) -> None:
        """Take in one event as Celery sends it."""
        kind = str(event.get("type", ""))
        if kind.startswith("task-"):
            at = seconds_of(event.get("timestamp"))
            self.take(
                number,
                kind[5:],
                str(event.get("uuid")),
                event.get("name"),
                at,
                str(event.get("hostname", "")),
            )

    def take(self, number: int, kind: str, key: str, name: Any, at: float, host: str) -> None:
        """One event of one task."""
        task = self._open.setdefault(key, {})
        if name:
            task["name"] = str(name)
        if kind in _ENDS:
            self._end(number, key, task, at, host, _ENDS[kind])
        elif kind == "sent":
            task["queued"] = at
        else:
            task[kind] = at

    def _end(
        self, number: int, key: str, task: Mapping[str, Any], at: float, host: str, status: Status
    ) -> None:
        log, started = self._log, task.get("started", NAN)
        self._open[key] = {"name": task.get("name")} if status is Status.RETRIED else {}
        if status is not Status.RETRIED:
            del self._open[key]
        if at < started:
            log.wrong("an end before its start", f"{self._name} line {number}")
            return
        log.add(
            log.jobs.number(key), log.steps.number(task.get("name") or "unknown task"),
            log.workers.number(host) if host else -1, queued=task.get("queued", NAN),
            received=task.get("received", NAN), started=started, ended=at, status=status,
        )  # fmt: skip

    def finish(self) -> None:
        """What has no end in this capture."""
        for key, task in self._open.items():
            self._log.add(
                self._log.jobs.number(key),
                self._log.steps.number(task.get("name") or "unknown task"),
                queued=task.get("queued", NAN), received=task.get("received", NAN),
                started=task.get("started", NAN), status=Status.OPEN,
            )  # fmt: skip
