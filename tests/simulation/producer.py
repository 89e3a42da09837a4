"""A producer: what `rollout/adapters/celery/amqp.py` does at the door, without Celery."""

from datetime import datetime

from rollout.adapters.memory.queues import MemoryMessage
from rollout.errors import BrokerUnreachable
from rollout.jobs.order import OnFailure
from rollout.jobs.ports import Filing
from rollout.jobs.resources import Need
from rollout.jobs.submit import UNFILED, Submit
from rollout.routing.decision import Decision, JobPath
from rollout.routing.effects import Effects
from rollout.routing.router import Router
from tests.simulation.history import label
from tests.simulation.process import Process
from tests.simulation.watched import Tell


class Kind:
    """A declared sub-pipeline."""

    def __init__(self, name: str, effects: Effects, holdback_bp: int = 500) -> None:
        self.name = name
        self.effects = effects
        self.holdback_bp = holdback_bp
        self.on_failure: OnFailure | None = None
        self.needs: tuple[Need, ...] = ()


class Producer:
    """Submits jobs from one process."""

    def __init__(self, process: Process, tell: Tell) -> None:
        self.process = process
        self._tell = tell
        router = Router(process.store, process.clock)
        self.service = Submit(router, process.ledger, process.clock)

    def submit(self, kind: Kind, job_id: str, key: str) -> None:
        """Take one job to its queue; a submission that fails has promised nothing."""
        decision = self.service.decide(kind.name, key)
        filing = filing_of(kind.name, job_id, key, decision, self.process.clock.now())
        filed = self.service.file(
            kind.name, kind.effects, kind.holdback_bp, [filing], on_failure=kind.on_failure
        )
        path = decision.path if filed else UNFILED.path
        try:
            self.process.broker.send(MemoryMessage(kind.name, path, job_id, key))
        except BrokerUnreachable:
            if not filed:
                return
        else:
            if not filed:
                self.service.remember(kind.effects, [filing])
        self._tell(
            "submitted", name=kind.name, job=label(kind.name, job_id), key=key, path=decision.path,
            reason=decision.reason, revision=decision.revision, filed=filed,
        )  # fmt: skip


def filing_of(name: str, job_id: str, key: str, decision: Decision, at: datetime) -> Filing:
    """A job on its way into the ledger; its key is all that its envelope holds."""
    path: JobPath = decision.path
    return Filing(job_id, name, key, path, decision.reason, decision.revision, key, at)
