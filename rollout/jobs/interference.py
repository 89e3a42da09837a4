"""What may be done to one delivery on purpose: the port by which drills reach the way of a job.

A delivery knows nothing of faults. It asks once, before the claim, and then runs what it was
given: the same paths and the same ledger, or those with a fault in them.
"""

from dataclasses import dataclass
from typing import Protocol

from rollout.jobs.delivery import Delivery, Paths
from rollout.jobs.ports import JobLedger
from rollout.routing.decision import Reason
from rollout.routing.rule import Planted


@dataclass(frozen=True, slots=True)
class Interfered:
    """How a delivery goes on.

    Attributes:
        paths: The sub-pipeline to run, perhaps with a fault around its path.
        ledger: What claims and commits, perhaps behind a line that is cut.
        turned_away: Why the job does not start here at all; None lets it.
    """

    paths: Paths
    ledger: JobLedger
    turned_away: Reason | None = None


class Interference(Protocol):
    """Somebody who breaks jobs on purpose."""

    def meet(
        self, paths: Paths, delivery: Delivery, ledger: JobLedger, planted: Planted
    ) -> Interfered:
        """Say how a delivery goes on that meets what is planted on its path.

        What is not concerned goes on with the paths and the ledger that it came with. Raises
        nothing of its own: a store or a ledger that is away leaves the job alone.
        """
        ...
