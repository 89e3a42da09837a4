"""Loads a command when it is asked for: `rollout kill` does not wait for the other thirty."""

from collections.abc import Iterator, MutableMapping
from functools import cache
from importlib import import_module
from typing import Any

import typer

HOMES = {
    "status_command": ("status",),
    "why_commands": ("why", "decision", "replay"),
    "control_commands": (
        "start", "scope", "double", "graduate", "revert", "freeze", "unfreeze", "rearm",
    ),
    "kill_command": ("kill",),
    "shadow_commands": ("shadow", "shadow-report", "determinism"),
    "history_view": ("history",),
    "report_command": ("report",),
    "runbook_command": ("runbook",),
    "job_commands": ("job", "jobs", "retry", "messages", "prune"),
    "skip_command": ("skip",),
    "resources_command": ("resources",),
    "policy_commands": ("policy",),
    "audit_command": ("audit",),
    "preflight_command": ("preflight",),
    "scale_test_command": ("scale-test",),
    "plan_command": ("plan",),
    "simulate_command": ("simulate",),
    "backtest_command": ("backtest",),
    "doctor": ("doctor", "migrate"),
    "drill_commands": ("drill",),
    "web_command": ("web", "token"),
    "run_commands": ("up", "controller", "demo"),
}  # fmt: skip
"""Modules of this folder and the commands that each registers, in the order of the help."""

_HOME_OF = {name: module for module, names in HOMES.items() for name in names}


class Commands(MutableMapping[str, Any]):
    """All commands by name; each module is imported when one of its commands is read."""

    def __init__(self) -> None:
        self._added: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Load a command."""
        if name in self._added:
            return self._added[name]
        return registered(_HOME_OF[name])[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Take a command that is loaded already."""
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        """Drop a command that was given."""
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        """All names, without loading any."""
        return iter(_HOME_OF | self._added)

    def __len__(self) -> int:
        """How many there are."""
        return len(_HOME_OF | self._added)


@cache
def registered(module: str) -> dict[str, Any]:
    """Import a module of this folder; the commands that it registers."""
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    import_module(f"rollout.cli.{module}").register(app)
    return dict(typer.main.get_group(app).commands)
