"""Ports of this machine that nobody listens on."""

import socket

from rollout.settings import Settings


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def with_ports(settings: Settings) -> Settings:
    """The settings with a port in place of each 0.

    The address that is printed is then the one to open, and stays so when a process is started
    again.
    """
    wanted = {
        name: free_port() for name in ("metrics_port", "web_port") if getattr(settings, name) == 0
    }
    return settings.model_copy(update=wanted)
