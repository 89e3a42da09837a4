"""Builds the objects; the only place that knows every adapter.

Each is imported when it is built: `rollout kill` must not wait for what it does not use. What a
job needs is imported at once by `load_for_jobs`, before a worker forks its children.
"""

from rollout.wiring.building import (
    build,
    build_for_app,
    build_in_memory,
    health,
    load_app,
    load_for_jobs,
)
from rollout.wiring.servers import ledger_in_memory
from rollout.wiring.services import Runtime, arguments_in

__all__ = [
    "Runtime",
    "arguments_in",
    "build",
    "build_for_app",
    "build_in_memory",
    "health",
    "ledger_in_memory",
    "load_app",
    "load_for_jobs",
]
