"""Waiting for what other threads and processes do, bounded."""

import time
from collections.abc import Callable

_PAUSE_S = 0.005


def wait_until(
    condition: Callable[[], bool],
    description: str,
    within_s: float = 10.0,
    every_s: float = _PAUSE_S,
) -> None:
    """Return as soon as the condition holds; fail with its description after `within_s`.

    What is dear to ask is asked less often, with `every_s`.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within_s} s in vain until {description}")
        time.sleep(every_s)
