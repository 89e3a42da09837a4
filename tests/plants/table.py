"""The table: which plants there are, and the twelve acts that each is taken through.

An act is what happens to a plant in a year. Most are faults of the crash deck, drawn in some order
while jobs flow and two operators kill and rearm all the time; the checker of the crash harness
stands over all of them: no job lost, none committed twice, no start and no commit after a kill.
"""

from dataclasses import dataclass
from itertools import product

ACTS: dict[str, tuple[str, ...]] = {
    "submit": (),
    "split": (),
    "kill with queued and running": ("long queue killed",),
    "rearm": (),
    "lost message": ("broker killed, no file",),
    "dead worker": ("worker killed", "worker child killed"),
    "paused worker": ("worker stopped",),
    "restart of each server": (
        "broker killed, file", "store killed, file", "postgres killed", "pooler killed",
    ),
    "failover": ("store failed over",),
    "rolling release": ("release restarted",),
    "SIGTERM with grace": ("worker told to stop",),
    "prune": (),
}  # fmt: skip
"""Faults of the crash deck by act; what has none is done by producers, operators and the end."""
KINDS = frozenset(kind for kinds in ACTS.values() for kind in kinds)


@dataclass(frozen=True, slots=True)
class Parts:
    """One plant: its broker, control store, ledger, and what lends the ledger's sessions."""

    broker: str
    store: str
    ledger: str
    pool: str

    @property
    def name(self) -> str:
        """What a test is called by."""
        return f"{self.broker}-{self.store}-{self.ledger}-{self.pool}"


def every() -> list[Parts]:
    """All of them; a file of SQLite has no pooler."""
    ledgers = (("sqlite", "direct"), ("postgresql", "direct"), ("postgresql", "pgbouncer"))
    return [
        Parts(broker, store, ledger, pool)
        for broker, store, (ledger, pool) in product(
            ("valkey", "rabbitmq"), ("valkey", "sentinel"), ledgers
        )
    ]


DIAGONAL = (
    Parts("rabbitmq", "valkey", "postgresql", "pgbouncer"),
    Parts("valkey", "sentinel", "sqlite", "direct"),
)
"""Each part that is not in the everyday suites once."""
