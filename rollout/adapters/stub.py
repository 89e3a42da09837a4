"""A server on loopback that answers every request with an error: a drill's `downstream`."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

STATUS = 503


class _Refusing(BaseHTTPRequestHandler):
    """Answers each request with 503, whatever it asks."""

    def _refuse(self) -> None:
        self.send_error(STATUS, "a drill answers errors on purpose")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _refuse

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on stderr."""


def failing_stub(host: str = "127.0.0.1") -> tuple[str, Callable[[], None]]:
    """Start it in a thread of the runner's process; gives its URL and what stops it.

    Should the process die, connections to it are refused, which is an error, too.
    """
    server = ThreadingHTTPServer((host, 0), _Refusing)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,), name="drill-stub", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"http://{host}:{server.server_address[1]}", stop
