"""The gate's question on redis-py's connection: nothing of an answer is left for the next one."""

from typing import Any

import pytest

from rollout.adapters.redis.mget import PooledMget


class Line:
    """A connection whose answer is interrupted before it is read."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.unread = 0
        self.lent = 0

    def get_connection(self) -> "Line":
        """Lend it, as a pool does."""
        self.lent += 1
        return self

    def release(self, connection: Any) -> None:
        """Take it back."""
        self.lent -= 1

    def send_packed_command(self, command: Any) -> None:
        """Ask: an answer is on its way."""
        self.unread += 1

    def read_response(self) -> Any:
        """Read nothing: the signal came first."""
        raise self.error

    def disconnect(self) -> None:
        """Forget what is on its way."""
        self.unread = 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), TimeoutError()])
def test_an_interrupted_question_leaves_no_answer_to_the_next(error: BaseException) -> None:
    """It would be taken for that of another job, asked after a kill."""
    line = Line(error)
    with pytest.raises(type(error)):
        PooledMget(line)(["rollout:kill"])
    assert (line.unread, line.lent) == (0, 0)
