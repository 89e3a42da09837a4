"""Where the ledgers differ. All that is not named here holds for each of them."""

from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Differences:
    """What one adapter of the ledger does otherwise than the others.

    `speaks_sql`: it is a database; tests look into it with statements and hooks write with them.
    `processes`: it is seen by several processes, a forked child among them.
    `kill_waits_for_hook`: a hook that has written holds the fence until its commit is over.
    `open_can_go_away`: it can be taken away under a hook that has opened its connection.
    """

    speaks_sql: bool
    processes: bool
    kill_waits_for_hook: bool
    open_can_go_away: bool


DIFFERENCES = {
    "memory": Differences(
        speaks_sql=False, processes=False, kill_waits_for_hook=False, open_can_go_away=True
    ),
    "sqlite": Differences(
        speaks_sql=True, processes=True, kill_waits_for_hook=True, open_can_go_away=False
    ),
    "postgresql": Differences(
        speaks_sql=True, processes=True, kill_waits_for_hook=False, open_can_go_away=True
    ),
}

DATABASES = [kind for kind, own in DIFFERENCES.items() if own.speaks_sql]

on_databases = pytest.mark.parametrize("ledger_case", DATABASES, indirect=True)
"""Runs a test on the ledgers that are databases."""
