"""What is jammed: where a job system's time goes, which bottleneck it has, what ways out gain.

Everything here works on values: lines and columns in, findings and pages out. Files are opened by
`rollout.adapters.audit_files`. `rollout.audit.record(app)` writes a log that leaves no question
open; it belongs to Celery and is loaded when it is first asked for.
"""

from importlib import import_module
from typing import Any

__all__ = ["record", "waiting"]

_RECORDER = "rollout.adapters.celery.recorder"


def __getattr__(name: str) -> Any:
    """Load a public name of the recorder on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'rollout.audit' has no attribute {name!r}")
    return getattr(import_module(_RECORDER), name)
