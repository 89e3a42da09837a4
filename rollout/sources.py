"""What is read from a file: drills, game days, recorded jobs, logs to audit.

Beside `wiring`, because a rehearsal needs no services: nothing here knows a server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # heavy: numpy comes with them
    from collections.abc import Sequence

    from rollout.audit.job_log import BadAudit, JobLog
    from rollout.audit.reading.stacks import Stacks
    from rollout.drills.drill import Drill
    from rollout.drills.gameday import GameDay
    from rollout.preflight.facts import JobFact, Source
    from rollout.rehearsal.job_stream import JobStream


def read_drill_file(file: Path) -> Drill | GameDay:
    """Read what a file declares: a drill, a Chaos Toolkit experiment as a drill, or a game day.

    Raises:
        BadDrill: The file cannot be read, or what it says cannot be run; nothing was started.
        ChaosToolkitMissing: An experiment needs a package that is not installed.
    """
    from rollout.adapters.drill_file import read_file
    from rollout.drills.drill import read_drill
    from rollout.drills.gameday import is_game_day, read_game_day

    values = read_file(file)
    if is_game_day(values):
        return read_game_day(values, f"game day {file.name}")
    if file.suffix == ".json":
        from rollout.adapters.chaos_toolkit import read_experiment

        return read_experiment(values, f"experiment {file.name}")
    return read_drill(values, f"drill {file.name}")


def read_stream(file: Path, name: str) -> JobStream:
    """Read recorded jobs of one sub-pipeline; see `rollout.adapters.stream_files` for the columns.

    Raises:
        BadStream: A line cannot be, or there is none.
    """
    from rollout.adapters.stream_files import read_stream as read

    return read(file, name)


def read_audit_files(files: Sequence[Path]) -> JobLog:
    """Read logs to audit; see `rollout.audit.reading` for the kinds.

    Raises:
        BadAudit: A file cannot be read or is of no known kind.
    """
    from rollout.adapters.audit_files import read_files

    return read_files(files)


def read_stack_file(file: Path) -> Stacks:
    """Read collapsed stacks of py-spy.

    Raises:
        BadAudit: The file cannot be read or holds none.
    """
    from rollout.adapters.audit_files import read_stack_file as read

    return read(file)


def read_logged_jobs(
    files: Sequence[Path], name: str, task_name: str
) -> tuple[list[Source], list[JobFact]]:
    """Read what logs tell of one task: how long its runs took, and arguments where they are told.

    Raises:
        BadAudit: A file cannot be read or is of no known kind, or none has a run of the task.
    """
    from rollout.adapters.audit_files import read_files
    from rollout.adapters.input_files import read_input_files
    from rollout.desk.text import some
    from rollout.preflight.facts import Source
    from rollout.preflight.logged import logged_runs

    sources, jobs = [], []
    steps: set[str] = set()
    for file in files:
        log = read_files([file])
        steps.update(log.steps.texts)
        runs = list(logged_runs(log, name, task_name))
        sources.append(Source(f"run times in {file.name}", len(runs)))
        jobs += runs
    told, arguments = read_input_files(files, name, task_name)
    if files and not jobs and not arguments:
        there = f"; its tasks are {some(sorted(steps), 5)}" if steps else ""
        raise no_job_in(files, name, task_name, "hold a finished run", there)
    return [*sources, *(one for one in told if one.jobs)], [*jobs, *arguments]


def read_recorded_inputs(
    files: Sequence[Path], name: str, task_name: str
) -> tuple[list[Source], list[JobFact]]:
    """Read what jobs of one task were given; see `rollout.preflight.inputs` for the lines.

    Raises:
        BadAudit: A file cannot be read, or none has a job of the task.
    """
    from rollout.adapters.input_files import read_input_files

    sources, jobs = read_input_files(files, name, task_name)
    if files and not jobs:
        raise no_job_in(files, name, task_name, "tell what a job was given")
    return sources, jobs


def no_job_in(
    files: Sequence[Path], name: str, task_name: str, wanted: str, there: str = ""
) -> BadAudit:
    """The error for files that were named for a task and have nothing of it.

    Args:
        files: Which.
        name: The sub-pipeline.
        task_name: The task.
        wanted: What at least one line had to do.
        there: What the files have instead; "" when nobody knows.
    """
    from rollout.audit.job_log import BadAudit

    whose = name if name == task_name else f"{name} (task {task_name})"
    return BadAudit(
        f"{', '.join(one.name for one in files[:3])} must {wanted} of {whose}, got none{there}",
        'give JSON lines such as {"args": [1], "kwargs": {}}, events of Celery, or a log of the '
        "workers that run it",
    )
