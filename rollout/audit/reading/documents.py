"""JSON documents of schedulers: GitHub Actions jobs, Airflow task instances, WfFormat workflows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout.audit.job_log import NAN, Capture, JobLog, Status
from rollout.audit.reading.rows import Rows
from rollout.audit.reading.times import number_of, seconds_of

_FAILED = ("failure", "timed_out", "cancelled", "startup_failure")


def read_actions(log: JobLog, name: str, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Jobs of GitHub Actions (`GET .../actions/runs/ID/jobs`), with their steps.

    A job's own time stands for its steps when they cannot be right: GitHub gives steps whole
    seconds, and some end before their job began.
    """
    log.captures.append(Capture(name, "GitHub Actions jobs"))
    for number, job in enumerate(jobs, start=1):
        place = f"{name} job {number}"
        began, ended = seconds_of(job.get("started_at")), seconds_of(job.get("completed_at"))
        queued = seconds_of(job.get("created_at"))
        if ended < began:
            log.wrong("an end before its start", place)
            continue
        for at, step in enumerate(job.get("steps") or (), start=1):
            begins, ends = seconds_of(step.get("started_at")), seconds_of(step.get("completed_at"))
            if ends < begins:
                log.wrong("an end before its start", f"{place} step {at}")
            elif ends < began:
                log.wrong("an end before the job began", f"{place} step {at}")
        if began < queued:
            log.wrong("a start before its queueing", place)
            queued = NAN
        runner = job.get("runner_name")
        log.add(
            log.jobs.number(str(job.get("run_id", name))), log.steps.number(str(job.get("name"))),
            log.workers.number(str(runner)) if runner else -1,
            queued=queued, started=began, ended=ended,
            status=Status.FAILED if job.get("conclusion") in _FAILED else Status.DONE,
        )  # fmt: skip


def read_airflow(log: JobLog, name: str, instances: Sequence[Mapping[str, Any]]) -> None:
    """Task instances as Airflow's REST API and its metadata table name their fields."""
    rows = Rows(log, name, "Airflow task instances", "instance")
    for number, one in enumerate(instances, start=1):
        run = f"{one.get('dag_id', '')} {one.get('dag_run_id') or one.get('run_id') or ''}".strip()
        index = one.get("map_index", -1)
        rows.take(
            number,
            {
                "run_id": run,
                "step": one.get("task_id"),
                "step_id": f"{one.get('task_id')}[{index}]",
                "queued_at": one.get("queued_when") or one.get("queued_dttm"),
                "started_at": one.get("start_date"),
                "ended_at": one.get("end_date"),
                "status": one.get("state"),
                "resource": one.get("pool") if one.get("pool") != "default_pool" else None,
                "worker": one.get("hostname"),
            },
        )
    rows.finish()


def read_wfformat(log: JobLog, name: str, document: Mapping[str, Any]) -> None:
    """A workflow of WfCommons: old (`workflow.tasks` with run times) and new (`execution` apart).

    It has run times and edges and mostly no starts: the graph can be simulated, and nothing can be
    said about waiting.
    """
    capture = Capture(name, "WfFormat workflow")
    log.captures.append(capture)
    workflow = document["workflow"]
    specified = (
        workflow.get("specification", {}).get("tasks")
        or workflow.get("tasks")
        or workflow.get("jobs")
    )
    executed = {
        str(one.get("id") or one.get("name")): one
        for one in workflow.get("execution", {}).get("tasks", ())
    }
    job = log.jobs.number(str(document.get("name", name)))
    rows: dict[str, int] = {}
    named: dict[int, list[str]] = {}
    for number, task in enumerate(specified or (), start=1):
        key = str(task.get("id") or task.get("name"))
        seen = executed.get(key, task)
        took = number_of(seen.get("runtimeInSeconds", seen.get("runtime")))
        started = seconds_of(seen.get("executedAt"))
        if not took >= 0:
            log.wrong("an end before its start", f"{name} task {number}")
            continue
        machine = (seen.get("machines") or [seen.get("machine")])[0]
        cores = number_of(seen.get("coreCount", seen.get("cores")))
        share = number_of(seen.get("avgCPU"))
        begins = started if started == started else 0.0
        row = log.add(
            job, log.steps.number(_kind(task)), log.workers.number(str(machine)) if machine else -1,
            started=begins, ended=begins + took, status=Status.DONE,
            cpu=took * share / 100 * (cores if cores == cores else 1) if share == share else NAN,
        )  # fmt: skip
        rows[key] = row
        rows.setdefault(str(task.get("name")), row)
        if started != started:
            log.notes["a run time without a start"] += 1
        named[row] = [str(one) for one in task.get("parents", ())]
    for row, parents in named.items():
        tied = tuple(rows[one] for one in parents if one in rows)
        if tied:
            log.parents[row] = tied
    if log.notes["a run time without a start"]:
        capture.clock = False


def _kind(task: Mapping[str, Any]) -> str:
    """The program, without the number of the task."""
    name = str(task.get("category") or task.get("program") or task.get("name"))
    head, _, tail = name.rpartition("_")
    return head if head and (tail.isdigit() or tail.lower().startswith("id")) else name
