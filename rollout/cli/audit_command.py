"""`audit`: what is jammed, from the logs that a team has already; asks no ledger and no server."""

import gc
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson
from rollout.cli.output import say, show_json, write_file
from rollout.errors import RolloutError

if TYPE_CHECKING:
    from rollout.audit.audit import Audit
    from rollout.audit.job_log import JobLog
    from rollout.audit.pages import Section

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="Worker logs (also .gz), CSV, JSON lines, OTLP, Chrome traces, ...",
        show_default=False,
    ),
]
Tolerates = Annotated[
    str,
    typer.Option(metavar="TIME", help="What users tolerate: 10s, 5min, 2h.", show_default=False),
]


def _file(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="FILE", help=help_text, show_default=False
    )
    return option


class NothingToAudit(RolloutError):
    """Neither a file nor the ledger was named."""

    def __init__(self) -> None:
        super().__init__(
            "audit needs a log, got none",
            "give one: `rollout audit worker.log`, or `--ledger NAME`",
        )


LONG_CHARS = 44
"""A column with longer cells stands below its row, indented."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(audit)


def audit(
    ctx: typer.Context,
    files: Files = None,
    ledger: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Audit a sub-pipeline's jobs in the ledger.", show_default=False
        ),
    ] = "",
    tolerates: Tolerates = "",
    stacks: Annotated[
        Path | None, _file("Collapsed stacks of py-spy: the inside of a step.")
    ] = None,
    html: Annotated[Path | None, _file("Write the report as one HTML file.")] = None,
    speedscope: Annotated[Path | None, _file("Write one cycle for speedscope.app.")] = None,
    trace: Annotated[Path | None, _file("Write one cycle as a Chrome trace.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="Print the verdict and no tables.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find out what is jammed, from a plain worker log. Says what each way out would gain."""
    from rollout.audit.audit import audit as audited
    from rollout.sources import read_audit_files, read_stack_file

    tolerates_s = seconds_of(tolerates)
    gc.disable()  # millions of rows and no cycles among them: looking for some takes seconds
    try:
        if ledger:
            log = _of_ledger(ctx, ledger)
        elif files:
            log = read_audit_files(files)
        else:
            raise NothingToAudit
        answer = audited(log, tolerates_s, read_stack_file(stacks) if stacks else None)
    finally:
        gc.enable()
    if as_json:
        from rollout.audit import as_json as shape

        show_json(shape.as_json(answer))
    elif markdown:
        from rollout.audit.markdown import markdown_of

        typer.echo(markdown_of(answer), nl=False)
    else:
        draw(answer, brief)
    # Last, so that a file that cannot be written costs nobody the answer.
    for file in _write(answer, html, speedscope, trace):
        if not (as_json or markdown):
            say(f"written to {file}")


def seconds_of(text: str) -> float | None:
    """A span such as 10s, 5min or 2h in seconds; None for none."""
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|min|h|d)", text)
    if found is None:
        raise typer.BadParameter(
            f"--tolerates must be a time such as 10s, 5min or 2h, got {text!r}"
        )
    return float(found[1]) * {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}[found[2]]


def _of_ledger(ctx: typer.Context, name: str) -> "JobLog":
    from rollout.cli.session import opened

    with opened(ctx, servers="") as runtime:
        return runtime.audited_jobs(name)


def _write(
    answer: "Audit", html: Path | None, speedscope: Path | None, trace: Path | None
) -> list[Path]:
    """Write the files that were asked for."""
    from rollout.audit.flame import chrome_trace
    from rollout.audit.flame import speedscope as scope_of
    from rollout.audit.html import html_of

    texts: list[tuple[Path | None, str]] = []
    if html is not None:
        names = ", ".join(one.name for one in answer.measured.log.captures[:3])
        texts.append((html, html_of(answer, f"Audit of {names}")))
    if speedscope is not None:
        texts.append((speedscope, json.dumps(scope_of(answer.measured))))
    if trace is not None:
        texts.append((trace, json.dumps(chrome_trace(answer.measured))))
    written = []
    for file, text in texts:
        if file is not None:
            write_file(file, text)
            written.append(file)
    return written


def draw(answer: "Audit", brief: bool) -> None:
    """Print the verdict, then the sections."""
    from rollout.audit.pages import sections_of

    say(answer.verdict.sentence, "bold")
    say(f"next: {answer.verdict.next_command}")
    if brief:
        return
    for section in sections_of(answer):
        say("")
        say(section.title, "bold")
        _draw(section)


def _draw(section: "Section") -> None:
    for sentence in section.sentences:
        say(sentence)
    if not section.table:
        return
    head, *rows = section.table
    long = [at for at in range(len(head)) if max(len(row[at]) for row in rows) > LONG_CHARS]
    short = [at for at in range(len(head)) if at not in long]
    widths = [max(len(row[at]) for row in section.table) for at in short]
    for number, row in enumerate(section.table):
        if number or len(short) > 1:
            line = "  ".join(f"{row[at]:<{width}}" for at, width in zip(short, widths, strict=True))
            say(line.rstrip(), "" if number else "dim")
        if number:
            for at in long:
                named = "" if head[at] == "evidence" else f"{head[at]}: "
                say(f"    {named}{row[at]}")
