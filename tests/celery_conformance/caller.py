"""What a case does and sees, in the producer's process."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery.exceptions import TimeoutError as NotReady

from tests.celery_conformance.notes import PATIENCE_S, PAUSE_S, read_notes, wait_for_words
from tests.celery_conformance.waves import Wave
from tests.waiting import wait_until

NO_BACKEND = "no result backend"


class Caller:
    """A caller of the suite's tasks.

    Args:
        case: Name of the case.
        app: The Celery app.
        tasks: Its tasks by their short names.
        folder: Where all processes write.
        wave: The cases beside this one.
    """

    def __init__(
        self,
        case: str,
        app: Any,
        tasks: dict[str, Any],
        folder: Path,
        wave: Wave,
    ) -> None:
        self.case = case
        self.app = app
        self.tasks = tasks
        self.ids: list[str] = []
        self._folder = folder
        self._wave = wave

    def new_id(self) -> str:
        """An id that tells its case."""
        self.ids.append(f"{self.case}/{len(self.ids)}")
        return self.ids[-1]

    def send(self, task: str, *args: Any, do: str | None, s: float = 0, **options: Any) -> Any:
        """Send a job with Celery's options."""
        kwargs: dict[str, Any] = {"case": self.case}
        if do is not None:
            kwargs["do"] = do
        if s:
            kwargs["s"] = s
        sent = self.tasks[task].apply_async(args, kwargs, task_id=self.new_id(), **options)
        self.sent()
        return sent

    def sent(self) -> None:
        """Let happen what is to happen to a message that was sent: a kill, in its mode."""
        self._wave.reached(self.case)

    def outcome(self, result: Any) -> list[Any]:
        """What the caller gets."""
        if getattr(result, "ignored", False):
            self.wait_for_outcome()
            time.sleep(0.2)
            return ["ignored", _state(result)]
        try:
            return ["value", result.get(timeout=PATIENCE_S, disable_sync_subtasks=False)]
        except NotReady:
            return ["not ready", result.state]
        except (NotImplementedError, AttributeError):  # as a DisabledBackend says it
            self.wait_for_outcome()
            return [NO_BACKEND]
        except BaseException as error:
            return ["raised", type(error).__name__, str(error)[:200], result.state]

    def state_of(self, result: Any, wanted: str) -> str:
        """The state, once it was the wanted one; notes have said before that something happened."""
        if _state(result) != NO_BACKEND:
            there = f"{self.case} is {wanted}"
            wait_until(lambda: _state(result) == wanted, there, PATIENCE_S, PAUSE_S)
        time.sleep(0.3)  # what must not happen would happen now
        return _state(result)

    def _notes(self) -> list[list[Any]]:
        return read_notes(self._folder, self.case)

    def revoked(self, result: Any) -> str:
        """The state, once a worker has said that it discards the job."""
        self.wait_for_notes("revoked")
        return self.state_of(result, "REVOKED")

    def wait_for_notes(self, *words: str) -> None:
        """Wait until bodies or signals have written these words."""
        wait_for_words(self._folder, self.case, *words)

    def wait_for_outcome(self) -> None:
        """Wait until a worker has said how a job ended."""

        def told() -> bool:
            notes = self._notes()
            ends = {line[2] for line in notes if line[0] == "postrun"}
            # Who is killed or revoked says nothing; the worker's main process does.
            by_worker = any(line[0] in ("failure", "revoked") for line in notes)
            return by_worker or bool(ends - {"IGNORED", "RETRY"})

        wait_until(told, f"a worker has said how {self.case} ended", PATIENCE_S, PAUSE_S)

    def raises(self, call: Callable[[], Any]) -> list[str]:
        """The error of a call."""
        try:
            call()
        except Exception as error:
            return [type(error).__name__, str(error)]
        return ["nothing"]


def _state(result: Any) -> str:
    try:
        return str(result.state)
    except (NotImplementedError, AttributeError):
        return NO_BACKEND
