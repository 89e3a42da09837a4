"""A declared sub-pipeline, as the adapter for Celery asks for it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rollout.jobs.attempt import Attempts
from rollout.jobs.delivery import Paths
from rollout.jobs.key_order import KeyOrder
from rollout.jobs.order import OnFailure
from rollout.jobs.ports import JobLedger
from rollout.jobs.resource_calls import ResourceCalls
from rollout.jobs.resources import Need
from rollout.jobs.submit import Submit
from rollout.routing.effects import Effects
from rollout.shadow.publish import Copied, ShadowPublisher


class Routed(Protocol):
    """The declared sub-pipeline, as far as the door needs it."""

    name: str
    app: Any
    effects: Effects
    holdback_bp: int

    @property
    def payload_bytes_max(self) -> int:
        """Largest envelope in bytes."""
        ...

    @property
    def submit(self) -> Submit:
        """The submission service of this process."""
        ...

    def key_of(self, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Routing key of a job. Raises KeyMissing, KeyUnusable, TypeError for wrong arguments."""
        ...


class Declared(Routed, Paths, Copied, Protocol):
    """The declared sub-pipeline, as far as its task needs it."""

    @property
    def attempts(self) -> Attempts:
        """The attempt service of this process."""
        ...

    @property
    def ledger(self) -> JobLedger:
        """The ledger of this process."""
        ...

    @property
    def on_failure(self) -> OnFailure | None:
        """What a failed job does with those of its key; None where no order is kept."""
        ...

    @property
    def key_order(self) -> KeyOrder:
        """Sends the next job of a key."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """What a job takes of resources."""
        ...

    @property
    def resource_calls(self) -> ResourceCalls:
        """Calls jobs that wait for what was given back."""
        ...

    @property
    def shadow_publisher(self) -> ShadowPublisher:
        """Sends copies of this process's legacy jobs."""
        ...

    def run_here(
        self,
        job_id: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        paths: Paths | None = None,
        on_fallback: Callable[[], None] = ...,
        again: tuple[type[BaseException], ...] = ...,
    ) -> Any:
        """Take a job its whole way in this process."""
        ...
