"""What the ledger's tables are called in a database that others have tables in, too.

On PostgreSQL `ledger_schema` puts all of them into a schema of their own. SQLite has no schemas:
there a table (or index) of ours whose name the application has already taken is called
`rollout_<name>`, and the file itself says which, by holding it. The version of the schema is kept
in a table of our own name, never in Alembic's usual `alembic_version`, which is the application's.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.base import SQLiteIdentifierPreparer

from rollout.errors import WrongSettings

VERSION_TABLE = "rollout_version"
OLD_VERSION_TABLE = "alembic_version"
"""Where releases before kept it; `rollout migrate` moves it."""
SCHEMA = "rollout_schema"
"""Attribute of a dialect: the schema that our tables are in, None for the default one."""

TABLES = frozenset(
    {
        "access_token", "act", "request_answer", "web_session",
        "build_seen", "cycle_tally", "decision", "drill_event", "drill_span", "evidence_hour",
        "job", "kept_message", "key_place", "leader_policy", "lease", "legacy_profile",
        "notice", "path_watch", "pilot", "pruned", "recovery", "resource_use", "shadow_account",
        "shadow_group",
        "shadow_run", "shadow_tally", "sub_pipeline", "tally", "transition",
    }
)  # fmt: skip
"""Every table of the ledger, also for a process that loads few of them; a test compares."""
INDEXES = frozenset(
    {
        "act_name", "ix_request_answer_began_at", "ix_web_session_token_id",
        "decision_window", "drill_event_name_what", "ix_decision_name", "ix_drill_event_drill_id",
        "ix_drill_span_name", "ix_transition_name", "job_admitted", "job_committed", "job_drilled",
        "job_failed", "job_failed_at", "job_fell_back", "job_fell_back_at", "job_open",
        "job_unfolded", "key_place_job", "key_place_key", "key_place_waits",
        "notice_open", "recovery_at", "recovery_name_at", "resource_use_job", "resource_use_line",
        "shadow_run_ended", "shadow_run_listed", "shadow_run_running",
    }
)  # fmt: skip
"""Every index: SQLite keeps them and the tables under one set of names."""
_PREFIX = "rollout_"


class OurNames(SQLiteIdentifierPreparer):
    """Writes the names that our tables have in this file; no column of ours is called like one."""

    names: Mapping[str, str] = {}

    def quote(self, ident: str, *more: Any) -> str:
        """The name as it stands in a statement."""
        return super().quote(self.names.get(ident, ident), *more)


def names_in(file: Path | None) -> dict[str, str]:
    """Our tables and indexes in a file of SQLite that are not called as usual; none without one."""
    if file is None or not file.exists():
        return {}
    listed = _listed(file, f"name LIKE '{_PREFIX}%'")
    return {name: f"{_PREFIX}{name}" for name in TABLES | INDEXES if f"{_PREFIX}{name}" in listed}


def names_beside(file: Path | None) -> dict[str, str]:
    """How a ledger that begins in this file calls what others have taken the name of."""
    if file is None or not file.exists():
        return {}
    taken = _listed(file, "true")
    names = {name: f"{_PREFIX}{name}" for name in (TABLES | INDEXES) & taken}
    again = sorted(set(names.values()) & taken)
    if again:
        raise WrongSettings(
            f"the application's file {file} has tables of rollout's names, and {again[0]!r}, too",
            "give the ledger a file of its own: ROLLOUT_LEDGER_URL",
        )
    return names


def _listed(file: Path, where: str) -> set[str]:
    try:
        with sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True) as connection:
            found = connection.execute(f"SELECT name FROM sqlite_master WHERE {where}").fetchall()
        connection.close()
    except sqlite3.Error:  # no database, or none that can be read: its first use says so
        return set()
    return {str(name) for (name,) in found}
