"""Which builds this worker runs, told to the ledger: once at its start, then that it still does.

Celery starts a bootstep anew at every reconnect. What is told is told by the process and not by its
connection, so a hiccup of the broker announces nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rollout.adapters.celery.marks import path_of
from rollout.errors import LedgerUnreachable
from rollout.log import log

if TYPE_CHECKING:
    from rollout.adapters.celery.steps import Worked


AGAIN_S = 60.0
"""A build counts as gone after ten times as long without a word (`pilot.builds.GONE_AFTER`)."""


class Announcer:
    """Tells the builds of one worker process.

    Args:
        pipelines: By task name.
    """

    def __init__(self, pipelines: "Mapping[str, Worked]") -> None:
        self._pipelines = pipelines
        self._queues: tuple[str, ...] = ()
        self._said_at: float | None = None

    def consumes(self, queues: Sequence[str]) -> None:
        """Note which queues this worker consumes, and tell what was not told yet."""
        self._queues = tuple(queues)
        self.tell()

    def tell(self) -> None:
        """Tell the builds, unless that was done lately; a ledger that is away is told next time."""
        monotonic = self._clock()
        if monotonic is None:
            return
        now_s = monotonic()
        if self._said_at is not None and now_s - self._said_at < AGAIN_S:
            return
        if announce(self._pipelines, self._queues):
            self._said_at = now_s

    def _clock(self) -> Callable[[], float] | None:
        for pipeline in self._pipelines.values():
            return pipeline.clock.monotonic
        return None


def announce(pipelines: "Mapping[str, Worked]", queues: Sequence[str]) -> bool:
    """Say what this worker serves and which builds it runs, by its queues; whether all was said.

    A sub-pipeline whose workers run can be started before its first job.
    """
    told = True
    for pipeline in pipelines.values():
        served = [path for queue in queues if (path := path_of(pipeline.name, queue))]
        if not served:
            continue
        try:
            now = pipeline.clock.now()
            pipeline.ledger.ensure(pipeline.name, pipeline.effects, pipeline.holdback_bp, now)
            for path, build in pipeline.builds.items():
                if path in served:
                    pipeline.build_ledger.announce(pipeline.name, path, build)
        except LedgerUnreachable as error:  # said again with the next renewal
            log.error("worker not announced", name=pipeline.name, why=str(error))
            told = False
    return told
