"""The command line: a thin shell over the services, quick to start.

Commands import what they need when they run, so that `rollout --help` needs neither Celery nor
SQLAlchemy.
"""

from rollout.cli.app import main

__all__ = ["main"]
