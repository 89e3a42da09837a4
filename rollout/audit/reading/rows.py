"""Rows that say it themselves: CSV or JSON lines, the recorder's own lines among them.

Columns: `run_id, step, queued_at, received_at, started_at, ended_at, status, resource, parents,
worker, cpu_s, waited_s, size`. Only `step` and one time are needed; names that other tools use for
the same thing are known, too (`ALIASES`). Process-mining logs (case, activity, timestamp,
lifecycle) are rows with an end and perhaps a start.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from rollout.audit.job_log import NAN, BadAudit, Capture, JobLog, Status
from rollout.audit.reading.times import number_of, seconds_of

ALIASES: dict[str, tuple[str, ...]] = {
    "run_id": ("run_id", "job_id", "case_id", "case", "case:concept:name", "caseid", "trace_id",
               "workflow_id", "dag_run_id", "job", "id", "root_id"),
    "step": ("step", "activity", "concept:name", "task_id", "task_name", "task", "name", "event",
             "operation", "stage", "step_name"),
    "step_id": ("step_id", "span_id", "task_uuid"),
    "queued_at": ("queued_at", "enqueued_at", "queued_dttm", "submitted_at", "created_at",
                  "queued", "enqueued", "submit_time", "scheduled_at"),
    "received_at": ("received_at", "received", "fetched_at"),
    "started_at": ("started_at", "start_date", "start_time", "start_timestamp", "started",
                   "start", "begin", "begin_time"),
    "ended_at": ("ended_at", "end_date", "end_time", "completed_at", "finished_at", "ended", "end",
                 "finished", "time:timestamp", "timestamp", "complete_timestamp", "completetime",
                 "time", "end_timestamp", "completion_time"),
    "duration_s": ("duration_s", "duration", "runtime", "runtime_s", "elapsed_s"),
    "status": ("status", "state", "outcome", "conclusion", "result"),
    "resource": ("resource", "pool", "lock"),
    "worker": ("worker", "hostname", "worker_id", "machine", "host", "node",
               "org:resource"),
    "parents": ("parents", "after", "depends_on", "upstream", "upstream_task_ids", "parent_id",
                "parent"),
    "cpu_s": ("cpu_s", "cpu", "cpu_seconds", "cpu_time"),
    "waited_s": ("waited_s", "wait_s", "lock_wait_s", "resource_wait_s"),
    "size": ("size", "payload_bytes", "input_bytes", "bytes", "records", "rows", "input_size"),
    "lifecycle": ("lifecycle", "lifecycle:transition", "transition"),
}  # fmt: skip
"""Our columns and what other tools call them; the first that is there counts."""

STATUS_OF = {
    Status.DONE: ("", "success", "succeeded", "done", "ok", "completed", "complete", "finished",
                  "committed", "skipped", "neutral", "pass", "passed"),
    Status.FAILED: ("failed", "failure", "error", "errored", "upstream_failed", "timed_out",
                    "timeout", "crashed", "aborted", "dead", "lost"),
    Status.RETRIED: ("retry", "retried", "up_for_retry", "restarting"),
    Status.REVOKED: ("revoked", "cancelled", "canceled", "removed", "shutdown"),
    Status.OPEN: ("running", "queued", "open", "started", "pending", "scheduled", "deferred",
                  "in_progress"),
}  # fmt: skip
_STATUS = {word: status for status, words in STATUS_OF.items() for word in words}


class Rows:
    """Takes rows of one input, and ties parents when all are in."""

    def __init__(self, log: JobLog, name: str, kind: str = "rows", place: str = "line") -> None:
        self._log, self._name, self._place = log, name, place
        self.capture = Capture(name, kind)
        log.captures.append(self.capture)
        self._columns: dict[str, str] = {}
        self._named: list[tuple[int, int, str]] = []
        self._statuses: dict[Any, Status] = {}
        self._parents: dict[int, list[str]] = {}
        self._open: dict[tuple[str, str], list[float]] = {}

    def read_csv(self, lines: Iterable[str]) -> None:
        """A header, then a row a line."""
        head, lines = _first(lines)
        separator = max((",", ";", "\t"), key=head.count)
        cells = csv.reader(lines, delimiter=separator)
        columns = [
            one.strip().lstrip("\ufeff") for one in next(csv.reader([head], delimiter=separator))
        ]
        self._know(columns)
        mine = tuple(self._columns)
        places = [columns.index(theirs) for theirs in self._columns.values()]
        # One column alone would come without its tuple.
        cells_of = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
        width, take = len(columns), self.take
        for row in cells:
            number = cells.line_num + 1
            if len(row) != width:
                if row:
                    self._wrong("a half line", number)
                continue
            take(number, dict(zip(mine, cells_of(row), strict=True)))
        self.finish()

    def read_json_lines(self, lines: Iterable[str]) -> None:
        """One object a line."""
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError:
                values = None
            if not isinstance(values, dict):
                self._wrong("a half line", number)
                continue
            self.take_object(number, values)
        self.finish()

    def take_object(self, number: int, values: Mapping[str, Any]) -> None:
        """A row with names of its own."""
        keys = values.keys()
        if not keys <= self._columns.keys():
            self._know([*dict.fromkeys([*self._theirs(), *keys])])
        self.take(number, {mine: values.get(theirs) for mine, theirs in self._columns.items()})

    def _theirs(self) -> Iterable[str]:
        return self._columns.values()

    def _know(self, columns: list[str]) -> None:
        lower = {column.lower().replace(" ", "_"): column for column in reversed(columns)}
        taken: set[str] = set()
        for mine, theirs in ALIASES.items():
            column = next(
                (lower[one] for one in theirs if one in lower and lower[one] not in taken), None
            )
            if column is not None:
                self._columns[mine] = column
                taken.add(column)
        if not self._columns.keys() & {"started_at", "ended_at", "queued_at"}:
            raise BadAudit(
                f"{self._name} must have a column with a time, got {', '.join(columns)[:200]}",
                "columns are run_id, step, queued_at, started_at, ended_at, status, resource, "
                "parents",
            )

    def take(self, number: int, values: Mapping[str, Any]) -> None:
        """Add one row; what cannot be is counted with its number and left out."""
        log, get = self._log, values.get
        try:
            queued, started, ended = (
                seconds_of(get("queued_at")), seconds_of(get("started_at")),
                seconds_of(get("ended_at")),
            )  # fmt: skip
            received = seconds_of(values["received_at"]) if "received_at" in values else NAN
            cpu = number_of(values["cpu_s"]) if "cpu_s" in values else NAN
            waited = number_of(values["waited_s"]) if "waited_s" in values else NAN
            size = number_of(values["size"]) if "size" in values else NAN
            took = number_of(values["duration_s"]) if "duration_s" in values else NAN
        except (ValueError, TypeError, OverflowError):
            self._wrong("a value that is no time and no number", number)
            return
        if took >= 0:
            if ended != ended:
                ended = started + took
            elif started != started:
                started = ended - took
        run, step = str(get("run_id") or ""), str(get("step") or self._name)
        if "lifecycle" in values and get("lifecycle"):
            paired = self._lifecycle(str(get("lifecycle")).lower(), run, step, ended)
            if paired is None:
                return
            started = paired
        if cannot := _cannot_be(queued, started, ended, took):
            self._wrong(cannot, number)
            return
        status = self._status(get("status"))
        if status is Status.DONE and ended != ended:
            status = Status.OPEN
        worker, resource = get("worker"), get("resource")
        job = log.jobs.number(run) if run else log.jobs.nameless()
        row = log.add(
            job, log.steps.number(step), log.workers.number(str(worker)) if worker else -1,
            queued=queued, received=received, started=started, ended=ended, status=status,
            resource=log.resources.number(str(resource)) if resource else -1,
            cpu=cpu, waited=waited, size=size,
        )  # fmt: skip
        if "parents" in values:
            self._tie_later(row, job, values, step)

    def _tie_later(self, row: int, job: int, values: Mapping[str, Any], step: str) -> None:
        """Remember names that parents may be called by, once a row has named a parent."""
        named = _parents_of(values["parents"])
        if named:
            self._parents[row] = named
        self._named.append((row, job, str(values.get("step_id") or step)))

    def _status(self, text: Any) -> Status:
        known = self._statuses.get(text)
        if known is None:
            known = _STATUS.get(str(text or "").strip().lower(), Status.DONE)
            self._statuses[text] = known
        return known

    def _lifecycle(self, word: str, run: str, step: str, at: float) -> float | None:
        """Start of the run that this event completes; None while it is not complete."""
        if word in ("complete", "ate_abort", "autoskip", "manualskip"):
            starts = self._open.get((run, step))
            return starts.pop(0) if starts else NAN
        if word == "start":
            self._open.setdefault((run, step), []).append(at)
        return None

    def _wrong(self, kind: str, number: int) -> None:
        self._log.wrong(kind, f"{self._name} {self._place} {number}")

    def finish(self) -> None:
        """Tie each row to its parents, now that all of them are known."""
        if not self._parents:
            return
        by_name = {(job, name): row for row, job, name in self._named}
        for row, named in self._parents.items():
            job = self._log.job[row]
            rows = [by_name.get((job, one)) for one in named]
            if any(one is None for one in rows):
                self._log.notes["a parent that is not in this log"] += 1
            tied = tuple(one for one in rows if one is not None and one != row)
            if tied:
                self._log.parents[row] = tied


def _cannot_be(queued: float, started: float, ended: float, took: float) -> str:
    """What is wrong with the times of a row; "" for nothing."""
    if ended < started or took < 0:
        return "an end before its start"
    if ended < queued - 1e-6:
        return "an end before the job began"
    return "a start before its queueing" if started < queued - 1e-6 else ""


def _first(lines: Iterable[str]) -> tuple[str, Iterable[str]]:
    iterator = iter(lines)
    return next(iterator, "").rstrip("\r\n"), iterator


def _parents_of(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, (list, tuple)):
        return [str(one) for one in value]
    text = str(value).strip()
    if text[:1] == "[":
        try:
            return [str(one) for one in json.loads(text.replace("'", '"'))]
        except ValueError:
            return []
    for separator in ("|", ";", ",", " "):
        if separator in text:
            return [one.strip() for one in text.split(separator) if one.strip()]
    return [text]
