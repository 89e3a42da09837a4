"""The controller as a process: signals, `/metrics`, and the loop between them."""

import signal
from threading import Event
from types import FrameType

from rollout.adapters.prometheus import Exporter
from rollout.controller import loop
from rollout.log import Log, tell_utc
from rollout.policies import read_policies
from rollout.up.policy_file import PolicyFile
from rollout.wiring import Runtime

log = Log("rollout.controller")


def run(runtime: Runtime) -> None:
    """Run the controller until SIGTERM or ctrl-C, then close the runtime."""
    tell_utc()
    stop = Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    settings = runtime.settings
    exporter = Exporter()
    port = exporter.serve(settings.metrics_host, settings.metrics_port)
    log.info("controller started", metrics=f"http://{settings.metrics_host}:{port}/metrics")
    file = PolicyFile(runtime.policies, read_policies)
    runtime.outbox.start()
    loop.run(runtime.tick, runtime.ledger, exporter, settings.tick_s, stop, file.look)
    runtime.outbox.stop()
    exporter.close()
    runtime.close()
    log.info("controller stopped")
