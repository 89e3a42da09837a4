"""How policies and what lint says of them are shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from rollout.cli.output import at_text, facts, listing, percent, plain, say, show, show_json, warn
from rollout.errors import RolloutError

if TYPE_CHECKING:
    from rollout.policy.check import Checked, Known
    from rollout.policy.policy import Policies, Policy

_STYLES = {"error": "bold red", "warning": "yellow", "advice": "cyan"}
_WORDS = {"advice": ("piece of advice", "pieces of advice")}


def report(checked: "Checked", wrong: Sequence[RolloutError], as_json: bool) -> bool:
    """Show every finding; whether there is no error among them."""
    findings = [
        *({"level": "error", "rule": "wrong_line", "sub_pipeline": None, "sentence": one.problem,
           "todo": one.hint} for one in wrong),
        *({"level": str(one.level), "rule": one.rule, "sub_pipeline": one.subject,
           "sentence": one.sentence, "todo": one.todo} for one in checked.findings),
    ]  # fmt: skip
    fine = all(one["level"] != "error" for one in findings)
    unanswered = checked.known.unanswered
    if as_json:
        show_json(
            {
                "ok": fine,
                "findings": findings,
                "traffic": {
                    name: {"jobs_per_week": one.jobs_per_week, "error_rate": one.error_rate}
                    for name, one in checked.traffic.items()
                },
                "ledger": None if unanswered is None else str(unanswered),
            }
        )
        return fine
    for name, one in checked.traffic.items():
        say(f"{name}: {one.jobs_per_week:,.0f} jobs a week, {one.error_rate:.2%} of legacy's fail")
    for finding in findings:
        _print(finding)
    if unanswered is not None:
        warn(f"traffic and declarations are not known: {unanswered}")
    say(_sum(findings))
    return fine


def _print(finding: dict[str, str | None]) -> None:
    level, name = str(finding["level"]), finding["sub_pipeline"]
    said = f"{name}: {finding['sentence']}" if name else finding["sentence"]
    show(facts([(level, Text.assemble(f"{plain(said)}\nto do: {plain(finding['todo'])}"))]))


def _sum(findings: Sequence[dict[str, str | None]]) -> str:
    """How many of each level: "1 error, 2 warnings"."""
    counted = []
    for level in _STYLES:
        count = sum(finding["level"] == level for finding in findings)
        one, more = _WORDS.get(level, (level, f"{level}s"))
        if count:
            counted.append(f"{count} {one if count == 1 else more}")
    return ", ".join(counted) or "nothing found"


def shown(
    policies: "Policies", known: "Known", name: str | None, now: datetime, as_json: bool
) -> None:
    """Show the policy in force and where each value comes from."""
    from rollout.policies import source_of
    from rollout.policy.ladder import steps_bp
    from rollout.policy.policy import blocked_by, next_free

    policy = policies.default if name is None else policies.of(name)
    values = policy.model_dump(mode="json")
    sources = {field: source_of(policies, name, field) for field in values}
    declared = known.holdback_bp(name)
    is_declared = name is not None and name in (known.states or ())
    steps = steps_bp(policy, declared)
    cohort = None if name is None else policies.cohort_of(name)
    held, free = blocked_by(policy, now), next_free(policy, now)
    if as_json:
        show_json(
            {
                "sub_pipeline": name,
                "values": values,
                "sources": sources,
                "steps_bp": list(steps),
                "holdback_bp": declared if policy.holdback_bp is None else policy.holdback_bp,
                "held_by_calendar": held,
                "next_free_at": free,
                "cohort": None if cohort is None else cohort.model_dump(mode="json"),
                "fleet": policies.fleet.model_dump(mode="json"),
            }
        )
        return
    say(f"policy of {name or 'every sub-pipeline without one of its own'}", "bold")
    show(
        listing(
            ("", "from", "value"),
            ((field, sources[field], _value(policy, field)) for field in values),
            2,
        )
    )
    say("")
    show(facts(_meaning(policy, is_declared, steps, declared, held, free)))
    for line in _together(policies, cohort):
        say(line)
    if known.unanswered is not None:
        warn(f"declarations are not known: {known.unanswered}")


def _value(policy: "Policy", field: str) -> str:
    value = getattr(policy, field)
    if field == "freezes":
        lines = [
            f"{one.begin:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M}"
            f"{': ' + one.why if one.why else ''}"
            for one in value
        ]
        return "\n".join(lines) or "-"
    if field == "quiet":
        return "\n".join(str(one) for one in value) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value)
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _meaning(
    policy: "Policy",
    is_declared: bool,
    steps: tuple[int, ...],
    declared: int,
    held: str | None,
    free: datetime | None,
) -> list[tuple[str, str]]:
    kept = percent(declared if policy.holdback_bp is None else policy.holdback_bp)
    if policy.holdback_bp is None:
        kept += ", as declared" if is_declared else ", unless the code declares another"
    rows = [
        ("steps", ", ".join(percent(step) for step in steps) or "none"),
        ("holdback", kept),
        ("calendar", "free now" if held is None else held),
    ]
    if held is not None:
        rows.append(("next free", "not in 400 days" if free is None else at_text(free)))
    return rows


def _together(policies: "Policies", cohort: Any) -> list[str]:
    lines = []
    if cohort is not None:
        lines.append(
            f"cohort {cohort.name}: {', '.join(cohort.members)}; doubles every"
            f" {cohort.period_days:g} days"
        )
    fleet = policies.fleet
    if fleet.splits_max is not None:
        lines.append(f"fleet: at most {fleet.splits_max} on trial at once")
    if fleet.advances_per_day_max is not None:
        lines.append(f"fleet: at most {fleet.advances_per_day_max} advances a day")
    return lines
