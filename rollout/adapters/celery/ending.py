"""Tells a task that is ended from outside from a path that exits."""

from types import TracebackType

_SIGNALS = range(-255, 0)
"""billiard exits a child that a signal ends with the signal's number minus 256."""


def ends_the_run(error: BaseException) -> bool:
    """Whether it ends the process or the task: nothing that the path is to blame for.

    In a pool's child that is told to end, billiard's signal handler raises SystemExit; gevent
    raises GreenletExit in a task that is revoked.
    """
    if isinstance(error, SystemExit):
        return error.code in _SIGNALS and _innermost(error.__traceback__).startswith("billiard")
    return type(error).__name__ == "GreenletExit"


def _innermost(traceback: TracebackType | None) -> str:
    module = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return module
