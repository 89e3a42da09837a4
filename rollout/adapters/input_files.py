"""Opens files that tell what jobs were given: plain or compressed, of any size."""

from collections.abc import Sequence
from pathlib import Path

from rollout.adapters.audit_files import open_text
from rollout.audit.job_log import BadAudit
from rollout.errors import why_of
from rollout.preflight.facts import JobFact, Source
from rollout.preflight.inputs import read_inputs

INPUTS_MAX = 100_000
"""Jobs taken from one file: a check of more says nothing new."""


def read_input_files(
    files: Sequence[Path], name: str, task_name: str
) -> tuple[list[Source], list[JobFact]]:
    """Read the jobs of one task out of each file; none of them may have one.

    Raises:
        BadAudit: A file cannot be read.
    """
    sources, jobs = [], []
    for file in files:
        mine: list[JobFact] = []
        try:
            with open_text(file) as lines:
                for fact in read_inputs(name, task_name, lines, file.name):
                    mine.append(fact)
                    if len(mine) >= INPUTS_MAX:
                        break
        except (OSError, EOFError) as error:
            raise BadAudit(
                f"{file} cannot be read: {why_of(error)}",
                'give JSON lines such as {"args": [1], "kwargs": {}}',
            ) from error
        sources.append(Source(f"arguments in {file.name}", len(mine)))
        jobs += mine
    return sources, jobs
