"""`simulate`: what would happen, on drawn or recorded jobs and a virtual clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AsJson
from rollout.cli.output import show_json, warn
from rollout.cli.rehearsal_view import show_compared, show_pilots, show_replayed

if TYPE_CHECKING:
    from rollout.policy.policy import Policies
    from rollout.rehearsal.injection import Injection
    from rollout.rehearsal.rehearse import Rehearsed
    from rollout.rehearsal.replay import Setting

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""A Monday morning, so that no look falls on a Friday afternoon."""

WARMUP_DAYS = 8.0
"""Days on legacy alone before the start: seven whole ones say how often legacy fails."""

DRILL_RATIO = 0.8
"""In a synthetic drill the concurrent path heals in so much of legacy's time."""

Injected = Annotated[
    str,
    typer.Option(
        "--inject",
        metavar="TEXT",
        help="Make the concurrent path worse: 'at=day 9.5 errors=0.05', '... slow=1.25',"
        " '... all-fail'.",
        show_default=False,
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="A file like rollout.toml to take the policy from.",
        show_default="rollout.toml",
    ),
]
Name = Annotated[
    str, typer.Argument(metavar="[NAME]", help="The sub-pipeline, whose policy is used.")
]
Days = Annotated[float, typer.Option(min=0.1, max=3650, help="Days of the pilot.")]
JobsPerDay = Annotated[float, typer.Option(min=1, help="Jobs a day, both paths together.")]
ErrorRate = Annotated[float, typer.Option(min=0, max=1, help="Share of jobs that fail, 0..1.")]
CycleMedian = Annotated[float, typer.Option(min=0.001, help="Half of the jobs take longer.")]
CycleSigma = Annotated[float, typer.Option(min=0, max=5, help="Spread of ln(cycle time).")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed draws the same jobs.")]
StreamFile = Annotated[
    Path | None,
    typer.Option(
        "--stream",
        metavar="FILE",
        help="Recorded jobs, CSV or JSON lines, instead of drawn ones.",
        show_default=False,
    ),
]
DrillPairs = Annotated[float, typer.Option(min=0, max=100, help="Synthetic drill pairs a week.")]
Compare = Annotated[bool, typer.Option("--compare", help="Show peers beside it, in one table.")]
PilotCount = Annotated[
    int, typer.Option("--pilots", min=1, max=10_000, help="Pilots per number of --compare.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(simulate)


def simulate(
    name: Name = "pilot",
    policy: PolicyFile = None,
    days: Days = 28,
    jobs_per_day: JobsPerDay = 100_000,
    error_rate: ErrorRate = 0.005,
    cycle_median_s: CycleMedian = 2.0,
    cycle_sigma: CycleSigma = 1.0,
    seed: Seed = 1,
    stream: StreamFile = None,
    inject: Injected = "",
    drill_pairs_per_week: DrillPairs = 6,
    compare: Compare = False,
    pilots: PilotCount = 20,
    as_json: AsJson = False,
) -> None:
    """Rehearse a pilot in seconds, on drawn or recorded jobs. It is judged as in earnest."""
    from rollout.rehearsal.injection import parse_injection
    from rollout.rehearsal.stream_draw import Drawing

    policies = policies_of(policy)
    injection = parse_injection(inject) if inject else None
    drawing = Drawing(jobs_per_day, error_rate, cycle_median_s, cycle_sigma, seed)
    with interruptible() as so_far:
        if compare and stream is None:
            _compare_pilots(drawing, injection, days, pilots, as_json)
            return
        heading = [_policy_said(policies, name, policy)]
        if stream is None:
            setting = _drawn(name, policies, drawing, days)
            heading.insert(0, _drawing_said(drawing, days, policies.of(name).day_s))
        else:
            setting = _recorded(name, policies, stream, days)
            heading.insert(0, f"{setting.stream.jobs:,} recorded jobs of {stream}")
        setting = _with(setting, policies, injection, drill_pairs_per_week, seed)
        heading += said_of(injection, drill_pairs_per_week)
        rehearse_and_show(setting, {"policy": policies}, heading, compare, as_json, so_far)


def rehearse_and_show(
    setting: "Setting",
    policies: "dict[str, Policies]",
    heading: list[str],
    compare: bool,
    as_json: bool,
    so_far: "list[Rehearsed]",
) -> None:
    """Replay one policy and show its timeline, or all of them and the peers in a table."""
    from rollout.desk.rehearsals import ComparisonPage, RehearsalPage
    from rollout.rehearsal import replay as replays

    first = next(iter(policies.values()))
    day_s = first.of(setting.stream.name).day_s
    if compare:
        rows = tuple(replays.compare(setting, policies))
        injected = setting.injection is not None
        table = ComparisonPage(rows, setting.start, day_s, tuple(heading), injected)
        if as_json:
            show_json(table.to_json())
        else:
            show_compared(table)
        return

    def remember(done: "Rehearsed") -> None:
        so_far[:] = [done]

    replayed = replays.replay(setting, first, remember)
    page = RehearsalPage(replayed, setting.start, day_s, tuple(heading))
    if as_json:
        show_json(page.to_json())
    else:
        show_replayed(page)


@contextmanager
def interruptible() -> "Iterator[list[Rehearsed]]":
    """Say on ctrl-C how far it came, and keep the judgement's own log off the output."""
    import logging

    import structlog

    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    so_far: list[Rehearsed] = []
    try:
        yield so_far
    except KeyboardInterrupt:
        at = f" at {so_far[0].until:%Y-%m-%d %H:%M} UTC of the virtual clock" if so_far else ""
        warn(f"interrupted{at}; a rehearsal changes nothing")
        raise typer.Exit(ExitCode.PARTLY) from None
    finally:
        structlog.configure(**before)


def policies_of(file: Path | None) -> "Policies":
    """The policies in force, or those of another file.

    Raises:
        WrongSettings: The file cannot be read or is not TOML.
        WrongPolicy: A line in it is wrong.
    """
    from rollout.policies import read_policies, read_policies_of

    return read_policies() if file is None else read_policies_of(file)


def said_of(injection: "Injection | None", pairs_per_week: float) -> list[str]:
    """What was put into the jobs, in sentences."""
    lines = [] if injection is None else [f"injected: {injection}"]
    if pairs_per_week:
        lines.append(
            f"drills: synthetic, {pairs_per_week:g} pairs a week; the concurrent path heals in "
            f"{DRILL_RATIO:g} of legacy's time"
        )
    else:
        lines.append("drills: none")
    return lines


def _policy_said(policies: "Policies", name: str, file: Path | None) -> str:
    from rollout.policy.tables import mistaken_for, tables_of
    from rollout.settings import CONFIG_FILE

    tables = tables_of(policies, name)
    where = f"{' and '.join(tables)} of {file or CONFIG_FILE}" if tables else "the defaults"
    meant = mistaken_for(policies, name)
    note = "" if meant is None else f"; a table for {meant!r} is there, and holds nothing here"
    return f"policy of {name!r}: {where}{note}"


def _drawing_said(drawing: Any, days: float, day_s: float) -> str:
    length = "" if day_s == 86_400 else f" of {day_s:g} s each"
    return (
        f"{days:g} days{length} of {drawing.jobs_per_day:,.0f} jobs, drawn with seed "
        f"{drawing.seed}: {100 * drawing.error_rate:g} % fail, the median takes "
        f"{drawing.cycle_median_s:g} s (sigma {drawing.cycle_sigma:g}), both paths alike"
    )


def _drawn(name: str, policies: "Policies", drawing: Any, days: float) -> "Setting":
    from rollout.rehearsal.replay import Setting
    from rollout.rehearsal.stream_draw import draw_stream

    day_s = policies.of(name).day_s
    begin = START - timedelta(seconds=WARMUP_DAYS * day_s)
    pace = day_s / 86_400.0
    drawn = draw_stream(
        name,
        replace(drawing, jobs_per_day=drawing.jobs_per_day / pace),
        begin,
        (days + WARMUP_DAYS) * pace,
    )
    return Setting(drawn, START, START + timedelta(seconds=days * day_s))


def _recorded(name: str, policies: "Policies", file: Path, days: float) -> "Setting":
    from rollout.sources import read_stream

    return setting_of(read_stream(file, name), policies, days)


def setting_of(stream: Any, policies: "Policies", days: float | None, **more: Any) -> "Setting":
    """Take a day of recorded jobs for the time before the start, or a tenth of a shorter record."""
    from rollout.rehearsal.replay import Setting

    day = timedelta(seconds=policies.of(stream.name).day_s)
    begin, end = stream.begins_at, stream.ends_at + timedelta(microseconds=1)
    start = begin + min(day, (end - begin) / 10)
    if days is not None:
        end = min(end, start + days * day)
    return Setting(stream, start, end, **more)


def _with(
    setting: "Setting",
    policies: "Policies",
    injection: "Injection | None",
    pairs_per_week: float,
    seed: int,
) -> "Setting":
    policy = policies.of(setting.stream.name)
    holdback_bp = setting.holdback_bp if policy.holdback_bp is None else policy.holdback_bp
    drills = synthetic_drills(setting, policy.day_s, pairs_per_week, seed)
    return replace(setting, injection=injection, drills=drills, holdback_bp=holdback_bp)


def synthetic_drills(
    setting: "Setting", day_s: float, pairs_per_week: float, seed: int
) -> list[Any]:
    """Drills for the whole pilot."""
    from rollout.rehearsal.stream_draw import draw_drills

    days = (setting.end - setting.start).total_seconds() / day_s
    name = setting.stream.name
    return draw_drills(name, pairs_per_week, DRILL_RATIO, setting.start, days, day_s, seed)


def _compare_pilots(
    drawing: Any, injection: "Injection | None", days: float, pilots: int, as_json: bool
) -> None:
    from rollout.desk.rehearsals import PilotsPage
    from rollout.rehearsal.pilots import Traffic, compare_pilots, fault_of

    fault = fault_of(injection)
    traffic = Traffic(
        drawing.jobs_per_day, drawing.error_rate, max(1, round(days)), fault, drawing.seed
    )
    heading = [
        f"{pilots} seeded pilots per number (seed {drawing.seed}; rollout and Kayenta: a quarter), "
        f"{traffic.days} days of {traffic.jobs_per_day:,.0f} jobs, "
        f"{100 * traffic.error_rate:g} % of them fail",
        f"exposed: {100 * fault:g} % of concurrent jobs fail from the start of the pilot",
        "fixed scopes, failures alone: policies, cycle times and drills play no part in this table",
    ]
    page = PilotsPage(tuple(compare_pilots(traffic, pilots)), tuple(heading))
    if as_json:
        show_json(page.to_json())
    else:
        show_pilots(page)
