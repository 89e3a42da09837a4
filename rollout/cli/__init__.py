"""The command line."""

import typer


def main() -> None:
    """Run the program."""
    from rollout.cli.run_commands import register

    app = typer.Typer()
    register(app)
    app()
