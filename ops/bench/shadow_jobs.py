"""The Celery app of the shadow's measurement: legacy works, its shadow does what a job says."""

import os
import signal
import time

from celery import Celery

from rollout import SubPipeline, build

LEGACY_S = 0.02

app = Celery("shadow-bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.broker_connection_retry_on_startup = True
pipeline = SubPipeline(
    "shadowed",
    app=app,
    effects="none",
    runtime=build(
        ledger_url=os.environ["BENCH_LEDGER"],
        broker_url=os.environ["BENCH_REDIS"],
        control_url=os.environ["BENCH_REDIS"],
        # Without the rate limit more shadows run than anybody would let: the harder case.
        shadow_rate=float(os.environ["BENCH_RATE"]),
        shadow_again_bp=0,
        shadow_limit_s=2,
    ),
)


@pipeline.legacy
def one_by_one(number: int, fault: str) -> dict[str, int]:
    """Take 20 ms."""
    time.sleep(LEGACY_S)
    return {"number": number}


@pipeline.concurrent
def overlapped(number: int, fault: str) -> dict[str, int]:
    """Do harm, to be seen only in the shadow."""
    match fault:
        case "hang":
            time.sleep(600)
        case "fail":
            raise ValueError("the concurrent path is broken")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(LEGACY_S)
    return {"number": number}
