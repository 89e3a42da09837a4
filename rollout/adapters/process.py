"""This process: how a drill ends it."""

import os
import signal


def end_this_process() -> None:
    """Die at once by SIGKILL, as a child does whom the system's memory killer takes."""
    os.kill(os.getpid(), signal.SIGKILL)
