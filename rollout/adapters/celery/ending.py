"""Tells a process that a signal ends from a path that exits."""

from types import TracebackType

_SIGNALS = range(-255, 0)
"""billiard exits a child that a signal ends with the signal's number minus 256."""


def raised_by_signal(error: SystemExit) -> bool:
    """Whether billiard's signal handler raised it, in a pool's child that is told to end."""
    return error.code in _SIGNALS and _innermost(error.__traceback__).startswith("billiard")


def _innermost(traceback: TracebackType | None) -> str:
    module = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return module
