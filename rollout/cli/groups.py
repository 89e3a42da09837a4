"""The commands in the order in which a person looks for them."""

from typing import Any

from typer.core import TyperGroup

GROUPS = {
    "Asking first": ("audit", "preflight", "scale-test"),
    "Seeing": (
        "status", "why", "report", "jobs", "job", "resources", "history", "decision", "replay",
        "messages", "shadow-report", "doctor", "runbook",
    ),
    "Stopping": ("kill", "rearm", "revert", "freeze", "unfreeze"),
    "Moving": ("shadow", "start", "scope", "double", "graduate", "policy"),
    "Mending": ("retry", "skip", "prune", "migrate"),
    "Rehearsing": ("plan", "simulate", "backtest", "determinism", "demo"),
    "Drills": ("drill",),
    "Running": ("up", "controller", "web", "token"),
}  # fmt: skip
"""Title of each group and its commands; a test holds it against the program."""


class Grouped(TyperGroup):
    """Lists its commands in groups; what stands in none comes last."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the help of all commands."""
        names = list(self.list_commands(ctx))
        known = [name for group in GROUPS.values() for name in group]
        groups = {**GROUPS, "Others": tuple(name for name in names if name not in known)}
        for title, wanted in groups.items():
            rows = []
            for name in wanted:
                command = self.get_command(ctx, name)
                if command is not None and not command.hidden:
                    rows.append((name, command.get_short_help_str(70)))
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
