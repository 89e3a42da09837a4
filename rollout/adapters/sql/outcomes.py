"""What a job's row says of its path, as conditions in SQL."""

from sqlalchemy import case, exists, or_

from rollout.adapters.sql.pilot_tables import drill_span
from rollout.adapters.sql.tables import job
from rollout.jobs.claims import JobState
from rollout.pilot.outcome import Outcome
from rollout.routing.decision import JobPath, Reason

_NOT_ITS_DOING = [one for one in Reason if one.means.not_its_doing]
_KEPT = or_(job.c.state == JobState.FAILED, job.c.moved_reason == Reason.RETRIED_BY_HAND)

OUTCOME = case(
    (job.c.finished_at < job.c.accepted_at, Outcome.UNJUDGED),
    (job.c.state.in_([state for state in JobState if state.called_off]), Outcome.UNJUDGED),
    (
        job.c.assigned_path == JobPath.LEGACY,
        case((_KEPT, Outcome.FAILED), else_=Outcome.GOOD),
    ),
    (
        job.c.fallback_reason.is_not(None),
        case((_KEPT, Outcome.BOTH_FAILED), else_=Outcome.FAILED),
    ),
    (job.c.moved_reason.in_(_NOT_ITS_DOING), Outcome.UNJUDGED),
    (
        job.c.state == JobState.FAILED,
        case((job.c.path == JobPath.CONCURRENT, Outcome.FAILED), else_=Outcome.BOTH_FAILED),
    ),
    (job.c.moved_reason == Reason.RETRIED_BY_HAND, Outcome.UNJUDGED),
    else_=Outcome.GOOD,
)
"""`pilot.outcome.outcome_of` in SQL; a contract test compares the two."""

IN_DRILL = or_(
    job.c.drill.is_not(None),
    exists().where(
        drill_span.c.name == job.c.name,
        drill_span.c.began_at <= job.c.accepted_at,
        or_(drill_span.c.ended_at.is_(None), drill_span.c.ended_at >= job.c.accepted_at),
    ),
)
"""Jobs of a drill, and jobs admitted while one hurt their sub-pipeline."""

JUDGED = OUTCOME.in_([Outcome.GOOD, Outcome.FAILED])
"""Jobs that count for or against their path."""
