"""Celery's worker log: each line that Celery writes, and what cannot be right in it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rollout.adapters.audit_files import read_files
from rollout.audit.job_log import TWICE, BadAudit, JobLog, Status
from rollout.audit.measured import measure
from rollout.audit.reading.detect import read_text

LOG = """
 -------------- celery@vm v5.7.0 (collider)
- *** --- * --- .> concurrency: 4 (prefork)

[tasks]
  . shop.pay

[2026-11-26 11:19:52,147: INFO/MainProcess] celery@vm ready.
[2026-11-26 11:20:00,000: INFO/MainProcess] Task shop.pay[a1] received
[2026-11-26 11:20:01,500: INFO/ForkPoolWorker-2] Task shop.pay[a1] succeeded in 1.2500000s: 'ok'
[2026-11-26 11:20:02,000: INFO/MainProcess] Task shop.pay[a2] received
[2026-11-26 11:20:03,000: INFO/ForkPoolWorker-1] Task shop.pay[a2] retry: Retry in 3s: OSError('no')
[2026-11-26 11:20:03,010: INFO/MainProcess] Task shop.pay[a2] received
[2026-11-26 11:20:06,600: INFO/ForkPoolWorker-1] Task shop.pay[a2] succeeded in 0.5s: None
[2026-11-26 11:20:07,000: INFO/MainProcess] Task shop.pay[a3] received
[2026-11-26 11:20:08,000: ERROR/ForkPoolWorker-1] Task shop.pay[a3] raised unexpected: ValueError()
Traceback (most recent call last):
  File "shop.py", line 3, in pay
ValueError: x
[2026-11-26 11:20:09,000: INFO/MainProcess] Task shop.pay[a4] received
[2026-11-26 11:20:19,000: ERROR/MainProcess] Task handler raised error: TimeLimitExceeded(10)
[2026-11-26 11:20:19,001: ERROR/MainProcess] Hard time limit (10s) exceeded for shop.pay[a4]
[2026-11-26 11:20:20,000: INFO/MainProcess] Task shop.pay[a5] received
[2026-11-26 11:20:20,100: WARNING/MainProcess] Soft time limit (3s) exceeded for shop.pay[a5]
[2026-11-26 11:20:20,200: INFO/MainProcess] Discarding revoked task: shop.pay[a6]
[2026-11-26 11:20:21,000: INFO/MainProcess] Task shop.pay[a7] received
"""


def read(text: str) -> JobLog:
    """The log of one text."""
    log = JobLog()
    read_text(log, "w.log", text.splitlines(keepends=True))
    return log


def test_each_line_of_celery_is_understood() -> None:
    """Successes have a start, retries and failures an end, and what is open stays open."""
    log = read(LOG)
    assert [Status(one).name for one in log.status] == [
        "DONE", "RETRIED", "DONE", "FAILED", "FAILED", "REVOKED", "OPEN", "OPEN",
    ]  # fmt: skip
    assert log.ended[0] - log.started[0] == pytest.approx(1.25)
    assert log.started[0] - log.received[0] == pytest.approx(0.25)
    assert log.job[1] == log.job[2], "a retry is another attempt of the same job"
    assert log.received[2] != log.received[2], "a retry's countdown is no queue"
    assert log.started[3] != log.started[3], (
        "Celery writes no start of a failure, and none is guessed"
    )
    assert log.captures[0].slots == 4
    assert not log.problems


@pytest.mark.parametrize("name", ["send mail", "shop.pay[eu]", 'tâche "é" [x]/..<b>&', "a [b] c"])
def test_a_name_may_have_spaces_and_brackets(name: str) -> None:
    """Celery takes any text for a task's name; what stands behind the id tells where it ends."""
    log = read(LOG.replace("shop.pay[a", f"{name}[a"))
    assert [Status(one).name for one in log.status] == [
        "DONE", "RETRIED", "DONE", "FAILED", "FAILED", "REVOKED", "OPEN", "OPEN",
    ]  # fmt: skip
    assert log.steps.texts == [name]
    assert not log.problems


def test_celery_4_and_another_format_are_understood() -> None:
    """The old wording, and a format without process."""
    log = read(
        "2026-01-02T03:04:05.250Z celery.worker INFO Received task: shop.pay[b1]  \n"
        "2026-01-02T03:04:06.250Z celery.app.trace INFO Task shop.pay[b1] succeeded in 0.75s: 1\n"
    )
    assert list(log.status) == [Status.DONE]
    assert log.started[0] - log.received[0] == pytest.approx(0.25)


def test_what_cannot_be_right_is_counted_with_its_line() -> None:
    """A clock that jumps, a half line, a run that began before it was received."""
    log = read(
        "[2026-11-26 11:00:10,000: INFO/MainProcess] Task a.b[1] received\n"
        "[2026-11-26 11:00:12,000: INFO/ForkPoolWorker-1] Task a.b[1] succeeded in 60.0s: None\n"
        "[2026-11-26 11:00:12,500: INFO/MainProcess] Task a.b[2] received\n"
        "[2026-11-26 10:00:12,500: INFO/ForkPoolWorker-1] Task a.b[2] succeeded in 0.1s: None\n"
        "[2026-11-26 10:00:13,500: INFO/ForkPoolWorker-1] Task a.b[3] succeeded in \n"
    )
    assert {what: (one.count, one.where) for what, one in log.problems.items()} == {
        "a run that began before it was received": (2, ["w.log line 2", "w.log line 4"]),
        "the clock jumps back": (1, ["w.log line 4"]),
        "a half line": (1, ["w.log line 5"]),
    }
    assert not list(log.rows_with_run())


def test_the_hour_that_comes_twice_shows_no_workers_that_are_not_there() -> None:
    """Local times at the end of summer time: two hours of one run after the other lie in one."""
    lines, zone = [], ZoneInfo("Europe/Berlin")
    begin = datetime(2026, 10, 24, 22, tzinfo=UTC)  # three hours before, and four after
    for number in range(7 * 60):
        end = begin + timedelta(minutes=number + 1)
        for at, what in ((end - timedelta(seconds=50), "received"), (end, "succeeded in 50.0s: 1")):
            local = at.astimezone(zone).replace(tzinfo=None)
            lines.append(
                f"[{local:%Y-%m-%d %H:%M:%S},000: INFO/MainProcess] Task a.b[{number}] {what}"
            )
    log = read("\n".join(lines))
    measured = measure(log)
    assert measured.slots == 1
    assert measured.curve is not None
    assert measured.curve.top == 1
    assert 300 <= len(list(log.rows_with_run())) < 420
    left_out = log.problems[TWICE]
    assert 116 <= left_out.count <= 122
    assert len(left_out.where) == 1, "one place, not one for each run"
    assert measured.finished >= 419, "they are finished runs all the same"


def test_several_files_and_gzip_are_one_log(tmp_path: Path) -> None:
    """Two workers; the second file is compressed and keeps its name."""
    import gzip

    (tmp_path / "a.log").write_text(LOG)
    with gzip.open(tmp_path / "b.log.gz", "wt") as opened:
        opened.write(LOG.replace("[a", "[b"))
    log = read_files([tmp_path / "a.log", tmp_path / "b.log.gz"])
    assert len(log) == 16
    assert len({one.split(":")[0] for one in log.workers.texts}) == 2
    assert len(log.captures) == 2


def test_a_text_that_is_no_log_is_refused(tmp_path: Path) -> None:
    """With what can be given."""
    file = tmp_path / "notes.txt"
    file.write_text("hello\n")
    with pytest.raises(BadAudit, match="must be a known kind of log, got 'hello'"):
        read_files([file])
    file.write_text("")
    with pytest.raises(BadAudit, match="got nothing"):
        read_files([file])
    with pytest.raises(BadAudit, match="cannot be read"):
        read_files([tmp_path / "missing.log"])


def test_only_the_newest_runs_are_kept_and_all_arrivals_counted() -> None:
    """A log of any length streams."""
    log = JobLog(runs_max=100)
    lines = []
    for number in range(1000):
        at = f"2026-11-{1 + number // 100:02d} 11:00:{number % 60:02d},000"
        lines.append(f"[{at}: INFO/MainProcess] Task a.b[{number}] received\n")
        lines.append(f"[{at}: INFO/ForkPoolWorker-1] Task a.b[{number}] succeeded in 0.0s: 1\n")
    read_text(log, "w.log", lines)
    assert 100 <= len(log) < 200
    assert log.dropped + len(log) == 1000
    assert sum(log.arrivals_by_day.values()) == 1000
