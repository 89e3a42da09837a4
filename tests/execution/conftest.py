"""What the tests of executions share."""

from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import pytest

from tests.execution.threads import execution_threads
from tests.waiting import wait_until


@pytest.fixture(scope="session", autouse=True)
def no_tracker_remains(no_process_remains: None) -> Iterator[None]:
    """End the process with which Python watches over semaphores of process pools."""
    yield
    tracker: Any = resource_tracker
    tracker._resource_tracker._stop()


@pytest.fixture(autouse=True)
def no_thread_remains() -> Iterator[None]:
    """Fail a test that leaves a thread of a run behind."""
    yield
    wait_until(lambda: not execution_threads(), "no thread of a run is left", 5)
