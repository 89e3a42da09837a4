"""The command line: a thin shell over the services, quick to start.

Commands import what they need when they run, so that `rollout --help` needs neither Celery nor
SQLAlchemy.
"""

import gc
import sys

GARBAGE_MAX = 200_000
"""Objects that are made before garbage is looked for. Python's 700 have it look two hundred times
while modules are imported, which leave none: a sixth of what `rollout status` takes. A program that
runs on, such as the controller, has at most so many objects of garbage that point at each other."""


def main() -> None:
    """Entry point of the `rollout` program."""
    gc.set_threshold(GARBAGE_MAX)
    try:
        from rollout.cli.app import app
    except KeyboardInterrupt:  # nobody reads where an import was
        sys.exit("interrupted: nothing was begun")
    app()


__all__ = ["main"]
