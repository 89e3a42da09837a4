"""A plain Celery worker log: what Celery writes at level INFO, and nothing else is needed.

Known lines, in the message of Celery's default format (a time stands before it, whatever the
format):

    Task NAME[ID] received
    Task NAME[ID] succeeded in 0.5s: ...        (start = end - runtime)
    Task NAME[ID] retry: ...                    (also "retry: Retry in 3s: ...")
    Task NAME[ID] raised unexpected: ...        (also "raised expected", "INTERNAL ERROR",
    "ignored")
    Soft time limit (3s) exceeded for NAME[ID], Hard time limit (3s) exceeded for NAME[ID]
    Discarding revoked task: NAME[ID]
    Received task: NAME[ID] ...                 (Celery 3 and 4)

Celery writes no start and no time in the queue: a run that fails has an end and no start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from rollout.audit.doubts import JUMPS_MIN
from rollout.audit.job_log import CLOCK_BACK, NAN, TWICE, BadAudit, Capture, JobLog, Status
from rollout.audit.reading.across import BEGINNINGS_MAX, Across
from rollout.audit.reading.log_times import iso_line

_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:[,.](?P<part>\d{1,6}))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?"
    r"(?:: (?P<level>[A-Z]+)/(?P<process>[^\]]+)\])?"
    r".*?(?P<what>Task |Received task: |Soft time limit |Hard time limit "
    r"|Discarding revoked task: )"
)
_ODD = re.compile(
    r"(?P<name>\S.*?)\[(?P<id>[^\[\] ]+)\]"
    r"(?=\s*$|\s+(?:received|succeeded in |retry: |raised |ignored|rejected|INTERNAL ERROR"
    r"|ETA:|eta:|expires:))"
)
"""A name with spaces or brackets, as `@app.task(name="send mail [eu]")` gives: what comes behind
the id tells where it ends."""
_RUNTIME = re.compile(r"succeeded in (\d+(?:\.\d+)?(?:e-?\d+)?)s")
_LIMIT = re.compile(r"\([\d.]+s\) exceeded for (?P<name>\S.*?)\[(?P<id>[^\[\]\s]+)\]\s*$")
_CONCURRENCY = re.compile(r"\.> concurrency: +(\d+)")
_FAILED = ("raised unexpected", "raised expected", "INTERNAL ERROR", "rejected")
_SLACK_S = 1.0
"""A clock may step back this far (NTP, interleaved processes) without being called a jump."""
WORDS = ("] received", "] succeeded in ", "Received task: ")
"""What tells a worker log from any other text."""
HIDDEN = "] raised unexpected: "
"""What is left of it at level WARNING."""


class WorkerLog:
    """Reads the log of one worker, line by line.

    A job is open from `received` to its end; what is open in the end is left to `across`, because
    its end may stand in another file.
    """

    def __init__(self, log: JobLog, name: str, across: Across) -> None:
        self._log, self._name, self._across = log, name, across
        self._capture = Capture(name, "worker log")
        log.captures.append(self._capture)
        self._received: dict[str, float] = {}
        self._retried: dict[str, int] = {}
        self._over_limit: set[str] = set()
        self._last = NAN
        self._date, self._zone, self._date_s = "", "", 0.0
        self._beginnings = BEGINNINGS_MAX
        self._parts = False
        self._twice: list[tuple[float, float, int]] = []
        self._first_row = len(log) + log.dropped
        self._without_time = ""

    def read(self, lines: Iterable[str]) -> None:
        """Take in all lines, then say what stayed open.

        Raises:
            BadAudit: No line has a time that is known.
        """
        for number, line in enumerate(lines, start=1):
            if line[:1] == "[" and line[20:21] == "," and line[24:26] == ": ":
                # Celery's own format, which nearly every log has, needs no pattern.
                head = line.find("] ", 26)
                if line.startswith("Task ", head + 2):
                    at = self._at(number, line[1:20], line[21:24], "")
                    process = line[line.find("/", 26) + 1 : head]
                    self._event(number, at, "Task ", process, line[head + 7 :])
                    continue
            found = _LINE.search(line)
            if found is None and (WORDS[0] in line or WORDS[1] in line):
                line = iso_line(line) or line
                found = _LINE.search(line)
            if found is None:
                self._other(number, line)
                continue
            at = self._at(number, found["at"], found["part"] or "", found["zone"] or "")
            self._event(number, at, found["what"], found["process"] or "", line[found.end() :])
        if self._last != self._last and self._without_time:
            raise BadAudit(
                f"{self._name} must have a time before each line, such as 2026-11-26 17:48:41,123; "
                f"got {self._without_time[:60]!r}",
                "put %(asctime)s into worker_log_format; of a log that is there, `journalctl -o "
                "short-iso`, `docker logs --timestamps` and `kubectl logs --timestamps` tell times",
            )
        self._capture.whole_seconds = self._last == self._last and not self._parts
        self._leave_out_twice()
        step = self._log.steps.number
        for key, received in self._received.items():
            name, _, _ = key.rpartition("[")
            self._across.left_open(key, self._job(key, Status.OPEN), step(name), received)

    def _leave_out_twice(self) -> None:
        """Take the start from runs in a span that the clock shows twice.

        When summer time ends, runs of two hours lie on each other in one: they would look like
        twice the workers, and like runs beside others that they never met.
        """
        log = self._log
        for begins, ends, number in self._twice:
            for row in range(max(0, self._first_row - log.dropped), len(log)):
                if log.started[row] < ends and log.ended[row] > begins:
                    log.started[row] = log.received[row] = NAN
                    log.wrong(TWICE, f"{self._name} line {number}")

    def _other(self, number: int, line: str) -> None:
        if concurrency := _CONCURRENCY.search(line):
            # A worker that restarts in one file says it again.
            self._capture.slots = max(self._capture.slots or 0, int(concurrency[1]))
        elif WORDS[0] in line or WORDS[1] in line:
            self._without_time = self._without_time or line.strip()
            self._log.wrong("a half line", f"{self._name} line {number}")

    def _at(self, number: int, text: str, part: str, zone: str) -> float:
        """The time of a line; a step back is counted."""
        if text != self._date or zone != self._zone:
            at = datetime.fromisoformat(text + zone)
            self._date, self._zone = text, zone
            self._date_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        seconds = self._date_s
        if part:
            self._parts = True
            seconds += int(part) / 10 ** len(part)
        if seconds < self._last - _SLACK_S:
            self._log.wrong(CLOCK_BACK, f"{self._name} line {number}")
            if len(self._twice) < JUMPS_MIN:  # with more the times carry nothing at all
                self._twice.append((seconds, self._last, number))
        self._last = seconds
        return seconds

    def _event(self, number: int, at: float, what: str, process: str, rest: str) -> None:
        if what.endswith("limit "):
            if limit := _LIMIT.match(rest):
                self._limit(at, what, limit)
            return
        opens = rest.find("[")
        closes = rest.find("]", opens)
        if opens < 1 or closes < 0 or " " in rest[:opens] or rest[closes + 1 : closes + 2] > " ":
            odd = _ODD.match(rest)
            if odd is None:
                if opens >= 0:
                    self._log.wrong("a half line", f"{self._name} line {number}")
                return
            opens, closes = odd.end("name"), odd.end("id")
        name, key, event = rest[:opens], rest[: closes + 1], rest[closes + 2 :]
        if what.startswith("Discarding"):
            self._end(key, name, at, Status.REVOKED, "")
        elif event.startswith("received") or what.startswith("Received"):
            if "ETA:[" in event or "eta:[" in event:
                self._log.notes["eta"] += 1
            self._received[key] = at
        elif event.startswith("succeeded in"):
            self._succeeded(number, key, name, at, event, process)
        elif event.startswith("retry"):
            self._end(key, name, at, Status.RETRIED, process)
        elif event.startswith(_FAILED):
            if key in self._over_limit:
                self._over_limit.discard(key)  # a time limit has ended it already
            else:
                self._end(key, name, at, Status.FAILED, process)
        elif event.startswith("ignored"):
            self._end(key, name, at, Status.DONE, process)

    def _limit(self, at: float, what: str, limit: re.Match[str]) -> None:
        self._log.notes["time limits"] += 1
        key = f"{limit['name']}[{limit['id']}]"
        if what.startswith("Hard"):
            self._over_limit.add(key)
            self._end(key, limit["name"], at, Status.FAILED, "")

    def _succeeded(
        self, number: int, key: str, name: str, at: float, event: str, process: str
    ) -> None:
        runtime = _RUNTIME.match(event)
        if runtime is None:
            self._log.wrong("a half line", f"{self._name} line {number}")
            return
        started = at - float(runtime[1])
        received = self._received.get(key, NAN)
        if started < received - _SLACK_S:
            # One of the two clocks was set in between; which one, nobody can say.
            self._log.wrong(
                "a run that began before it was received", f"{self._name} line {number}"
            )
            self._received.pop(key, None)
            return
        self._end(
            key,
            name,
            at,
            Status.DONE,
            process,
            max(started, received) if received == received else started,
        )

    def _end(
        self, key: str, name: str, at: float, status: Status, process: str, started: float = NAN
    ) -> None:
        log = self._log
        received = self._received.pop(key, NAN)
        cut = received != received and key not in self._retried and status is not Status.RETRIED
        if key in self._retried:
            # A retry is held back on purpose; its wait is no queue.
            log.notes["after a retry"] += 1
            received = NAN
        worker = log.workers.number(f"{self._name}:{process}") if process else -1
        row = log.add(
            self._job(key, status), log.steps.number(name), worker,
            received=received, started=started, ended=at, status=status,
        )  # fmt: skip
        if cut and self._beginnings:
            self._beginnings -= 1
            self._across.ended(key, row)

    def _job(self, key: str, status: Status) -> int:
        """Number of a job; an id is remembered only while another attempt is to come."""
        number = self._retried.pop(key, None)
        if number is None:
            number = self._log.jobs.nameless()
        if status is Status.RETRIED:
            self._retried[key] = number
        return number
