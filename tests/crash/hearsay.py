"""What the processes of a run have told so far: jobs that no row speaks of, calls not made yet."""

import json
from collections.abc import Callable
from pathlib import Path


class Hearsay:
    """Follows the histories while they are written; each look reads on where the last one ended.

    A job is *unfiled* from when its submission found the ledger away, or its row was taken from
    under it, until it has a row or has run to its end. One whose producer was told that its
    submission failed, or died before it was told anything, was never submitted: its broker may have
    been away, too, and nobody would ever hear of it again.
    """

    def __init__(self, histories: Path) -> None:
        self._histories = histories
        self._read_until: dict[str, int] = {}
        self._unfiled: set[str] = set()
        self._leaving: dict[str, set[str]] = {}
        self._ran: set[str] = set()
        self._awaited: set[str] = set()
        self._heard: set[str] = set()

    def unfiled(
        self, has_row: Callable[[str], bool], lives: Callable[[str], bool] = lambda file: True
    ) -> set[str]:
        """Jobs that the broker alone knows.

        Args:
            has_row: Whether the ledger knows a job.
            lives: Whether the process that writes this history, `who-pid`, is still there.
        """
        self._read_on()
        for file in [one for one in self._leaving if not lives(one)]:
            self._unfiled -= self._leaving.pop(file)
        self._unfiled = {job_id for job_id in self._unfiled if not has_row(job_id)}
        return self._unfiled

    def awaited(self) -> set[str]:
        """Tags of links, chains and chords whose last task was not called yet."""
        self._read_on()
        return self._awaited

    def _read_on(self) -> None:
        """Take in what was written since the last look."""
        for path in self._histories.glob("*.jsonl"):
            with path.open(encoding="utf-8") as lines:
                lines.seek(self._read_until.get(path.name, 0))
                self._take_in(path.stem, lines.readlines())
                self._read_until[path.name] = lines.tell()
        self._unfiled -= self._ran
        self._awaited -= self._heard

    def _take_in(self, file: str, lines: list[str]) -> None:
        """Take in one process's next lines, in their order."""
        for line in lines:
            if '"awaited":"' in line:
                self._awaited.add(json.loads(line)["awaited"])
            if '"what":"heard"' in line:
                self._heard.add(json.loads(line)["tag"])
            elif '"what":"unfiled"' in line:
                jobs = set(json.loads(line)["jobs"])
                self._unfiled |= jobs
                if file.startswith("producer"):
                    self._leaving.setdefault(file, set()).update(jobs)
            elif '"what":"rows gone"' in line:
                self._unfiled.update(json.loads(line)["jobs"])
            elif '"what":"ran unclaimed"' in line:
                self._ran.add(json.loads(line)["job"])
            elif '"what":"submitted"' in line:
                self._leaving.pop(file, None)
            elif '"what":"submit failed"' in line:
                self._unfiled -= self._leaving.pop(file, set())
