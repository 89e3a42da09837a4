"""Run times against the limits that end a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.figures import seconds_text
from rollout.preflight.facts import JobFact, TaskFacts, Trial
from rollout.preflight.findings import (
    EXAMPLES_MAX,
    Check,
    Finding,
    NotChecked,
    Passed,
    Result,
    jobs_text,
)

NEAR = 0.8
"""A longest run beyond this share of a limit is told, though it passes."""

_RAISE = (
    "raise it in rabbitmq.conf: else RabbitMQ closes the channel of the worker that runs these, "
    "and Celery's worker ends (broker_channel_error_retry = True lets it go on)"
)


def check_limits(task: TaskFacts, jobs: Sequence[JobFact], trial: Trial) -> Iterator[Result]:
    """Look for runs over each limit, of recorded jobs and of those that were tried here."""
    times = [(one.seconds, one.where) for one in jobs if one.seconds is not None]
    times += [(one.seconds, f"{one.where} ({one.order})") for one in trial.runs if not one.error]
    if task.time_limit_s is None and task.soft_limit_s is None:
        yield NotChecked(
            Check.LIMITS,
            f"{task.name!r} has no time limit: a job that hangs keeps its process",
            "declare SubPipeline(..., time_limit=SECONDS)",
        )
    if task.ends_worker:
        yield from _let_past(task)
    if not times:
        yield NotChecked(
            Check.LIMITS, "no source tells how long runs take", "give a worker log: it tells"
        )
        return
    limits = [
        ("soft_time_limit", task.soft_limit_s, "raise it, or split the job"),
        ("time_limit", task.time_limit_s, "raise it, or split the job"),
        (
            "RabbitMQ's consumer_timeout", task.redelivered_after_s, _RAISE,
        ) if task.ends_worker else (
            "the broker's visibility_timeout", task.redelivered_after_s,
            "raise it in broker_transport_options: else these jobs are delivered while they run",
        ),
    ]  # fmt: skip
    for limit_name, limit_s, todo in limits:
        if limit_s is not None:
            yield _against(limit_name, limit_s, todo, times)


def _let_past(task: TaskFacts) -> Iterator[Result]:
    """Tell a limit that lets a run go on when RabbitMQ has taken its message back."""
    after_s = task.redelivered_after_s
    limits_s = [one for one in (task.soft_limit_s, task.time_limit_s) if one is not None]
    if after_s is not None and limits_s and min(limits_s) > after_s:
        yield Finding(
            Check.LIMITS,
            f"a run may take {seconds_text(min(limits_s))} by its limit, and RabbitMQ's "
            f"consumer_timeout is {seconds_text(after_s)} unless rabbitmq.conf says otherwise",
            f"lower the limit, or {_RAISE}",
        )


def _against(
    limit_name: str, limit_s: float, todo: str, times: Sequence[tuple[float, str]]
) -> Result:
    over = sorted((one for one in times if one[0] > limit_s), reverse=True)
    longest = max(times)[0]
    if over:
        return Finding(
            Check.LIMITS,
            f"{jobs_text(len(over), 'run')} of {len(times):,} took longer than {limit_name} "
            f"({seconds_text(limit_s)})",
            todo,
            [f"{where}: {seconds_text(seconds)}" for seconds, where in over[:EXAMPLES_MAX]],
        )
    near = ", near it" if longest > NEAR * limit_s else ""
    return Passed(
        Check.LIMITS,
        f"the longest of {jobs_text(len(times), 'run')} took {seconds_text(longest)}, "
        f"{limit_name} is {seconds_text(limit_s)}{near}",
    )
