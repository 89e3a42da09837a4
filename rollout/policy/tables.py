"""Which table of `rollout.toml` says what: how people find the line that is in force."""

from __future__ import annotations

from rollout.policy.policy import Policies

SUB_PIPELINE = "sub_pipeline"
"""The key of `[policy]` under which single sub-pipelines stand."""


def tables_of(policies: Policies, name: str) -> list[str]:
    """The tables that say something about one sub-pipeline; empty for defaults alone."""
    own = policies.sub_pipelines.get(name)
    tables = ["[policy]"] if policies.default.model_fields_set else []
    return [*tables, *([f"[policy.{SUB_PIPELINE}.{name}]"] if own is not None else [])]


def source_of(policies: Policies, name: str | None, field: str) -> str:
    """Where the value in force of one field comes from: a table of the file, or the default."""
    own = policies.sub_pipelines.get(name or "")
    if own is not None and field in own.model_fields_set:
        return f"[policy.{SUB_PIPELINE}.{name}]"
    return "[policy]" if field in policies.default.model_fields_set else "default"
