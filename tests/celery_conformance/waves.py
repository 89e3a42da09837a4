"""Cases that run side by side; where a kill is to come, it comes to all of them at one moment."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

BARRIER_S = 240
WIDTH = 14
"""Cases at a time: most of a case is waiting, and a worker has few processes."""
FIRST = (
    "revoked_by_its_stamp", "revoked_while_waiting", "hard_limit", "hard_limit_of_the_caller",
    "soft_limit", "soft_limit_that_is_caught", "retries_for_ever",
)  # fmt: skip
"""Cases that wait for a time to come: begun last, they would be waited for alone."""


class Wave:
    """One set of cases, each of which comes once to the moment of the kill.

    Args:
        size: Number of cases.
        kill: Called once, when the message of every case is in its queue; None in other modes.
    """

    def __init__(self, size: int, kill: Callable[[], None] | None) -> None:
        self._barrier = None if kill is None else threading.Barrier(size, action=kill)
        self._came: set[str] = set()

    def reached(self, case: str) -> None:
        """Wait until every case has sent its first message, and the kill has come."""
        if self._barrier is not None and case not in self._came:
            self._came.add(case)
            self._barrier.wait(BARRIER_S)


def run_in_waves(
    cases: Sequence[str],
    run: Callable[[str, Wave], Any],
    kill: Callable[[], None] | None,
    rearm: Callable[[], None],
) -> dict[str, Any]:
    """Run all cases; give what each saw.

    What waits long goes first. Without a kill there is one wave, `WIDTH` cases at a time. With
    one the cases of a wave wait for each other, so a wave has no more than that.
    """
    observed: dict[str, Any] = {}
    ordered = sorted(cases, key=lambda name: name not in FIRST)
    for names in _waves(ordered, len(cases) if kill is None else WIDTH):
        wave = Wave(len(names), kill)

        def whole(name: str, wave: Wave = wave) -> Any:
            try:
                return run(name, wave)
            finally:
                wave.reached(name)  # one that sends nothing keeps nobody waiting

        with ThreadPoolExecutor(WIDTH) as pool:
            observed.update(zip(names, pool.map(whole, names), strict=True))
        rearm()
    return observed


def _waves(cases: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(cases), size):
        yield cases[first : first + size]
