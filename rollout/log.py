"""The log, opened at its first line: a job rarely writes one, and the library takes 2 MB."""

from typing import Any


class Log:
    """A logger of structlog's, as it is configured when a line is written.

    Args:
        name: Of the logger.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        """The logger's own, such as `warning`."""
        import structlog

        return getattr(structlog.get_logger(self._name), method)


log = Log("rollout")
"""What workers, producers and services say."""
