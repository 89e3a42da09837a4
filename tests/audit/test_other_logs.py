"""Worker logs as other teams have them: one system, written by many loggers, gets one answer."""

import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from tests.audit.systems import MONDAY, System, about, poisson
from tests.audit.test_cli_audit import run

Event = tuple[datetime, str, str]
"""When, process, message."""
Spelling = Callable[[Event], str]


def _events() -> list[Event]:
    """Two workers for jobs of half a second that come every 0.3 s: a queue."""
    random = Random(5)
    runs = System(2, about(0.5), random=random).run(poisson(3.3, 60, random))
    events = []
    for number, (came, start, end, _, worker) in enumerate(runs):
        task = f"Task shop.pay[{number:04d}-af]"
        took = end - start
        events.append((came, "MainProcess", f"{task} received"))
        events.append(
            (end, f"ForkPoolWorker-{worker}", f"{task} succeeded in {took:.6f}s: 'a [b]'")
        )
    return [
        (datetime.fromtimestamp(MONDAY + at, UTC), process, text)
        for at, process, text in sorted(events)
    ]


EVENTS = _events()


def milliseconds(at: datetime, mark: str = ",") -> str:
    """As Python's logging writes it."""
    return f"{at:%Y-%m-%d %H:%M:%S}{mark}{at.microsecond // 1000:03d}"


def celery(event: Event) -> str:
    """Celery's own format."""
    at, process, text = event
    return f"[{milliseconds(at)}: INFO/{process}] {text}"


def _json(**names: str) -> Spelling:
    def spelled(event: Event) -> str:
        at, process, text = event
        values = {
            "epoch": at.timestamp(), "iso": at.isoformat().replace("+00:00", "Z"),
            "logging": milliseconds(at), "seconds": f"{at:%Y-%m-%d %H:%M:%S}",
            "whole": int(at.timestamp()), "text": text, "process": process,
        }  # fmt: skip
        return json.dumps({"level": "info"} | {mine: values[what] for mine, what in names.items()})

    return spelled


SPELLINGS: dict[str, Spelling] = {
    "own format": lambda e: f"{milliseconds(e[0])} INFO celery.worker.strategy {e[2]}",
    "loguru": lambda e: f"{milliseconds(e[0], '.')} | INFO     | celery.app.trace:info:9 - {e[2]}",
    "access log": lambda e: f"{e[0]:%d/%b/%Y:%H:%M:%S}.{e[0].microsecond:06d} +0000 {e[2]}",
    "slashes": lambda e: f"{e[0]:%Y/%m/%d %H:%M:%S}.{e[0].microsecond:06d} INFO {e[2]}",
    "twelve hours": lambda e: f"{e[0]:%m/%d/%Y %I:%M:%S}.{e[0].microsecond:06d} {e[0]:%p} {e[2]}",
    "docker compose": lambda e: f"worker-1  | {celery(e)}",
    "kubectl --prefix": lambda e: f"[pod/worker-5d9c/worker] {celery(e)}",
    "kubectl --timestamps": lambda e: f"{e[0]:%Y-%m-%dT%H:%M:%S.%f}789Z {celery(e)}",
    "journald": lambda e: f"{e[0]:%b %d %H:%M:%S} box celery[812]: {celery(e)}",
    "a zone's name": lambda e: f"[{milliseconds(e[0])} CET: INFO/{e[1]}] {e[2]}",
    "colours": lambda e: f"\x1b[32m{celery(e)}\x1b[0m",
    "python-json-logger": _json(asctime="logging", processName="process", message="text"),
    "message first": _json(message="text", processName="process", created="epoch"),
    "structlog": _json(event="text", timestamp="iso"),
    "ecs": _json(**{"@timestamp": "iso", "message": "text"}),
    "docker json-file": lambda e: json.dumps({"log": celery(e) + "\n", "time": e[0].isoformat()}),
    "compose and json": lambda e: "worker-1  | " + SPELLINGS["message first"](e),
    "loguru serialized": lambda e: json.dumps(
        {"text": "x", "record": {"message": e[2], "time": {"timestamp": e[0].timestamp()}}}
    ),
}


def written(file: Path, spelling: Spelling, events: list[Event] = EVENTS) -> str:
    """A log in one spelling; its path."""
    file.write_text("".join(f"{spelling(one)}\n" for one in events))
    return str(file)


def answer(*words: str) -> tuple[str, int, int]:
    """Verdict, jobs and finished runs."""
    values = json.loads(run(*words, "--json"))
    return values["verdict"]["sentence"], values["jobs"], values["finished"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int, int]:
    """What Celery's own format gets."""
    said = answer(written(tmp_path_factory.mktemp("own") / "worker.log", celery))
    assert said[0].startswith("Run more at once: jobs wait fetched")
    assert said[1:] == (len(EVENTS) // 2, len(EVENTS) // 2)
    return said


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_gets_the_same_answer(
    name: str, expected: tuple[str, int, int], tmp_path: Path
) -> None:
    """Whoever wrote the log, jobs and verdict are those of Celery's own format."""
    assert answer(written(tmp_path / "worker.log", SPELLINGS[name])) == expected


def test_what_windows_and_a_pipe_write_is_read(
    expected: tuple[str, int, int], tmp_path: Path
) -> None:
    """Carriage returns, the marks of UTF-8 and UTF-16 before a text."""
    text = "\r\n".join(celery(one) for one in EVENTS)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "worker.log").write_bytes(text.encode(encoding))
        assert answer(str(tmp_path / "worker.log")) == expected


def test_rotated_files_are_one_log(expected: tuple[str, int, int], tmp_path: Path) -> None:
    """Jobs that a rotation cut in two are whole again, in whichever order files are given."""
    third = len(EVENTS) // 3
    files = [
        written(tmp_path / "worker.log", celery, EVENTS[2 * third :]),
        written(tmp_path / "worker.log.1", celery, EVENTS[third : 2 * third]),
        written(tmp_path / "worker.log.2", celery, EVENTS[:third]),
    ]
    assert answer(*files) == expected
    assert answer(*reversed(files)) == expected


def test_a_compressed_file_that_is_cut_is_read_to_there(tmp_path: Path) -> None:
    """It was copied while it was written; what is missing is said."""
    whole = gzip.compress("".join(f"{celery(one)}\n" for one in EVENTS).encode())
    file = tmp_path / "worker.log.gz"
    file.write_bytes(whole[:-200])
    text = run(str(file))
    assert text.startswith("Run more at once: ")
    assert "a compressed file that ends too early  1" in text
    file.write_bytes(whole[:15])
    assert "cannot be unpacked" in run(str(file), code=1)


def test_whole_seconds_do_not_carry_a_verdict_on_waits(tmp_path: Path) -> None:
    """Half a second of run time in whole seconds would look like workers that are free."""
    text = run(written(tmp_path / "worker.log", lambda e: f"{e[0]:%Y-%m-%d %H:%M:%S} {e[2]}"))
    assert text.startswith("Not enough to say who waits")
    assert "its times are whole seconds" in text

    def named(e: Event) -> str:
        return f"[{e[0]:%Y-%m-%d %H:%M:%S} CET: INFO/{e[1]}] {e[2]}"

    others: list[Spelling] = [
        _json(message="text", time="seconds"), _json(message="text", ts="whole"), named,
    ]  # fmt: skip
    for spelling in others:
        assert run(written(tmp_path / "worker.log", spelling)).startswith("Not enough to say who")


def test_two_time_zones_in_one_file_do_not_carry_one(tmp_path: Path) -> None:
    """Every second line an hour ahead: no queue can be read from that."""
    lines = [
        celery(one) if at % 4 < 2 else celery((one[0].replace(hour=1), *one[1:]))
        for at, one in enumerate(EVENTS)
    ]
    (tmp_path / "worker.log").write_text("\n".join(lines))
    text = run(str(tmp_path / "worker.log"), "--brief")
    assert text.startswith("Not enough to say who waits")
    assert "its clock jumps back " in text


def test_a_log_without_what_is_needed_says_what_to_do(tmp_path: Path) -> None:
    """No time, no INFO, no file: two lines each."""
    without = written(tmp_path / "worker.log", lambda e: f"INFO:celery:{e[2]}")
    text = run(without, code=1)
    assert "must have a time before each line" in text
    assert "got 'INFO:celery:Task shop.pay[0000-af] received'" in text
    assert "hint: put %(asctime)s into worker_log_format" in text
    failures = tmp_path / "failures.log"
    failures.write_text(
        "[2026-11-26 11:20:08,000: ERROR/ForkPoolWorker-1] Task a.b[1] raised unexpected: Error()\n"
    )
    text = run(str(failures), code=1)
    assert "must be a worker log of level INFO, got failures only" in text
    text = run(str(tmp_path / "missing.log"), code=1)
    assert "missing.log cannot be read: no such file or directory" in text
    assert "hint: name a log that is there, or - for what is piped in" in text


def test_workers_side_by_side_are_one_system(
    expected: tuple[str, int, int], tmp_path: Path
) -> None:
    """One with a child, one with two, at the same time: no capture with more workers among them."""
    third = [one for one in EVENTS if _job(one) % 3 == 0]
    others = [one for one in EVENTS if _job(one) % 3]
    paths = [
        written(tmp_path / "one.log", celery, third),
        written(tmp_path / "two.log", celery, others),
    ]
    for path, children in zip(paths, (1, 2), strict=True):
        file = Path(path)
        file.write_text(f"- ** ---------- .> concurrency: {children} (prefork)\n{file.read_text()}")
    said = answer(*paths)
    assert said[1:] == expected[1:]
    assert "times the concurrency" not in said[0], said[0]


def _job(event: Event) -> int:
    return int(event[2].split("[")[1][:4])


def test_a_range_of_one_figure_is_one_figure(tmp_path: Path) -> None:
    """Neither "1.7 to 1.7 times" nor a number of jobs in powers of ten."""
    text = run(written(tmp_path / "worker.log", celery))
    assert not [one for one in re.findall(r"([\d.]+) to ([\d.]+)", text) if one[0] == one[1]]
    assert re.search(r"--jobs-per-day \d+ ", text)
