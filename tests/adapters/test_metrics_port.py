"""The controller's /metrics on a port that somebody has."""

import socket

import pytest

from rollout.adapters.prometheus import Exporter
from rollout.errors import WrongSettings


def test_a_taken_port_is_said_with_the_setting_that_names_another() -> None:
    """A standby on the same machine, or the controller of another application."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            WrongSettings, match=rf"/metrics cannot listen on 127.0.0.1:{port}"
        ) as told:
            Exporter().serve("127.0.0.1", port)
    assert "ROLLOUT_METRICS_PORT" in told.value.hint
