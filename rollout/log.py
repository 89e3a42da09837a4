"""The log, opened at its first line: a job rarely writes one, and the library takes 2 MB.

A line that cannot be written harms nobody: a full disk, a reader that has gone or a stream without
the letters of an error would else end a job between its path and its outcome.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Log:
    """A logger of structlog's, as it is configured when a line is written.

    Args:
        name: Of the logger.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., None]:
        """The logger's own, such as `warning`."""
        import structlog

        write = getattr(structlog.get_logger(self._name), method)

        def line(event: str, **values: Any) -> None:
            with suppress(OSError, ValueError):
                try:
                    write(event, **values)
                except UnicodeError:  # the stream's encoding lacks some of these letters
                    write(event, **{name: _plain(value) for name, value in values.items()})

        return line


def _plain(value: Any) -> Any:
    """Text in letters that every stream has."""
    return value.encode("ascii", "backslashreplace").decode() if isinstance(value, str) else value


def tell_utc() -> None:
    """Let this process tell its times in UTC, as all else that rollout prints does.

    Only in a process of rollout's own, and where the application has not set up structlog.
    """
    import structlog
    from structlog.processors import TimeStamper

    if structlog.is_configured():
        return
    utc = TimeStamper(fmt="%Y-%m-%d %H:%M:%SZ", utc=True)
    given = structlog.get_config()["processors"]
    structlog.configure(processors=[utc if isinstance(one, TimeStamper) else one for one in given])


log = Log("rollout")
"""What workers, producers and services say."""
