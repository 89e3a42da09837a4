"""`up`, `worker`, `controller` and `demo`: the commands that run processes."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
