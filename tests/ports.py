"""Ports that nobody listens on, drawn so that test processes do not take each other's.

Asking the system for a port and giving it back leaves it to whoever comes next, an outgoing
connection or the other test process. These lie below the ports that the system hands out, and each
process of a run has its own.
"""

import os
import socket
from itertools import count

LOWEST = 10_000
EACH = 2_000
_WORKERS = ("", "gw0", "gw1", "gw2", "gw3", "gw4", "gw5", "gw6", "gw7")
_drawn = count(os.getpid() * 40)
"""Two runs on one machine do not begin near each other, though one is started right after the other
and neither listens yet on what it has drawn."""


def free_port() -> int:
    """A port that nobody listens on now."""
    worker = _WORKERS.index(os.environ.get("PYTEST_XDIST_WORKER", ""))
    for _ in range(EACH):
        port = LOWEST + worker * EACH + next(_drawn) % EACH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError(f"all {EACH} ports from {LOWEST + worker * EACH} on are taken")
