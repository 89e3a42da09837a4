"""Rules that once stood in the command line hold for whoever asks the desk."""

import pytest

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.desk.jobs import NoInputKept, read_input, read_jobs
from rollout.desk.shadow_first import read_suggestion
from rollout.errors import UnknownJob, UnknownSubPipeline
from rollout.jobs.recent import JobKind
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.builders import NAME, NOW, filing


@pytest.fixture
def ledger() -> MemoryLedger:
    """A ledger with one sub-pipeline."""
    memory = MemoryLedger()
    memory.ensure(NAME, Effects.COMMIT, 500, NOW)
    return memory


def test_a_job_that_ran_in_process_has_no_input(ledger: MemoryLedger) -> None:
    """Said with what to do instead; a job of a queue has its message, and an unknown one none."""
    ledger.file([filing("here", envelope=""), filing("sent", envelope="E")])
    with pytest.raises(NoInputKept, match=r"'here' .* no input of it is kept; .* give --args"):
        read_input(ledger, NAME, "here")
    assert read_input(ledger, NAME, "sent") == "E"
    with pytest.raises(UnknownJob):
        read_input(ledger, NAME, "nobody")


@pytest.mark.parametrize("kind", JobKind)
def test_a_misspelt_name_is_no_empty_list(ledger: MemoryLedger, kind: JobKind) -> None:
    """Whatever is listed."""
    with pytest.raises(UnknownSubPipeline):
        read_jobs(ledger, "nobody", kind, None, 10)
    assert read_jobs(ledger, NAME, kind, None, 10).jobs == ()


def test_a_shadow_is_suggested_by_what_the_ledger_knows(ledger: MemoryLedger) -> None:
    """After a start from legacy only."""
    assert read_suggestion(ledger, NAME) is None
    ledger.change(NAME, Event.START, "ana", "", NOW, scope_bp=100)
    assert "rollout shadow" in (read_suggestion(ledger, NAME) or "")
    ledger.change(NAME, Event.REVERT, "ana", "x", NOW)
    ledger.change(NAME, Event.SHADOW, "ana", "", NOW)
    ledger.change(NAME, Event.START, "ana", "", NOW, scope_bp=100)
    assert read_suggestion(ledger, NAME) is None
