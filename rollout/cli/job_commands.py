"""`job`, `jobs`, `retry`, `messages`, `prune`: single jobs, and what is kept or deleted."""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AnyName, AsJson, Limit, Reveal, Since, caller_of, since_of
from rollout.cli.output import at_text, facts, listing, say, show, show_error, show_json, warn
from rollout.cli.session import opened
from rollout.desk.lately import error_line
from rollout.jobs.recent import JobKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.control.change import Retried
    from rollout.desk.jobs import JobList, JobPage, WayStep
    from rollout.desk.revealed import Revealed
    from rollout.jobs.claims import JobRecord
    from rollout.wiring import Runtime

RETRIES_MAX = 1000
"""Most failures that one `retry --failed` takes; another takes the next."""

NO_JOB = {
    JobKind.FAILED: "no failed job is kept",
    JobKind.FALLBACKS: "no job has fallen back to legacy",
    JobKind.RUNNING: "no job is running",
    JobKind.WAITING: "no job is waiting",
}

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the AsyncResult.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (job, jobs, retry, messages, prune):
        app.command()(command)


def job(ctx: typer.Context, job_id: JobId, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """Show one job's way, step by step. Jobs of several sub-pipelines may have one id."""
    with opened(ctx, servers="") as runtime:
        found = runtime.desk.job(job_id)
        revealed = tuple(_reveal(runtime, page.record) for page in found.pages if reveal)
    if as_json:
        from rollout.desk.revealed import RevealedPages

        shown = RevealedPages(found, revealed) if reveal else found
        show_json(shown.to_json())
        return
    for page in found.pages:
        _show_job(page)
    for one in revealed:
        say(f"\narguments of {one.job_id} in {one.name}: {one.arguments or one.error}")
        say(f"result: {one.result or 'none'}")


def _reveal(runtime: "Runtime", record: "JobRecord") -> "Revealed":
    runtime.door.note(caller_of(""), "reveal", record.name, f"job {record.job_id}")
    return runtime.desk.revealed(record)


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
    fallbacks: Annotated[
        bool, typer.Option("--fallbacks", help="Failed on the concurrent path, taken over.")
    ] = False,
    running: Annotated[bool, typer.Option("--running", help="Started, not finished.")] = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Accepted, not started.")] = False,
    since: Since = "",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs by where they stand, grouped by error."""
    given = {"failed": failed, "fallbacks": fallbacks, "running": running, "waiting": waiting}
    chosen = [kind for kind, wanted in given.items() if wanted]
    if len(chosen) != 1:
        raise typer.BadParameter("say which jobs: --failed, --fallbacks, --running or --waiting")
    with opened(ctx, servers="") as runtime:
        at = since_of(since, runtime.clock.now())
        page = runtime.desk.jobs(name, JobKind(chosen[0]), at, limit)
    if as_json:
        show_json(page.to_json())
    elif not page.jobs:
        say(NO_JOB[JobKind(chosen[0])] + ("" if at is None else " of those that came since then"))
    else:
        _show_groups(page)


def _show_groups(page: "JobList") -> None:
    for group in page.groups:
        count = len(group.jobs)
        what = f"{count} of {group.name}"
        if page.more:
            what = f"{count} of the newest {page.limit}, {group.name}"
        say(f"{what}: {group.error}" if group.error else what, "bold")
        for record in group.jobs:
            _show_line(record, page.kind, group.error)
    if page.kind is JobKind.FAILED:
        say(
            "times are UTC; `rollout job ID` shows a job's way, `rollout retry ID` runs it again "
            "on legacy"
        )
    else:
        say("times are UTC; `rollout job ID` shows a job's way")
    if page.more:
        say(f"only the newest {page.limit} are shown, there are more; --limit shows them")


def _show_line(record: "JobRecord", kind: JobKind, alike: str | None) -> None:
    """A job on a line of its own, its id whole, so that it can be copied; 80 columns hold it."""
    at = record.finished_at if kind is JobKind.FAILED else record.accepted_at
    when = "" if at is None else f"  {at:%m-%d %H:%M:%S}"
    say(f"  {record.job_id}{when}  {record.state} on {record.path}")
    error = error_line(record)
    if kind in (JobKind.FAILED, JobKind.FALLBACKS) and error != alike:
        say(f"    {error}")


def retry(
    ctx: typer.Context,
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Ids, or their beginnings.", show_default=False),
    ] = None,
    failed: Annotated[
        str,
        typer.Option(
            "--failed", metavar="NAME", help="All kept failures of NAME.", show_default=False
        ),
    ] = "",
    name: Annotated[
        str | None,
        typer.Option("--name", help="Sub-pipeline, where several have a job of this id."),
    ] = None,
    since: Since = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Send what --failed found; else it is only shown.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send kept failures again, to legacy."""
    from rollout.control.change import retried_json

    if bool(job_ids) is bool(failed):
        raise typer.BadParameter("give either IDs or --failed NAME")
    with opened(ctx, servers="broker") as runtime:
        if failed:
            at = since_of(since, runtime.clock.now())
            page = runtime.desk.jobs(failed, JobKind.FAILED, at, RETRIES_MAX)
            if not yes:
                _preview(page, as_json)
                return
            wanted: list[tuple[str, str | None]] = [
                (record.job_id, record.name) for record in page.jobs
            ]
        else:
            wanted = [(runtime.desk.whole_id(job_id), name) for job_id in job_ids or []]
        done = runtime.door.retry(caller_of(""), wanted, "")
    if as_json:
        show_json(done[0].to_json() if job_ids and len(done) == 1 else retried_json(done))
    else:
        _say_retried(done)
    if any(one.not_sent is not None or one.refused is not None for one in done):
        only = done[0].refused if len(done) == 1 else None
        raise typer.Exit(ExitCode.REFUSED if only else ExitCode.PARTLY)


def _preview(page: "JobList", as_json: bool) -> None:
    if as_json:
        show_json(page.to_json())
        return
    _show_groups(page)
    jobs = "1 job" if len(page.jobs) == 1 else f"{len(page.jobs)} jobs"
    say(f"{jobs} would be sent again, to legacy; --yes sends them")


def _say_retried(done: "Sequence[Retried]") -> None:
    for one in done:
        if one.refused is not None:
            show_error(one.refused)
            continue
        say(f"job {one.job_id}: accepted again, on legacy")
        if one.not_sent is not None:
            warn(f"its message is not sent yet: {one.not_sent}. The controller sends it")
    if any(one.refused is None for one in done):
        say("`rollout job ID` shows a job's way")


def messages(
    ctx: typer.Context, limit: Limit = 20, reveal: Reveal = False, as_json: AsJson = False
) -> None:
    """List refused messages that are kept, newest first. What producers wrote is masked."""
    with opened(ctx, servers="") as runtime:
        if reveal:
            runtime.door.note(caller_of(""), "reveal", None, "refused messages")
        page = runtime.desk.messages(limit, revealed=reveal)
    if as_json:
        show_json(page.to_json())
        return
    if not page.messages:
        say("no refused message is kept")
    for message in page.shown:
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
