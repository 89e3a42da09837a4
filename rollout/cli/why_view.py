"""How the pending decision looks: the most important line first."""

from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from rollout.cli.evidence_view import (
    findings_of,
    notes_of,
    page,
    stands,
    statistics_of,
    values_of_situation,
    way_back_of,
)
from rollout.cli.output import at_text, facts, plain
from rollout.routing.stages import Stage

if TYPE_CHECKING:
    from rollout.desk.why import Leader, Pending, Why
    from rollout.pilot.ports import DecisionRecord

_STYLES = {"revert": "bold red", "advance": "bold green", "graduate": "bold green"}
_REVERT = "revert"


def render(why: "Why") -> RenderableType:
    """One page: what is pending, what it takes, what was measured."""
    pending, seen, made = why.pending, why.pending.seen, why.pending.made
    title = _title(why)
    if seen is None or made is None or pending.outlook is None:
        return page(title, facts([("leader", leader_line(why.leader)), _last(why.last)]))
    ready = pending.not_ready
    rows = [
        ("next", pending.outlook.sentence),
        ("stands", stands(seen)),
        ("way back", way_back_of(seen, pending.way_back, ready, pending.holdback_bp)),
        _last(why.last),
        ("leader", leader_line(why.leader)),
    ]
    if why.confirmation is not None:
        rows.insert(1, ("revert", why.confirmation))
    needs = [(one.what, one.sentence) for one in pending.outlook.needs]
    told = {one.sentence for one in pending.outlook.needs}
    needs += [("way_back", one) for one in ready if one not in told]
    notes = notes_of(seen)
    return page(
        [title, facts(rows)],
        [Text("before the next step", "bold"), facts(needs)] if needs else None,
        findings_of(made.findings),
        facts(notes) if notes else None,
        statistics_of(made.findings),
    )


def _title(why: "Why") -> Text:
    pending, made, last = why.pending, why.pending.made, why.last
    state = pending.state
    if made is None:
        return Text.assemble((plain(state.name), "bold"), f": {plain(pending.unseen or '')}")
    action, said, style = str(made.action).upper(), made.sentence, _STYLES.get(made.action, "bold")
    if made.person:
        action, style = "A PERSON DECIDES", "bold yellow"
    elif state.killed:
        action, style = "KILLED", "bold red"
    elif state.stage is Stage.LEGACY:
        action = "LEGACY"
        if last is not None and last.action == _REVERT and _made_this_step(last, pending):
            action, said, style = "REVERTED", last.sentence, "bold red"
    return Text.assemble((plain(state.name), "bold"), ": ", (action, style), f": {plain(said)}")


def _made_this_step(last: "DecisionRecord", pending: "Pending") -> bool:
    """Whether the last decision began the present step: nobody changed anything since."""
    return pending.trial is not None and last.at == pending.trial.began_at


def _last(last: "DecisionRecord | None") -> tuple[str, str]:
    if last is None:
        return ("last decision", "none yet")
    said = f"{last.action} at {at_text(last.at)}: {last.sentence}"
    return ("last decision", f"{said} (`rollout decision {last.decision_id}`)")


def judgement_line(pending: "Pending") -> str:
    """What is pending and what comes next, for a line of the status."""
    made, ahead = pending.made, pending.outlook
    if made is None or ahead is None:
        return f"none: {pending.unseen}"
    if ahead.not_before is None and not ahead.needs:
        return ahead.sentence
    word = "A PERSON DECIDES" if made.person else str(made.action)
    return f"{word}: {made.sentence.rstrip('.')}; {ahead.sentence}"


def leader_line(leader: "Leader") -> str:
    """Who leads, how fresh that is, and who would take over."""
    waits = ", ".join(leader.standbys) or "none"
    if leader.owner is None:
        return f"NOBODY leads, nothing is judged: start `rollout controller`; standby: {waits}"
    age_s = leader.lease_age_s or 0.0
    if not leader.alive:
        return (
            f"NOBODY leads, nothing is judged: {leader.owner} was last heard of {age_s:.0f} s ago;"
            f" start `rollout controller`; standby: {waits}"
        )
    return f"{leader.owner}, heard of {age_s:.1f} s ago; standby: {waits}"


def as_values(why: "Why") -> dict[str, Any]:
    """What scripts read."""
    last = why.last
    return {
        "name": why.pending.state.name,
        "at": why.at,
        **values_of(why.pending),
        "revert_confirmation": why.confirmation,
        "last_decision": None if last is None else summary(last),
        "leader": leader_values(why.leader),
    }


def values_of(pending: "Pending") -> dict[str, Any]:
    """What scripts read about a pending decision."""
    seen, made, ahead = pending.seen, pending.made, pending.outlook
    return {
        "unseen": pending.unseen,
        "pending": None if made is None else made.to_json(),
        "next": None if ahead is None else ahead.to_json(),
        "situation": None if seen is None else values_of_situation(seen),
        "way_back": {
            "ready": None if seen is None else not pending.not_ready,
            "sentence": pending.way_back,
            "not_ready": list(pending.not_ready),
            "holdback_bp": pending.holdback_bp,
        },
    }


def summary(record: "DecisionRecord") -> dict[str, Any]:
    """What scripts read about a decision without its evidence."""
    return {
        "id": record.decision_id,
        "name": record.name,
        "at": record.at,
        "window": record.window,
        "action": record.action,
        "sentence": record.sentence,
        "revision": record.revision,
    }


def leader_values(leader: "Leader") -> dict[str, Any]:
    """What scripts read about the leader."""
    return {
        "owner": leader.owner,
        "alive": leader.alive,
        "lease_age_s": leader.lease_age_s,
        "takeover_s": leader.takeover_s,
        "standbys": list(leader.standbys),
    }
