"""What jobs were given, from each kind of line that tells it."""

from pathlib import Path

import pytest

from rollout.audit.job_log import BadAudit
from rollout.preflight.facts import JobFact
from rollout.preflight.inputs import read_inputs
from rollout.sources import read_logged_jobs, read_recorded_inputs


def read(*lines: str) -> list[JobFact]:
    """Facts of the task `shop.bill`, sub-pipeline `bills`."""
    return list(read_inputs("bills", "shop.bill", lines, "f"))


def test_recorded_inputs() -> None:
    """JSON lines; one that names another task is left out, one that is no JSON is told."""
    first, half, word = read(
        '{"args": [1], "kwargs": {"month": "2026-11"}, "seconds": 2}',
        '{"task": "shop.other", "args": [1]}',
        '{"args": [1',
        "",
        "a word",
    )
    assert first == JobFact("f line 1", (1,), {"month": "2026-11"}, 2.0)
    assert half == JobFact("f line 3", unreadable="the line is no JSON")
    assert word == JobFact("f line 5", unreadable="the line is no JSON object")


def test_events_of_celery() -> None:
    """Texts of Python values; what is cut tells nothing, an object is what JSON does not carry."""
    event = '{{"type": "task-received", "name": "shop.bill", "args": "{}", "kwargs": "{{}}"}}'
    facts = read(
        event.format("(1, 'a')"),
        event.format("(<shop.Order object at 0x7f>,)"),
        event.format("(UUID('0'), datetime.datetime(2026, 1, 1, 0, 0))"),
        event.format("({1, 2}, range(0, 3))"),
        event.format("('aaaaaaaa..."),
    )
    assert [one.args for one in facts] == [(1, "a"), None, None, None, None]
    assert [one.unreadable for one in facts] == [
        "", "an object of shop.Order", "", "a value of range", "",
    ]  # fmt: skip


def test_a_dump_and_a_log_that_prints_arguments() -> None:
    """A log without them tells nothing."""
    dumped, logged = read(
        "w1 [2026-11-02 09:00:00] task received: shop.bill(0123abcd-45) args=[1] kwargs={'a': 2}",
        "[2026-11-02 09:00:00,000: INFO/MainProcess] Task shop.bill[0123abcd-45] received "
        "args: (1, 'b') kwargs: {}",
        "[2026-11-02 09:00:00,000: INFO/MainProcess] Task shop.bill[0123abcd-45] received",
        "[2026-11-02 09:00:00,000: INFO/MainProcess] Task shop.bills[0123abcd-45] received "
        "args: (3,) kwargs: {}",
    )
    assert (dumped.args, dumped.kwargs) == ((1,), {"a": 2})
    assert (logged.args, logged.kwargs) == ((1, "b"), {})


def test_the_recorder_tells_sizes() -> None:
    """Of its own task; arguments it does not keep."""
    (fact,) = read(
        '{"step": "shop.bill", "payload_bytes": 500}', '{"step": "x", "payload_bytes": 9}'
    )
    assert fact.size_bytes == 1_500
    assert fact.arguments is None


def test_among_events_of_celery_other_lines_tell_nothing() -> None:
    """A capture has words of the program around it."""
    event = '{"type": "task-received", "name": "shop.bill", "args": "(1,)", "kwargs": "{}"}'
    assert len(read("-> evcam: taking snapshots", event, "-> evcam: done")) == 1


def test_files_without_a_job_of_the_task_are_refused(tmp_path: Path) -> None:
    """A wrong file would else be a clean answer: nothing found, for nothing was looked at."""
    empty, log = tmp_path / "jobs.jsonl", tmp_path / "worker.log"
    empty.write_text("")
    with pytest.raises(BadAudit, match=r"jobs\.jsonl must tell what a job was given of bills"):
        read_recorded_inputs([empty], "bills", "shop.bill")
    log.write_text(
        "[2026-11-26 11:20:00,000: INFO/MainProcess] Task shop.pay[a1] received\n"
        "[2026-11-26 11:20:01,000: INFO/ForkPoolWorker-1] Task shop.pay[a1] succeeded in 1.0s: 1\n"
    )
    with pytest.raises(BadAudit, match=r"a finished run of bills .*; its tasks are shop.pay"):
        read_logged_jobs([log], "bills", "shop.bill")
    assert len(read_logged_jobs([log], "pay", "shop.pay")[1]) == 1


def test_a_task_whose_name_has_a_space() -> None:
    """Of a worker log that prints arguments, and of a dump of events."""
    logged = "Task send mail [eu][4f2a] received args: (1,) kwargs: {}"
    dumped = "w1 [t] task received: send mail [eu](4f2a4f2a-0) args='(2,)' kwargs='{}'"
    facts = read_inputs("mail", "send mail [eu]", [logged, dumped], "f")
    assert [one.args for one in facts] == [(1,), (2,)]
