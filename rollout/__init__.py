"""Move one sub-pipeline of a job system to a new path, a little at a time, and back at once.

Importing this package does nothing: no connection, no thread, no setting is read until the first
job is submitted. The public names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout.drills.interference import downstream
    from rollout.errors import RolloutError
    from rollout.jobs.ports import Job
    from rollout.pipeline import SubPipeline
    from rollout.routing.decision import Decision, JobPath, Reason
    from rollout.routing.stages import Stage
    from rollout.shadow.compare import Comparison
    from rollout.wiring import Runtime, build

__version__ = "0.1.0"

_HOME = {
    "Comparison": "rollout.shadow.compare",
    "Decision": "rollout.routing.decision",
    "Job": "rollout.jobs.ports",
    "JobPath": "rollout.routing.decision",
    "Reason": "rollout.routing.decision",
    "RolloutError": "rollout.errors",
    "Runtime": "rollout.wiring",
    "Stage": "rollout.routing.stages",
    "SubPipeline": "rollout.pipeline",
    "build": "rollout.wiring",
    "downstream": "rollout.drills.interference",
}

__all__ = [
    "Comparison",
    "Decision",
    "Job",
    "JobPath",
    "Reason",
    "RolloutError",
    "Runtime",
    "Stage",
    "SubPipeline",
    "build",
    "downstream",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'rollout' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
