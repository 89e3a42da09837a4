"""What tests ask of the threads of a run."""

import threading


def execution_threads() -> list[str]:
    """Names of threads that a run has started and that have not ended."""
    return [one.name for one in threading.enumerate() if one.name.startswith("execution-")]
