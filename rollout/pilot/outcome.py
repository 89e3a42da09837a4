"""What one job says about the path it was assigned to.

A job counts for the path that routing drew for it, wherever it ran in the end: a job rescued by
legacy is a failure of the concurrent path, with its whole cycle time. What says nothing about a
path is left out: jobs that a kill, a gate or a revert moved, and jobs of a drill. A job that fails
on both paths has its input to blame; it is counted apart.

`adapters/sql/pilot_rows.py` says the same in SQL for windows; a contract test compares the two.
"""

from enum import StrEnum

from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason


class Outcome(StrEnum):
    """What a job says so far."""

    GOOD = "good"
    """Nothing went wrong; it may still run."""
    FAILED = "failed"
    """The path it was assigned to failed it."""
    BOTH_FAILED = "both_failed"
    """Legacy failed it as well: the input is to blame."""
    UNJUDGED = "unjudged"
    """It says nothing about a path."""


def outcome_of(
    assigned: JobPath,
    path: JobPath,
    state: JobState,
    fallback: Reason | None,
    moved: Reason | None,
    *,
    backwards: bool = False,
) -> Outcome:
    """Say what a job means for the path it was assigned to.

    Args:
        assigned: Path that routing drew.
        path: Path it is on now.
        state: Where it stands.
        fallback: Why legacy took it over from the concurrent path, None if it did not.
        moved: Last reason that moved it to legacy.
        backwards: It finished before it was admitted: a clock is wrong.
    """
    if backwards or state.called_off:
        return Outcome.UNJUDGED
    failed = state is JobState.FAILED
    if assigned is JobPath.LEGACY:
        was_kept = failed or moved is Reason.RETRIED_BY_HAND
        return Outcome.FAILED if was_kept else Outcome.GOOD
    if fallback is not None:
        was_kept = failed or moved is Reason.RETRIED_BY_HAND
        return Outcome.BOTH_FAILED if was_kept else Outcome.FAILED
    if moved is not None and moved.means.not_its_doing:
        return Outcome.UNJUDGED
    if failed:
        return Outcome.FAILED if path is JobPath.CONCURRENT else Outcome.BOTH_FAILED
    return Outcome.UNJUDGED if moved is Reason.RETRIED_BY_HAND else Outcome.GOOD
