"""Whose drill a fault is that an experiment plants by itself, in the process that runs it."""

from uuid import uuid4

_drill_ids: list[str] = []


def runs_for(drill_id: str) -> None:
    """Note that this process runs the experiment of a drill."""
    _drill_ids[:] = [drill_id]


def id_of_plan() -> str:
    """Give the id that a plan's jobs are marked with.

    The first plan of a drill's experiment takes the drill's own, so that its jobs are counted
    there. A further one has its own: by one id both would have one limit of jobs.
    """
    return _drill_ids.pop() if _drill_ids else uuid4().hex
