"""The guard that keeps a Valkey restart from ending a Celery worker."""

from types import SimpleNamespace

import pytest
from kombu.transport.redis import Channel
from redis.exceptions import ConnectionError as RedisConnectionError

from rollout.adapters.celery.guard import guard_restarts


def test_closed_channel_raises_a_connection_error() -> None:
    """A channel whose transport is gone says so in the words that Celery reconnects on."""
    assert guard_restarts()
    channel = Channel.__new__(Channel)
    channel.connection = SimpleNamespace(client=None)
    with pytest.raises(RedisConnectionError, match="while it reconnected"):
        channel._connparams()


def test_guard_is_put_in_once() -> None:
    """A second worker step in the same process does not wrap the guard again."""
    guard_restarts()
    first = Channel._connparams
    guard_restarts()
    assert Channel._connparams is first


def test_other_kombu_versions_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kombu that this was not seen on keeps its own code."""
    monkeypatch.setattr("kombu.__version__", "5.9.0")
    assert not guard_restarts()
