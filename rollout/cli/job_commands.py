"""`job`, `jobs`, `retry`, `messages`, `prune`: single jobs, and what is kept or deleted."""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AnyName, AsJson, Limit
from rollout.cli.output import at_text, facts, listing, say, show, show_json, warn
from rollout.cli.session import opened

if TYPE_CHECKING:
    from rollout.desk.jobs import JobPage, WayStep
    from rollout.jobs.claims import JobRecord

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the AsyncResult.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (job, jobs, retry, messages, prune):
        app.command()(command)


def job(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job's way, step by step; jobs of several sub-pipelines may have one id."""
    with opened(ctx, servers="") as runtime:
        found = runtime.desk.job(job_id)
    if as_json:
        show_json(found.to_json())
        return
    for page in found.pages:
        _show_job(page)


def _show_job(page: "JobPage") -> None:
    record = page.record
    say(f"job {record.job_id} of {record.name}: {record.state} on {record.path}", "bold")
    show(facts(page.facts))
    say("")
    rows = [_row(step) for step in page.steps]
    show(listing(("UTC", "ms", "what", "path", "reason", "worker"), rows, whole=5))
    if record.error:
        say(f"\nerror: {record.error}")


def _row(step: "WayStep") -> tuple[object, ...]:
    clock = f"{step.at:%H:%M:%S}.{step.at.microsecond // 1000:03d}"
    return (clock, step.after_ms, step.what, step.path, step.reason, step.worker)


def jobs(
    ctx: typer.Context,
    name: AnyName = None,
    failed: Annotated[bool, typer.Option("--failed", help="The kept failures.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List failed jobs that are kept, newest first."""
    if not failed:
        raise typer.BadParameter("say which jobs: --failed lists the kept failures")
    with opened(ctx, servers="") as runtime:
        found = runtime.desk.failed(name, limit)
    if as_json:
        show_json(found.to_json())
    elif not found.jobs:
        say("no failed job is kept")
    else:
        for record in found.jobs:
            _show_failure(record)
        say("`rollout job ID` shows a job's way, `rollout retry ID` runs it again on legacy")
        if found.more:
            say(f"only the newest {limit} are shown; --limit shows more")


def _show_failure(record: "JobRecord") -> None:
    at = "" if record.finished_at is None else at_text(record.finished_at)
    errors = (record.error or "no error was recorded").strip().splitlines()
    say(f"{record.job_id}  {record.name}  {at}\n  {errors[-1]}")


def retry(
    ctx: typer.Context,
    job_id: JobId,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Sub-pipeline, where several have a job of this id."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a kept failure again, to legacy."""
    with opened(ctx, servers="broker") as runtime:
        not_sent = runtime.changes.retry(job_id, name)
    if as_json:
        show_json({"job_id": job_id, "sent": not_sent is None, "not_sent": not_sent})
    else:
        say(f"job {job_id}: accepted again, on legacy; `rollout job {job_id}` shows its way")
    if not_sent is not None:
        warn(f"its message is not sent yet: {not_sent}. The controller sends it")
        raise typer.Exit(ExitCode.PARTLY)


def messages(ctx: typer.Context, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List refused messages that are kept, newest first."""
    with opened(ctx, servers="") as runtime:
        found = runtime.desk.messages(limit)
    if as_json:
        show_json(found.to_json())
        return
    if not found.messages:
        say("no refused message is kept")
    for message in found.messages:
        say(f"{at_text(message['at'])}  {message['queue']}", "bold")
        show(facts((part, message[part]) for part in ("why", "headers", "body")))


def prune(
    ctx: typer.Context,
    days: Annotated[
        float | None,
        typer.Option(min=0, help="Delete what finished longer ago.", show_default="keep_days"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete old committed jobs now; unfinished and failed ones stay."""
    from datetime import timedelta

    from rollout.control.prune import prune as delete

    with opened(ctx, servers="") as runtime:
        keep = runtime.settings.keep if days is None else timedelta(days=days)
        done = delete(runtime.ledger, runtime.clock.now() - keep)
    if as_json:
        show_json(done.to_json())
    else:
        before = at_text(done.finished_before)
        say(f"{done.jobs} committed jobs deleted that finished before {before}")
