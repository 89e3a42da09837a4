"""Says whether the workers that were started do work: each has to answer, and nobody may die."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from celery.utils.nodenames import gethostname, nodename

from rollout.errors import ProcessNotReady
from rollout.up.processes import Processes

READY_TIMEOUT_S = 60.0
"""A worker of a large app on a busy machine takes ten seconds and more to import it."""

_PING_S = 0.3


def wait_for_workers(
    app: Any, processes: Processes, names: Sequence[str], stopping: Callable[[], bool]
) -> bool:
    """Wait until each worker answers a ping over the broker.

    Args:
        app: The Celery app whose broker carries the pings.
        processes: All that was started; one that dies meanwhile ends the waiting.
        names: Those of them that are workers, by their node name before the `@`.
        stopping: Asked between two pings; True ends the waiting.

    Returns:
        True once all have answered, False when it was told to stop.

    Raises:
        ProcessNotReady: A process died, or a worker did not answer in a minute.
    """
    silent = {nodename(name, gethostname()): name for name in names}
    deadline = time.monotonic() + READY_TIMEOUT_S
    with app.connection_for_write() as connection:
        while silent:
            if stopping():
                return False
            for dead in processes.look_after():
                raise ProcessNotReady(dead, "died while it started", processes.log_end(dead))
            if time.monotonic() > deadline:
                name = next(iter(silent.values()))
                sentence = f"did not answer in {READY_TIMEOUT_S:g} s"
                raise ProcessNotReady(name, sentence, processes.log_end(name))
            answers = app.control.ping(list(silent), timeout=_PING_S, connection=connection)
            for node in (node for answer in answers for node in answer):
                silent.pop(node, None)
    return True
