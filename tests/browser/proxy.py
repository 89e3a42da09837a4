"""A proxy that shows a site under a path and cuts the path off, as many do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}
"""Of one connection alone. Source: RFC 9110, section 7.6.1."""


@contextmanager
def cutting_proxy(address: str, base: str) -> Iterator[str]:
    """Gives the address under which it shows the site; what is beside `base` is not found."""
    where = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # an answer ends with its connection: streams need no lengths

        def forward(self) -> None:
            """Ask the site, and hand its answer on as it comes."""
            if self.path != base and not self.path.startswith((base + "/", base + "?")):
                self.send_error(404)
                return
            line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            try:
                line.request(self.command, self.path.removeprefix(base) or "/", body, headers)
                answer = line.getresponse()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in HOP_BY_HOP:
                        self.send_header(key, value)
                self.end_headers()
                while piece := answer.read1(65_536):
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                pass  # one of both has hung up
            finally:
                line.close()

        do_GET = do_POST = forward

        def log_message(self, format: str, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{base}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
