"""What is told of resources: how much running jobs use, and who rests while nobody does.

Counted by the jobs' own rows and by who was refused for want of room, not by the lines that the
ledger keeps for it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rollout.adapters.memory.rows import Rows
from rollout.jobs.claims import Claim, JobRef, JobState
from rollout.jobs.order import NEVER
from rollout.jobs.resources import Need
from tests.simulation.history import label


class Sharing:
    """Remembers who took what with which claim, and who was put to rest."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._took: dict[JobRef, tuple[str | None, Sequence[Need]]] = {}
        self._rested: dict[JobRef, Sequence[Need]] = {}

    def took(self, claim: Claim, needs: Sequence[Need]) -> list[dict[str, Any]]:
        """Note a claim; how much of each resource is in use with it."""
        ref = (claim.name, claim.job_id)
        self._rested.pop(ref, None)
        self._took[ref] = (claim.nonce, needs)
        used = self.used()
        return [
            {"resource": one.resource, "used": used[one.resource], "capacity": one.capacity}
            for one in needs
        ]

    def rested(self, ref: JobRef, needs: Sequence[Need]) -> None:
        """Note a job that was put to rest."""
        self._rested[ref] = needs

    def used(self) -> Counter[str]:
        """How much running jobs use of each resource."""
        used: Counter[str] = Counter()
        with self._rows as rows:
            for ref, (nonce, needs) in list(self._took.items()):
                record = rows.jobs.get(ref)
                if record is None or (record.state, record.nonce) != (JobState.STARTED, nonce):
                    del self._took[ref]
                    continue
                used.update({one.resource: one.weight for one in needs})
        return used

    def forgotten(self) -> list[str]:
        """Jobs that rest while nobody uses what they need and nobody was called."""
        used = self.used()
        resting: list[JobRef] = []
        called: set[str] = set()
        with self._rows as rows:
            for ref, needs in list(self._rested.items()):
                record = rows.jobs.get(ref)
                if record is None or record.state is not JobState.ACCEPTED:
                    del self._rested[ref]
                elif record.not_before == NEVER:
                    resting.append(ref)
                else:
                    called |= {one.resource for one in needs}
        busy = called | set(used)
        return [
            label(*ref) for ref in resting if not busy & {one.resource for one in self._rested[ref]}
        ]
