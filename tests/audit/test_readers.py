"""Every other kind of input, in small."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from rollout.audit.audit import audit
from rollout.audit.findings import Kind
from rollout.audit.job_log import BadAudit, JobLog, Status
from rollout.audit.reading.detect import read_document, read_text
from rollout.audit.reading.stacks import read_stacks
from rollout.audit.reading.xes import read_xes


def of_text(text: str) -> JobLog:
    """The log of a text."""
    log = JobLog()
    read_text(log, "input", text.splitlines(keepends=True))
    return log


def of_document(document: Any) -> JobLog:
    """The log of a document, as one line of JSON."""
    return of_text(json.dumps(document))


def durations(log: JobLog) -> list[float]:
    """Run times, rounded."""
    return [round(log.ended[row] - log.started[row], 6) for row in log.rows_with_run()]


def test_csv_with_parents() -> None:
    """Our own columns; times in several spellings; parents tied by name within a run."""
    log = of_text(
        "run_id,step,queued_at,started_at,ended_at,status,resource,parents\n"
        "r1,a,2026-11-26T10:00:00Z,2026-11-26T10:00:01Z,2026-11-26T10:00:03Z,success,db,\n"
        "r1,b,,1795687203,1795687205.5,failed,,a\n"
        "r1,c,,2026-11-26 10:00:06+00:00,2026-11-26 10:00:07,done,,a|b\n"
        "r1,d,,2026-11-26 10:00:09,2026-11-26 10:00:08,done,,c\n"
        "r1,e,,yesterday,2026-11-26 10:00:08,done,,c\n"
        "r1,f,2026-11-26 11:00:00,2026-11-26 10:00:07,2026-11-26 10:00:08,done,,c\n"
        "short,row\n"
    )
    assert durations(log) == [2.0, 2.5, 1.0]
    assert log.parents == {1: (0,), 2: (0, 1)}
    assert {what: one.where for what, one in log.problems.items()} == {
        "an end before its start": ["input line 5"],
        "a value that is no time and no number": ["input line 6"],
        "an end before the job began": ["input line 7"],
        "a half line": ["input line 8"],
    }


def test_json_lines_with_other_names() -> None:
    """Columns as other tools call them, a duration in place of an end, a broken line."""
    log = of_text(
        '{"job_id": 1, "task": "load", "start_time": 1795687200000, "duration": 2.5}\n'
        '{"job_id": 1, "task": "load", "start_time"\n'
    )
    assert durations(log) == [2.5]
    assert log.steps.texts == ["load"]
    assert log.problems["a half line"].where == ["input line 2"]


def test_a_file_without_times_is_refused() -> None:
    """It names the columns that came."""
    with pytest.raises(BadAudit, match="must have a column with a time, got run_id, step"):
        of_text("run_id,step\n1,a\n")


def test_an_event_log_pairs_starts_with_ends() -> None:
    """Process mining: lifecycle start and complete are one run; complete alone has no start."""
    log = of_text(
        "case:concept:name,concept:name,lifecycle:transition,time:timestamp\n"
        "1,check,start,2026-01-01 10:00:00\n"
        "1,check,complete,2026-01-01 10:05:00\n"
        "1,pay,complete,2026-01-01 11:00:00\n"
    )
    assert durations(log) == [300.0]
    assert log.started[1] != log.started[1]


def test_xes_is_read() -> None:
    """The same in XML."""
    log = JobLog()
    read_xes(
        log,
        "x.xes",
        BytesIO(
            b'<log xes.version="1.0"><trace><string key="concept:name" value="c1"/>'
            b'<event><string key="concept:name" value="pay"/>'
            b'<date key="time:timestamp" value="2026-01-01T10:00:00+01:00"/></event></trace></log>'
        ),
    )
    assert log.steps.texts == ["pay"]
    assert log.jobs.texts == ["c1"]
    assert log.ended[0] == log.ended[0]


def span(name: str, at: float, until: float, parent: str = "", **more: Any) -> dict[str, Any]:
    """An OTLP span."""
    return {
        "traceId": "t", "spanId": name, "parentSpanId": parent, "name": name,
        "startTimeUnixNano": str(int(at * 1e9)), "endTimeUnixNano": str(int(until * 1e9)), **more,
    }  # fmt: skip


def test_otlp_spans_become_runs_in_order() -> None:
    """A span that only holds others is left out; siblings that follow each other are tied."""
    spans = [
        span("root", 0, 10), span("a", 0, 4, "root"), span("b", 4, 9.9, "root"),
        span("c", 5, 3, "root"),
    ]  # fmt: skip
    log = of_document({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    assert durations(log) == [4.0, 5.9]
    assert log.parents == {1: (0,)}
    assert log.problems["an end before its start"].count == 1


def jaeger(messages: list[tuple[float, str]]) -> dict[str, Any]:
    """One Jaeger span of a second with messages of a lock."""
    logs = [
        {"timestamp": int(at * 1e6), "fields": [{"key": "event", "value": text}]}
        for at, text in messages
    ]
    return {
        "data": [
            {
                "traceID": "1",
                "processes": {"p1": {"serviceName": "mysql"}},
                "spans": [
                    {
                        "traceID": "1", "spanID": "s", "operationName": "SELECT", "processID": "p1",
                        "startTime": 0, "duration": 1_000_000, "references": [], "logs": logs,
                    }
                ],
            }
        ]
    }  # fmt: skip


def test_a_lock_that_nobody_waited_for_is_no_contention() -> None:
    """Jaeger: "Acquired lock; 0 transactions waiting" is no wait, "behind 2" until then is one."""
    idle = of_document(jaeger([(0.1, "Acquired lock; 0 transactions waiting behind")]))
    assert list(idle.waited) == [0.0]
    zero = of_document(
        jaeger([(0.1, "Waiting for lock behind 0 transactions"), (0.2, "Acquired lock")])
    )
    assert list(zero.waited) == [0.0]
    busy = of_document(
        jaeger([(0.1, "Waiting for lock behind 2 transactions"), (0.7, "Acquired lock; 3 waiting")])
    )
    assert list(busy.waited) == [pytest.approx(0.6)]
    assert busy.resources.texts == ["lock"]


def bazel(
    actions: list[tuple[int, float, float]], execution: tuple[float, float], loading: float
) -> Any:
    """A build's trace: loading, then the execution phase with actions by thread."""

    def mark(name: str, at: float) -> dict[str, Any]:
        return {
            "cat": "build phase marker",
            "name": name,
            "ph": "i",
            "ts": at * 1e6,
            "pid": 1,
            "tid": 0,
        }

    begin, end = execution
    events = [
        mark("Load and analyze dependencies", begin - loading),
        mark("Build artifacts", begin),
    ]
    events += [
        {"cat": "action processing", "name": f"Building x/{number}.jar", "ph": "X", "pid": 1,
         "tid": thread, "ts": at * 1e6, "dur": took * 1e6}
        for number, (thread, at, took) in enumerate(actions)
    ]  # fmt: skip
    critical = {
        "cat": "critical path component",
        "name": "a",
        "ph": "X",
        "pid": 1,
        "tid": 9,
        "ts": begin * 1e6,
        "dur": (end - begin) * 0.99e6,
    }
    return {
        "traceEvents": [
            *events,
            critical,
            mark("Complete build", end),
            {
                "ph": "X",
                "cat": "action processing",
                "name": "Building late",
                "ts": (end + 1) * 1e6,
                "dur": 5e6,
                "pid": 1,
                "tid": 1,
            },
        ]
    }


def test_builds_are_compared_by_their_execution_phase() -> None:
    """Four times the workers, the same phase: actions slow each other, the walls say nothing."""
    log = JobLog()
    few = [(n % 4, 3 + (n // 4) * 1.0, 1.0) for n in range(40)]
    many = [(n % 16, 1 + (n // 16) * 3.2, 3.9) for n in range(40)]
    read_document(log, "few.json", bazel(few, (3.0, 13.0), 2.5))
    read_document(log, "many.json", bazel(many, (1.0, 10.8), 0.5))
    answer = audit(log)
    one, other = answer.measured.points
    assert (one.execution_s, other.execution_s) == (pytest.approx(10.0), pytest.approx(9.8))
    assert (one.work_s, other.work_s) == (pytest.approx(40.0), pytest.approx(156.0))
    assert (one.slots, other.slots) == (4, 16)
    assert answer.findings[0].kind is Kind.CONTENTION
    sentence = answer.verdict.sentence
    assert "4.0 times the concurrency (4 to 16) bought 2 %" in sentence
    assert "inflated and no bound" in answer.findings[0].evidence
    assert any("load points fit none" in lack.what for lack in answer.lacks)
    graph = next(way for way in answer.ways if way.name == "graph")
    assert graph.high is None, "no gain is read from a contended critical path"


def test_one_capture_never_says_that_nothing_is_to_be_gained() -> None:
    """A critical path as long as the phase, read under load."""
    log = JobLog()
    read_document(
        log,
        "many.json",
        bazel([(n % 16, 1 + (n // 16) * 3.2, 3.1) for n in range(40)], (1.0, 10.8), 0.5),
    )
    answer = audit(log)
    assert not answer.verdict.healthy
    assert answer.verdict.sentence.startswith("Not enough to say")
    assert "does not say that nothing is to be gained" in answer.verdict.sentence


def test_a_wait_inside_a_span_is_a_wait() -> None:
    """A chrome trace with begins and ends, and a span for a semaphore inside."""
    log = of_document(
        [
            {"ph": "B", "name": "job", "ts": 0, "pid": 1, "tid": 1},
            {
                "ph": "X",
                "name": "acquire semaphore",
                "ts": 100_000,
                "dur": 400_000,
                "pid": 1,
                "tid": 1,
            },
            {"ph": "E", "ts": 1_000_000, "pid": 1, "tid": 1},
            {"ph": "B", "name": "job", "ts": 2_000_000, "pid": 1, "tid": 1},
            {"ph": "E", "ts": 3_000_000, "pid": 1, "tid": 1},
        ]
    )
    assert durations(log) == [1.0, 1.0]
    assert log.waited[0] == pytest.approx(0.4)


def test_airflow_instances() -> None:
    """States, mapped tasks, pools."""
    log = of_document(
        {
            "task_instances": [
                {"dag_id": "d", "dag_run_id": "r", "task_id": "load",
                 "queued_when": "2026-01-01T00:00:00Z", "start_date": "2026-01-01T00:00:05Z",
                 "end_date": "2026-01-01T00:00:15Z",
                 "state": "up_for_retry", "pool": "db", "map_index": 3},
                {"dag_id": "d", "dag_run_id": "r", "task_id": "load", "state": "queued",
                 "queued_when": "2026-01-01T00:00:00Z", "start_date": None, "end_date": None},
            ]
        }
    )  # fmt: skip
    assert list(log.status) == [Status.RETRIED, Status.OPEN]
    assert log.resources.texts == ["db"]


def test_github_actions_steps_that_end_before_their_job_are_counted() -> None:
    """The job's own times stand."""
    log = of_document(
        {
            "jobs": [
                {"run_id": 1, "name": "build", "created_at": "2026-01-01T00:00:00Z",
                 "started_at": "2026-01-01T00:00:10Z", "completed_at": "2026-01-01T00:01:00Z",
                 "conclusion": "failure", "runner_name": "r1",
                 "steps": [
                     {"started_at": "2026-01-01T00:00:05Z",
                      "completed_at": "2026-01-01T00:00:06Z"},
                     {"started_at": "2026-01-01T00:00:16Z",
                      "completed_at": "2026-01-01T00:00:12Z"}]},
            ]
        }
    )  # fmt: skip
    assert durations(log) == [50.0]
    assert log.status[0] == Status.FAILED
    assert log.problems["an end before the job began"].where == ["input job 1 step 1"]
    assert log.problems["an end before its start"].where == ["input job 1 step 2"]


def test_a_wfformat_workflow_is_simulated() -> None:
    """Run times and edges without starts: a graph can be simulated, waiting cannot be told."""

    def task(name: str, took: float, *parents: str) -> dict[str, Any]:
        return {"name": name, "runtimeInSeconds": took, "parents": list(parents)}

    middle = [task(f"part_{n}", 10.0, "split") for n in range(40)]
    tasks = [task("split", 1.0), *middle, task("join", 1.0, *(one["name"] for one in middle))]
    answer = audit(of_document({"name": "w", "workflow": {"tasks": tasks}}))
    graph = next(way for way in answer.ways if way.name == "graph")
    # 402 s of work on 16 workers: 1 + 3 rounds of 10 + 1.
    assert graph.high == pytest.approx(402 / 32)
    assert answer.measured.waiting is None


def test_celery_events() -> None:
    """A dump and JSON lines tell the same."""
    dumped = of_text(
        "-> evdump: starting capture...\n"
        "w [2026-01-01 00:00:00+00:00] task received: a.b(11111111-aaaa) args=() kwargs={} x=1\n"
        "w [2026-01-01 00:00:01+00:00] task started: a.b(11111111-aaaa) args=() kwargs={} p=3\n"
        "w [2026-01-01 00:00:03+00:00] task succeeded: a.b(11111111-aaaa) args=() kwargs={} r=1\n"
    )
    assert durations(dumped) == [2.0]
    events = [
        {"type": "task-sent", "uuid": "u", "name": "a.b", "timestamp": 1795687200.0},
        {"type": "task-received", "uuid": "u", "name": "a.b", "timestamp": 1795687201.0},
        {"type": "task-started", "uuid": "u", "timestamp": 1795687202.0, "hostname": "w"},
        {"type": "task-failed", "uuid": "u", "timestamp": 1795687204.0, "hostname": "w"},
    ]  # fmt: skip
    log = of_text("\n".join(map(json.dumps, events)))
    assert durations(log) == [2.0]
    assert log.status[0] == Status.FAILED
    assert log.started[0] - log.queued[0] == 2.0


def test_collapsed_stacks() -> None:
    """The innermost frame says what a sample did."""
    stacks = read_stacks(
        ["main (a.py:1);work (a.py:2);acquire (threading.py:3) 70\n",
         "main;recv_into (socket.py:1) 20\n",
         "main;crunch (a.py:9) 10\n", "broken\n"]
    )  # fmt: skip
    assert stacks.samples == 100
    assert stacks.by_kind["waits for a lock"] == 70
    assert stacks.by_kind["computes"] == 10
    assert stacks.unreadable == 1


BROKEN: list[Callable[[], JobLog]] = [
    lambda: of_text('{"traceEvents": [\n'),
    lambda: of_document({"nothing": 1, "data": 3}),
    lambda: of_document([1, 2]),
    lambda: of_document({"traceEvents": []}),
    lambda: of_document({"resourceSpans": []}),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_documents_are_refused_in_words(broken: Callable[[], JobLog]) -> None:
    """Never a traceback of a parser."""
    with pytest.raises(BadAudit):
        broken()
