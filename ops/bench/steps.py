"""One job's way by direct calls: what each step takes, and filing in bulk beside one at a time."""

import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from statistics import median
from uuid import uuid4

from ops.bench.figures import Samples, medians_us
from ops.bench.servers import LEDGERS, TCP, Servers, send_all_to_concurrent
from rollout import JobPath, Reason, Runtime
from rollout.jobs.ports import Filing, Refused
from rollout.routing.effects import Effects
from rollout.routing.router import Router
from rollout.routing.rule import RouteTable

STEPS = ("route", "ledger_insert", "gate", "claim", "commit")
WARM_UP, JOBS = 50, 400
BULK_ROUNDS, BATCH, SINGLES = 9, 500, 60
SILENT = timedelta(seconds=30)
ENVELOPE = json.dumps(
    {
        "headers": {"lang": "py", "task": "rollout.bench", "id": str(uuid4()), "argsrepr": "()"},
        "body": [[], {"customer_id": 7, "month": "2026-11"}, {"callbacks": None, "chain": None}],
        "properties": {"correlation_id": str(uuid4()), "reply_to": str(uuid4())},
    }
)


class Way:
    """The services that one job passes, on one ledger."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        send_all_to_concurrent(runtime, name)
        self.name = name
        self.runtime = runtime
        self.ledger = runtime.ledger
        self.now = runtime.clock.now
        self.router = Router(runtime.control, runtime.clock)
        self.unanswered = 0

    def filing(self) -> Filing:
        """A new job."""
        return Filing(
            str(uuid4()),
            self.name,
            "customer-7",
            JobPath.CONCURRENT,
            Reason.IN_SCOPE,
            3,
            ENVELOPE,
            self.now(),
        )

    def walk(self) -> list[float]:
        """Take one job its whole way and give the seconds of each step."""
        job = self.filing()
        times = [time.perf_counter()]

        def lap() -> None:
            times.append(time.perf_counter())

        self.router.decide(self.name, "customer-7")
        lap()
        self.ledger.file([job])
        lap()
        gate = RouteTable(self.runtime.control.read(self.name)).decide("customer-7")
        lap()
        claim = self.ledger.claim(
            self.name, job.job_id, JobPath.CONCURRENT, Effects.NONE, "bench:1", self.now(), SILENT
        )
        lap()
        # A store that others keep from answering in 100 ms is unreachable: legacy, in production.
        closed = gate.path is JobPath.LEGACY
        assert not closed or gate.reason is Reason.UNREACHABLE, f"the gate said {gate.reason}"
        self.unanswered += closed
        assert not isinstance(claim, Refused), f"the claim said {claim}"
        self.ledger.commit(claim, Effects.NONE, lambda connect: "null", self.now())
        lap()
        return [after - before for before, after in pairwise(times)]


def measure(servers: Servers) -> dict[str, dict[str, float]]:
    """Microseconds of each step and of filing in bulk, for all ledgers; they take turns."""
    ledgers = (*LEDGERS, TCP)
    ways = {ledger: Way(servers.runtime(ledger), f"bench-steps-{ledger}") for ledger in ledgers}
    walks: dict[str, list[list[float]]] = {ledger: [] for ledger in ledgers}
    cpu_s = dict.fromkeys(ledgers, 0.0)
    for turn in range(WARM_UP + JOBS):
        for ledger, way in ways.items():
            started = time.process_time()
            laps = way.walk()
            if turn >= WARM_UP:
                walks[ledger].append(laps)
                cpu_s[ledger] += time.process_time() - started
    bulk = _bulk(ways)
    found = {}
    for ledger, way in ways.items():
        by_step: Samples = dict(
            zip(STEPS, map(list, zip(*walks[ledger], strict=True)), strict=True)
        )
        found[ledger] = medians_us(by_step)
        sums = sorted(sum(laps) * 1e6 for laps in walks[ledger])
        found[ledger]["sum"] = round(median(sums), 1)
        # Without the routing at submission, which asks nobody.
        found[ledger]["direct"] = round(median(sum(laps[1:]) * 1e6 for laps in walks[ledger]), 1)
        # What the same walk takes while nobody else wants the cores.
        found[ledger]["sum_quiet"] = round(sums[len(sums) // 10], 1)
        # This process's own part of it, whoever else wants the cores.
        found[ledger]["sum_cpu"] = round(cpu_s[ledger] / JOBS * 1e6, 1)
        found[ledger]["gates_unanswered"] = way.unanswered
        found[ledger] |= bulk[ledger]
        way.runtime.close()
    return found


def _bulk(ways: dict[str, Way]) -> dict[str, dict[str, float]]:
    """Filing only: batches of 500 in one transaction beside one job a transaction, per job."""
    samples: dict[str, Samples] = {name: {"single": [], "bulk": []} for name in ways}
    for _ in range(BULK_ROUNDS):
        for name, way in ways.items():
            singles = [way.filing() for _ in range(SINGLES)]
            batch = [way.filing() for _ in range(BATCH)]
            one_by_one = _seconds(partial(_file_each, way, singles))
            at_once = _seconds(partial(way.ledger.file, batch))
            samples[name]["single"].append(one_by_one / SINGLES)
            samples[name]["bulk"].append(at_once / BATCH)
    return {
        name: {
            "file_single": round(median(taken["single"]) * 1e6, 1),
            "file_bulk": round(median(taken["bulk"]) * 1e6, 1),
            "bulk_ratio": round(median(taken["single"]) / median(taken["bulk"]), 2),
        }
        for name, taken in samples.items()
    }


def _file_each(way: Way, filings: Sequence[Filing]) -> None:
    for filing in filings:
        way.ledger.file([filing])


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
