"""What ends a process under a running path, and so is no failure of the path.

Everything else that a path raises is one, `asyncio.CancelledError` and whatever else derives from
BaseException alone: a job whose path ended in it would otherwise be taken for running.
"""


class ProcessEnds(BaseException):
    """A signal ends this process, or its pool ends this task."""

    def __init__(self, asked: BaseException) -> None:
        self.asked = asked
        super().__init__(str(asked))


INTERRUPTS: tuple[type[BaseException], ...] = (KeyboardInterrupt, GeneratorExit, ProcessEnds)
