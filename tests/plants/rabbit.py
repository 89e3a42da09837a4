"""One RabbitMQ for the tests of a file, with its administrator's command."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.children import Children
from tests.crash.servers import wait_for_port
from tests.plants import debian
from tests.ports import free_port


class Rabbit:
    """A RabbitMQ, and its administrator's command.

    Args:
        folder: Its own, which its user may enter.
        more: Lines of its `rabbitmq.conf`.
    """

    def __init__(self, folder: Path, *more: str) -> None:
        debian.install()
        self.port, inner, self._mapper = free_port(), free_port(), free_port()
        self.children = Children(folder / "logs")
        self._names = debian.erlang_mapper(folder / "rabbit", self._mapper)
        self._server = debian.rabbitmq(folder / "rabbit", self.port, inner, self._mapper, *more)

    def start(self) -> None:
        """Start it, after the mapper of names that it asks."""
        servers = (("mapper", self._names, self._mapper), ("rabbit", self._server, self.port))
        for name, one, port in servers:
            self.children.start(name, one.words, one.env, user=one.user, cwd=one.folder)
            wait_for_port(port, 120)

    def control(self, *words: str) -> str:
        """Run `rabbitmqctl`."""
        one = self._server
        done = subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *words], env=one.env, user=one.user,
            cwd=one.folder, check=True, capture_output=True, timeout=120, text=True,
        )  # fmt: skip
        return done.stdout

    def url(self, login: str = "guest:guest", vhost: str = "/") -> str:
        """Its address for a user."""
        return f"amqp://{login}@127.0.0.1:{self.port}/{vhost}"

    def vhost(self, name: str, *options: str) -> str:
        """Make a virtual host that everybody's guest may use, and say its address."""
        self.control("add_vhost", name, *options)
        self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url(vhost=name)


@contextmanager
def running(*more: str) -> Iterator[Rabbit]:
    """A server, in a folder that its own user may enter; ends with all that it started."""
    folder = Path(tempfile.mkdtemp(prefix="rabbit-"))
    folder.chmod(0o711)
    server = Rabbit(folder, *more)
    try:
        server.start()
        yield server
    finally:
        server.children.end()
        shutil.rmtree(folder, ignore_errors=True)
