"""`/metrics` of the controller: made from the ledger, so no worker has to be scraped.

A job that never finishes is in the in-flight figures with its age; one that finished is counted
once, by the fold, and stays counted when the controller restarts.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from rollout.adapters.prometheus_pilots import TrialsExport
from rollout.controller.tick import TickReport
from rollout.errors import WrongSettings
from rollout.jobs.cycle import BUCKETS_S
from rollout.jobs.ports import CycleTally, Tally
from rollout.routing.decision import JobPath
from rollout.routing.stages import BP_ALL, Stage

_WINDOW_TICKS = 60
"""The observed scope is that of the jobs finished within this many ticks."""


class Exporter(Collector):
    """Holds the figures of the last tick and gives them to Prometheus."""

    def __init__(self) -> None:
        self._report: TickReport | None = None
        self._outcomes: Sequence[Tally] = ()
        self._cycles: Sequence[CycleTally] = ()
        self._resent: defaultdict[str, int] = defaultdict(int)
        self._window: deque[dict[tuple[str, str], int]] = deque(maxlen=_WINDOW_TICKS)
        self._trials = TrialsExport()
        self._server: Any = None
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def serve(self, host: str, port: int) -> int:
        """Answer on this address; the port that was taken (0 asks for any free one).

        Raises:
            WrongSettings: Somebody else listens there, or the address is not of this machine.
        """
        try:
            self._server, _ = start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise WrongSettings(
                f"the controller's /metrics cannot listen on {host}:{port}: "
                f"{error.strerror or error}",
                "stop what listens there, or take another: ROLLOUT_METRICS_PORT (0 is any free)",
            ) from None
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def tick(
        self,
        report: TickReport,
        outcomes: Sequence[Tally] | None = None,
        cycles: Sequence[CycleTally] | None = None,
    ) -> None:
        """Take over the figures of a tick; tallies that could not be read keep their last value."""
        self._trials.tick(report)
        self._report = report
        self._resent["lost_message"] += report.resent_lost
        self._resent["worker_silent"] += report.resent_silent
        self._resent["recalled"] += report.recalled
        if outcomes is not None and cycles is not None:
            self._outcomes, self._cycles = outcomes, cycles
            self._window.append(_assigned(outcomes))

    def collect(self) -> Iterator[Metric]:
        """Give all metrics; none before the first tick."""
        if self._report is None:
            return
        yield from self._of_tick(self._report)
        yield from self._of_stage(self._report)
        yield from self._of_open_jobs(self._report)
        yield from self._of_finished_jobs()
        yield from self._trials.collect(self._report)

    def _of_tick(self, report: TickReport) -> Iterator[Metric]:
        yield _gauge(
            "rollout_last_tick_timestamp_seconds",
            "Time of the last tick; alert when it grows old.",
            (),
            [((), report.at.timestamp())],
        )
        yield _gauge(
            "rollout_tick_errors",
            "Servers that did not answer the last tick.",
            (),
            [((), len(report.errors))],
        )
        resent = CounterMetricFamily(
            "rollout_resent_jobs", "Jobs the controller sent to legacy.", labels=("why",)
        )
        for why, jobs in self._resent.items():
            resent.add_metric((why,), jobs)
        yield resent

    def _of_stage(self, report: TickReport) -> Iterator[Metric]:
        name = ("sub_pipeline",)
        observed = self._observed()
        yield _gauge(
            "rollout_scope_target_ratio",
            "Share of jobs that should run on the concurrent path, as decided.",
            name,
            [((state.name,), state.scope_bp / BP_ALL) for state in report.states],
        )
        yield _gauge(
            "rollout_scope_observed_ratio",
            "Share of lately finished jobs that routing assigned to the concurrent path.",
            name,
            [((state,), share) for state, share in observed.items()],
        )
        yield _gauge(
            "rollout_stage",
            "1 for the stage the sub-pipeline is in.",
            ("sub_pipeline", "stage"),
            [
                ((state.name, stage), int(state.stage is stage))
                for state in report.states
                for stage in Stage
            ],
        )
        for flag, help_text in (
            ("killed", "1 while a kill is latched."),
            ("frozen", "1 while the scope may not grow."),
        ):
            yield _gauge(
                f"rollout_{flag}",
                help_text,
                name,
                [((state.name,), int(getattr(state, flag))) for state in report.states],
            )

    def _of_open_jobs(self, report: TickReport) -> Iterator[Metric]:
        yield _gauge(
            "rollout_in_flight_jobs",
            "Unfinished jobs.",
            ("sub_pipeline", "path", "state"),
            [((count.name, count.path, count.state), count.jobs) for count in report.open_counts],
        )
        oldest: defaultdict[tuple[str, str], float] = defaultdict(float)
        for state in report.states:
            for path in JobPath:
                oldest[(state.name, path)] = 0.0
        for count in report.open_counts:
            age_s = (report.at - count.oldest).total_seconds()
            key = (count.name, str(count.path))
            oldest[key] = max(oldest[key], age_s)
        yield _gauge(
            "rollout_oldest_in_flight_seconds",
            "Age of the oldest unfinished job since its submission.",
            ("sub_pipeline", "path"),
            list(oldest.items()),
        )
        yield _gauge(
            "rollout_unaccounted_jobs",
            "Jobs the ledger has and neither queue nor worker seems to hold; they are sent again.",
            ("sub_pipeline",),
            [((name,), jobs) for name, jobs in report.unaccounted.items()],
        )

    def _of_finished_jobs(self) -> Iterator[Metric]:
        labels = ("sub_pipeline", "assigned_path", "path", "outcome", "reason")
        jobs = CounterMetricFamily("rollout_jobs", "Finished jobs, counted once.", labels=labels)
        for tally in self._outcomes:
            jobs.add_metric(
                (tally.name, tally.assigned_path, tally.path, tally.outcome, tally.reason),
                tally.jobs,
            )
        yield jobs
        cycle = HistogramMetricFamily(
            "rollout_cycle_seconds",
            "Submission to commit, by the path that routing assigned (fallbacks included).",
            labels=("sub_pipeline", "assigned_path"),
        )
        for key, tallies in _by_path(self._cycles).items():
            buckets, total, jobs_seen = [], 0.0, 0
            counts = {tally.le_s: tally.jobs for tally in tallies}
            for bound in (*BUCKETS_S, float("inf")):
                jobs_seen += counts.get(bound, 0)
                buckets.append(("+Inf" if bound == float("inf") else str(bound), jobs_seen))
            total = sum(tally.sum_s for tally in tallies)
            cycle.add_metric(key, buckets, total)
        yield cycle

    def _observed(self) -> dict[str, float]:
        if len(self._window) < 2:
            return {}
        first, last = self._window[0], self._window[-1]
        shares = {}
        for name in {name for name, _ in last}:
            moved = last.get((name, JobPath.CONCURRENT), 0) - first.get(
                (name, JobPath.CONCURRENT), 0
            )
            kept = last.get((name, JobPath.LEGACY), 0) - first.get((name, JobPath.LEGACY), 0)
            if moved + kept > 0:
                shares[name] = moved / (moved + kept)
        return shares


def _gauge(
    name: str,
    help_text: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _assigned(outcomes: Sequence[Tally]) -> dict[tuple[str, str], int]:
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for tally in outcomes:
        counts[(tally.name, str(tally.assigned_path))] += tally.jobs
    return dict(counts)


def _by_path(cycles: Sequence[CycleTally]) -> dict[tuple[str, str], list[CycleTally]]:
    grouped: defaultdict[tuple[str, str], list[CycleTally]] = defaultdict(list)
    for tally in cycles:
        grouped[(tally.name, str(tally.assigned_path))].append(tally)
    return dict(grouped)
