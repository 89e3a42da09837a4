"""What came of bringing a ledger to this release."""

from dataclasses import dataclass

from rollout.desk.plain import Json


@dataclass(frozen=True, slots=True)
class Migrated:
    """A ledger that is at the newest migration now; `before` None where it had no tables."""

    ledger: str
    before: str | None
    after: str

    @property
    def sentence(self) -> str:
        """What was done."""
        if self.before == self.after:
            return f"{self.ledger}: already at migration {self.after}, the newest"
        before = self.before or "no tables"
        return f"{self.ledger}: migrated from {before} to {self.after}, the newest"

    def to_json(self) -> Json:
        """What scripts read."""
        return {"ledger": self.ledger, "before": self.before, "after": self.after}
