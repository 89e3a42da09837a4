"""`job`, `jobs`, `retry`, `messages`, `prune`: single jobs, and what is kept or deleted."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AnyName, AsJson, Limit
from rollout.cli.output import at_text, facts, listing, say, show, show_json, warn
from rollout.cli.session import opened
from rollout.jobs.way import read_way

if TYPE_CHECKING:
    from rollout.jobs.claims import JobRecord

PRUNE_BATCH = 1000
"""Rows of one transaction, so that no worker waits long for SQLite's single writer."""

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the AsyncResult.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (job, jobs, retry, messages, prune):
        app.command()(command)


def job(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job's way, step by step; jobs of several sub-pipelines may have one id."""
    with opened(ctx, servers="") as runtime:
        records = runtime.ledger.jobs_of(job_id)
    if as_json:
        shown = [{**values_of(record), "way": read_way(record.way)} for record in records]
        show_json(shown[0] if len(shown) == 1 else {"jobs": shown})
        return
    for record in records:
        _show_job(record)


def _show_job(record: "JobRecord") -> None:
    say(f"job {record.job_id} of {record.name}: {record.state} on {record.path}", "bold")
    show(facts(_facts(record)))
    say("")
    show(listing(("UTC", "ms", "what", "path", "reason", "worker"), _steps(record), whole=5))
    if record.error:
        say(f"\nerror: {record.error}")


def values_of(record: "JobRecord") -> dict[str, Any]:
    """What scripts read about a job; its message and its way are left out."""
    values = asdict(record)
    del values["envelope"], values["way"]
    return values


def _facts(record: "JobRecord") -> list[tuple[str, str]]:
    rows = [
        ("key", record.key),
        ("assigned to", f"{record.assigned_path} ({record.reason}, revision {record.revision})"),
        ("submitted", at_text(record.accepted_at)),
    ]
    if record.not_before is not None:
        rows.append(("not before", at_text(record.not_before)))
    if record.finished_at is not None:
        rows.append(("cycle time", f"{_ms(record.accepted_at, record.finished_at)} ms"))
    if record.fallback_reason is not None:
        rows.append(("fell back", str(record.fallback_reason)))
    return rows


def _steps(record: "JobRecord") -> list[tuple[object, ...]]:
    rows = []
    for line in read_way(record.way):
        at = datetime.fromisoformat(line["at"])
        clock = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"
        told = [line.get(fact) for fact in ("path", "reason", "worker")]
        rows.append((clock, _ms(record.accepted_at, at), line["what"], *told))
    return rows


def _ms(since: datetime, at: datetime) -> int:
    # A step is kept in whole milliseconds, a submission in microseconds.
    return max(0, round((at - since).total_seconds() * 1000))


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
        if name is not None:
            runtime.ledger.control(name)
        records = runtime.ledger.failed(name, limit)
    if as_json:
        show_json({"jobs": [values_of(record) for record in records]})
    elif not records:
        say("no failed job is kept")
    else:
        for record in records:
            _show_failure(record)
        say("`rollout job ID` shows a job's way, `rollout retry ID` runs it again on legacy")
        if len(records) == limit:
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
        kept = runtime.ledger.kept_messages(limit)
    if as_json:
        show_json({"messages": [dict(message) for message in kept]})
        return
    if not kept:
        say("no refused message is kept")
    for message in kept:
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

    with opened(ctx, servers="") as runtime:
        keep = runtime.settings.keep if days is None else timedelta(days=days)
        before = runtime.clock.now() - keep
        pruned = 0
        while batch := runtime.ledger.prune(before, PRUNE_BATCH):
            pruned += batch
    if as_json:
        show_json({"pruned": pruned, "finished_before": before.isoformat()})
    else:
        say(f"{pruned} committed jobs deleted that finished before {at_text(before)}")
