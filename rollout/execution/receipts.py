"""Which steps of a graph have run: written before their dependents start, read by the next run.

A run goes on from what has a receipt, never from what "did not fail": a mapped step that a crash
kept from starting has none, and runs.
"""

import json
from pathlib import Path
from typing import Any

from rollout.execution.errors import ReceiptsUnusable
from rollout.execution.graph import Graph
from rollout.execution.journal import Journal


class StepReceipts:
    """Receipts of one graph in a file; a step's result must be JSON.

    Args:
        path: One file per run of the graph that should happen once; delete it to begin anew.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._journal: Journal | None = None
        self._results: dict[str, Any] = {}

    def open_for(self, graph: Graph) -> None:
        """Read what is there.

        Raises:
            ReceiptsInUse: Another run holds the file.
            ReceiptsUnusable: It is of another graph, of other edges, or of other fixed arguments.
        """
        self._journal = Journal(self.path, {"graph": graph.name, "steps": graph.fingerprint()})
        self._results = {line["step"]: line["result"] for line in self._journal.lines()}

    def results(self) -> dict[str, Any]:
        """Results by the name of each step that has a receipt."""
        return dict(self._results)

    def record(self, step: str, result: Any) -> None:
        """Write that a step has run, with what it gave.

        Raises:
            ReceiptsUnusable: The result is not what it would be when read again.
        """
        assert self._journal is not None, "open_for comes first"
        try:
            same = json.loads(json.dumps(result)) == result
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ReceiptsUnusable(
                f"the result of {step!r} must be the same after JSON to be kept, "
                f"got {type(result).__name__}",
                "return text, numbers, lists and dictionaries of them, such as where the data is",
            )
        self._journal.append({"step": step, "result": result})

    def close(self) -> None:
        """Let others have the file."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
