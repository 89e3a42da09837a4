"""Servers of this suite, each started once in a process of tests."""

from collections.abc import Iterator

import pytest

from tests.plants.rabbit import Rabbit, running

CONSUMER_TIMEOUT_S = 5
"""Beyond what any test of this server holds a message, except the one that means to."""


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    """One RabbitMQ for the tests that need no plant around it."""
    with running(f"consumer_timeout = {CONSUMER_TIMEOUT_S * 1000}") as server:
        yield server
