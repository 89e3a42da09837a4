"""The program with one guard taken out; a harness that does not notice is worth nothing."""

from dataclasses import replace
from typing import Any

GUARDS = ("fence", "attempt", "outbox", "gate", "order", "room")


def take_out(guard: str | None) -> None:
    """Take one guard out of this process; None leaves all in place."""
    if not guard:
        return
    assert guard in GUARDS, f"expected one of {GUARDS}, got {guard!r}"
    {
        "fence": _no_fence,
        "attempt": _no_attempt,
        "outbox": _no_outbox,
        "gate": _no_gate,
        "order": _no_order,
        "room": _no_room,
    }[guard]()


def _no_fence() -> None:
    """Commits ignore the kill and the fence revision."""
    from rollout.adapters.sql import job_rows
    from rollout.jobs.claims import judge_commit

    def judge(record: Any, claim: Any, control: Any, effects: Any) -> Any:
        open_ = replace(control, killed=False, fence_revision=claim.fence_revision)
        return judge_commit(record, claim, open_, effects)

    job_rows.judge_commit = judge  # type: ignore[attr-defined]  # a re-export, patched on purpose
    _close_the_lane()


def _no_attempt() -> None:
    """Commits count whoever holds the job by now."""
    from rollout.adapters.sql import job_rows
    from rollout.jobs.claims import JobState, judge_commit

    def judge(record: Any, claim: Any, control: Any, effects: Any) -> Any:
        mine = replace(record, attempt=claim.attempt, nonce=claim.nonce, state=JobState.STARTED)
        return judge_commit(mine, claim, control, effects)

    job_rows.judge_commit = judge  # type: ignore[attr-defined]  # a re-export, patched on purpose
    _close_the_lane()


def _close_the_lane() -> None:
    """Every commit is judged by the function that was put in; the lane says the rule in SQL."""
    from rollout.adapters.sql.lane import Lane

    Lane.commit = lambda *given, **named: False  # type: ignore[method-assign]


def _no_outbox() -> None:
    """The controller never sends a job again."""
    from rollout.controller.tick import Tick

    Tick._sweep = lambda self, open_counts, report: None  # type: ignore[method-assign]


def _no_gate() -> None:
    """A concurrent start asks nobody."""
    from rollout.jobs import attempt

    attempt._why_not = lambda reading, key: None


def _no_order() -> None:
    """Nobody stands behind anybody."""
    from rollout.adapters.sql.order_rows import OrderRows

    OrderRows.stands_behind = lambda self, place, now: None  # type: ignore[method-assign]


def _no_room() -> None:
    """There is room for everybody."""
    from rollout.adapters.sql import resource_statements

    resource_statements.has_room = lambda taken, weight, capacity: True  # type: ignore[attr-defined]  # a re-export, patched on purpose
