"""Which table of `rollout.toml` says what: how people find the line that is in force."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from rollout.policy.policy import Policies

SUB_PIPELINE = "sub_pipeline"
"""The key of `[policy]` under which single sub-pipelines stand."""


def tables_of(policies: Policies, name: str) -> list[str]:
    """The tables that say something about one sub-pipeline; empty for defaults alone."""
    own = policies.sub_pipelines.get(name)
    tables = ["[policy]"] if policies.default.model_fields_set else []
    return [*tables, *([f"[policy.{SUB_PIPELINE}.{name}]"] if own is not None else [])]


def named_in(policies: Policies) -> list[str]:
    """Every sub-pipeline that a table or a cohort names, each once, in their order."""
    members = (name for cohort in policies.cohorts for name in cohort.members)
    return list(dict.fromkeys([*policies.sub_pipelines, *members]))


def mistaken_for(policies: Policies, name: str, known: Collection[str] = ()) -> str | None:
    """The name in the file that was meant for this one, as it seems; None when nothing is like it.

    Args:
        policies: What the file says.
        name: A sub-pipeline that somebody asks about.
        known: Names that exist, whose tables are their own.
    """
    named = named_in(policies)
    if name in named:
        return None
    close = get_close_matches(name, [one for one in named if one not in known], 1, _CLOSE)
    return close[0] if close else None


_CLOSE = 0.8
"""How like two names are that one slip of a finger tells apart, 0..1: a guess of less is noise."""


def source_of(policies: Policies, name: str | None, field: str) -> str:
    """Where the value in force of one field comes from: a table of the file, or the default."""
    own = policies.sub_pipelines.get(name or "")
    if own is not None and field in own.model_fields_set:
        return f"[policy.{SUB_PIPELINE}.{name}]"
    return "[policy]" if field in policies.default.model_fields_set else "default"
