"""What a kill has brought about, in words: half by half, and what became of the jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout.control.kill_report import KillReport
    from rollout.wiring import Runtime


def headline(report: KillReport) -> str:
    """What is true, in a sentence."""
    what = target(report)
    if report.complete and report.unsafe_finishing:
        return (
            f"{what}: KILLED. No further job starts on the concurrent path; of those that run "
            f"there only {report.unsafe_finishing} unsafe may commit."
        )
    if report.complete:
        return (
            f"{what}: KILLED. No further job starts on the concurrent path, and none that runs "
            "there can commit."
        )
    if report.ledger_error is None:
        return f"{what}: KILLED in the ledger; the control store is missing."
    if report.store_error is None:
        return f"{what}: KILLED in the control store; the fence in the ledger is missing."
    if report.held_by:
        return f"{what}: NOT KILLED. The control store does not answer, the ledger is held."
    return f"{what}: NOT KILLED. Neither control store nor ledger answers."


def lifting(report: KillReport) -> list[tuple[str, str]]:
    """Who killed, why, and what lifts it; nothing when nothing holds."""
    if not report.holds:
        return []
    kill = report.kill
    return [
        ("log", f"by {kill.actor}: {kill.reason}"),
        ("lift it with", f"rollout rearm {kill.name or '--all'} --reason '...'"),
    ]


def starts(report: KillReport, url: str) -> str:
    """What is true of starts."""
    if report.store_error is None:
        return f"yes, in {report.starts_blocked_ms:.1f} ms (control store {url})"
    text = f"NOT by the store: {report.store_error}\n"
    if report.ledger_error is None:
        return text + (
            "A gate that cannot read the store either sends starts to legacy; where one still "
            "can, the ledger refuses the claim. The controller sets the latch when the store is "
            "back."
        )
    return text + "A gate that cannot read the store either sends starts to legacy."


def commits(report: KillReport, runtime: Runtime) -> str:
    """What is true of commits."""
    if report.ledger_error is None:
        return f"yes, in {report.commits_fenced_ms:.1f} ms (ledger {runtime.database.url})"
    soon = f"within a tick ({runtime.settings.tick_s:g} s)"
    if report.held_by:
        text = f"NOT: {report.ledger_error}\nJobs that run already may commit until then. "
        if report.store_error is None:
            text += f"The controller tries at each tick and fences {soon} of its end. "
        return text.rstrip()
    text = (
        f"NOT: {report.ledger_error}\nNo commit is possible while the ledger is away from the "
        "workers, too; where only this command cannot write it, running jobs may still commit. "
    )
    if report.store_error is None:
        text += (
            f"The controller fences as soon as it answers, {soon}, in which running jobs may "
            "still commit. If only this machine or user cannot, kill again from another. "
        )
        if report.kill.name is not None:
            text += f"The name {report.kill.name!r} could not be checked."
    return text.rstrip()


def job_lines(report: KillReport, lost_after_s: float) -> list[tuple[str, str]]:
    """What became of the jobs that the kill met."""
    if report.broker_error is not None:
        sent = (
            f"moved to legacy in the ledger, not all sent: {report.broker_error}\n"
            f"The controller sends what no queue holds after {lost_after_s:g} s."
        )
    elif report.left:
        sent = (
            "sent back to legacy so far; the controller moves the rest, or this command again. "
            "Until then the gate sends each to legacy at its start."
        )
    else:
        sent = "sent back to legacy"
    more = " or more" if report.many and not report.left else ""
    rows = [
        (f"{'queued jobs':<14}", f"{report.queued_sent_back}{more} {sent}"),
        ("running jobs", f"{report.running_abandoned} abandoned; legacy runs them again"),
    ]
    if report.unsafe_finishing:
        rows.append(
            ("unsafe jobs", f"{report.unsafe_finishing} running; they are allowed to finish")
        )
    return rows


def target(report: KillReport) -> str:
    """Whom the kill was for."""
    if report.kill.name is not None:
        return report.kill.name
    return f"all ({', '.join(report.names)})" if report.names else "all"
