"""What drills cost a job when there is none: `python -m ops.bench.drilled`.

The gate reads one more key in the same MGET; a legacy start looks at one flag of its message. Both
take turns with what was there before, in one run, so that ratios can be trusted.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ops.bench.figures import cpu_ns, medians_us, take_turns
from ops.bench.servers import valkey
from rollout.adapters.celery.marks import HEADER, is_drilled
from rollout.adapters.redis.store import RedisControlStore
from rollout.drills.fault import Fault, FaultPlan
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState, Stage

NAME = "bench"
ROUNDS = 4000


def measure(url: str) -> dict[str, float]:
    """Microseconds of the gate's question, nanoseconds of legacy's."""
    store = RedisControlStore(url, connect_timeout_s=2, read_timeout_s=2)
    store.project(ControlState(NAME, Stage.SPLIT, 10_000, 0, revision=1, salt=NAME))
    store.beat("bench", timedelta(hours=1))
    redis: Any = store._redis
    four = [f"rollout:{key}" for key in (f"control:{NAME}", f"kill:{NAME}", "kill", "supervision")]
    five = [*four, f"rollout:drill:{NAME}"]
    samples = take_turns(
        {"mget_4": lambda: redis.mget(four), "mget_5": lambda: redis.mget(five)}, ROUNDS
    )
    reads = take_turns({"gate": lambda: store.read(NAME)}, ROUNDS)
    far = store.read(NAME)
    assert far.state is not None
    until = datetime(2099, 1, 1, tzinfo=UTC)
    plan = FaultPlan("d", NAME, (JobPath.LEGACY,), Fault.RAISE, until, 1)
    store.plant(plan, timedelta(minutes=5))
    drilled = take_turns({"gate_under_a_drill": lambda: store.read(NAME)}, ROUNDS)
    store.unplant(NAME, None)
    store.close()
    headers = {HEADER: {"key": "7", "path": "legacy"}}
    found = medians_us({**samples, **reads, **drilled})
    found["gate_ratio"] = round(found["mget_5"] / found["mget_4"], 3)
    found["legacy_start_ns"] = round(cpu_ns(lambda: is_drilled(headers), 200_000), 1)
    return found


def main() -> int:
    """Measure on a Valkey of our own and print."""
    with TemporaryDirectory(prefix="rollout-bench-") as folder, valkey(Path(folder)) as server:
        for name, value in measure(f"redis://127.0.0.1:{server.port}/0").items():
            print(f"{name:<20}{value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
