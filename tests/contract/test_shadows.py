"""The account of shadows, on SQLite and PostgreSQL: each run once, bounded, afresh with a trial."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from rollout.adapters.sql import shadow_rows
from rollout.adapters.sql.ledger import SqlLedger
from rollout.errors import LedgerUnreachable, UnknownSubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from rollout.shadow.ports import ShadowBegun, ShadowEnd, ShadowRun
from tests.builders import NAME, NOW
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import C, L, declared

SOON = timedelta(seconds=1)


pytestmark = on_databases  # one process runs no shadows


@pytest.fixture
def ledger(ledger_case: LedgerCase) -> SqlLedger:
    """The ledger of the case."""
    return ledger_case.sql


def count(evidence: Any, run: ShadowRun) -> Any:
    """A fold that lists what it was given."""
    return [*(evidence or []), [run.run_id, run.state, sorted(run.fields)]]


def begin(ledger: SqlLedger, run_id: str = "run-1", path: JobPath = C, **values: Any) -> bool:
    """Begin a run."""
    shed = values.pop("shed", {})
    given = {"name": NAME, "job_id": f"job of {run_id}", "legacy_s": 0.5, "at": NOW, **values}
    return ledger.begin_shadow(ShadowBegun(run_id, path=path, **given), shed)


def end(ledger: SqlLedger, run_id: str = "run-1", **values: Any) -> bool:
    """End a run."""
    given = {"name": NAME, "at": NOW + SOON, "shadow_s": 0.25, **values}
    return ledger.end_shadow(ShadowEnd(run_id, **given), count)


def differs(ledger: SqlLedger, run_id: str, signature: str = "total", diff: str = "1 -> 2") -> None:
    """A run whose result differs."""
    begin(ledger, run_id)
    end(ledger, run_id, signature=signature, diff=diff, fields=frozenset({signature}))


def test_a_run_is_recorded_and_folded(ledger: SqlLedger) -> None:
    """What was begun, how it ended, what it adds to counts and evidence."""
    declared(ledger)
    assert begin(ledger, shed={"rate": 2})
    assert end(ledger)
    (run,) = ledger.shadow_runs(NAME, 10)
    assert run == ShadowRun(
        "run-1", NAME, "job of run-1", C, "equal", 0.5, NOW, NOW + SOON, 0.25, None, None, None
    )
    account = ledger.shadow_account(NAME)
    assert account.counts == {"equal:concurrent": 1, "shed:rate": 2}
    assert account.evidence == [["run-1", "equal", []]]
    assert list(account.groups) == []


def test_a_run_begins_and_ends_once(ledger: SqlLedger) -> None:
    """A message that came twice, a child that was thought dead: neither counts again."""
    declared(ledger)
    assert begin(ledger)
    assert not begin(ledger, shed={"rate": 1})
    assert end(ledger)
    assert not end(ledger, trouble="worker_lost")
    assert not end(ledger, "never begun")
    assert ledger.shadow_account(NAME).counts == {"equal:concurrent": 1}


def test_trouble_is_counted_by_kind_and_path(ledger: SqlLedger) -> None:
    """With its words for a person."""
    declared(ledger)
    for number, (path, trouble) in enumerate([(C, "raised"), (C, "raised"), (L, "memory")]):
        begin(ledger, f"run-{number}", path)
        end(ledger, f"run-{number}", trouble=trouble, why="boom", shadow_s=None)
    counts = {"trouble:concurrent:raised": 2, "trouble:legacy:memory": 1}
    assert ledger.shadow_account(NAME).counts == counts
    assert {run.why for run in ledger.shadow_runs(NAME, 10)} == {"boom"}


def test_mismatches_of_one_cause_are_one_group(ledger: SqlLedger) -> None:
    """A count, the first example, when it began and when it was last seen."""
    declared(ledger)
    for number in range(5):
        differs(ledger, f"run-{number}", diff=f"1 -> {number}")
    differs(ledger, "other", "lines[*].price")
    many, one = ledger.shadow_account(NAME).groups
    assert (many.signature, many.runs, many.example) == ("total", 5, "1 -> 0")
    assert (many.first_at, many.last_at, many.path) == (NOW + SOON, NOW + SOON, C)
    assert many.example_job_id == "job of run-0"
    assert (one.signature, one.runs) == ("lines[*].price", 1)


def test_groups_are_bounded(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand causes are no ten thousand rows."""
    monkeypatch.setattr(shadow_rows, "GROUPS_MAX", 3)
    declared(ledger)
    for number in range(8):
        differs(ledger, f"run-{number}", f"field_{number}")
    differs(ledger, "known", "field_1")
    groups = {group.signature: group.runs for group in ledger.shadow_account(NAME).groups}
    assert groups == {"field_0": 1, "field_1": 2, "field_2": 1, "(other)": 5}


def test_runs_that_are_never_heard_of_again_are_settled(ledger: SqlLedger) -> None:
    """Only those that began long enough ago, each once, a bounded number at a time."""
    declared(ledger)
    for number in range(5):
        begin(ledger, f"old-{number}")
    begin(ledger, "young", at=NOW + timedelta(hours=1))
    later = NOW + timedelta(hours=1)
    assert ledger.settle_shadows(NAME, NOW, later, count, 10) == 0
    assert ledger.settle_shadows(NAME, NOW + SOON, later, count, 3) == 3
    assert ledger.settle_shadows(NAME, NOW + SOON, later, count, 3) == 2
    assert ledger.settle_shadows(NAME, NOW + SOON, later, count, 3) == 0
    account = ledger.shadow_account(NAME)
    assert account.counts == {"trouble:concurrent:lost": 5}
    assert len(account.evidence) == 5
    assert not end(ledger, "old-1"), "a late word of a lost run is not counted again"


def test_a_long_jobs_shadow_is_not_given_up_on_while_it_may_run(ledger: SqlLedger) -> None:
    """Legacy took half an hour: after an hour its shadow may still run, after two it is lost."""
    declared(ledger)
    begin(ledger, "long", legacy_s=1800.0)
    begin(ledger, "short", legacy_s=0.5)
    began_before, hour = NOW + SOON, timedelta(hours=1)
    assert ledger.settle_shadows(NAME, began_before, NOW + hour, count, 10) == 1
    assert ledger.settle_shadows(NAME, began_before, NOW + hour, count, 10) == 0
    assert ledger.settle_shadows(NAME, began_before, NOW + 2 * hour, count, 10) == 1


def test_everything_begins_afresh_with_a_trial(ledger: SqlLedger) -> None:
    """Stage shadow begins: evidence, counts, groups and runs of the trial before are gone."""
    declared(ledger)
    ledger.change(NAME, Event.REVERT, "ada", "", NOW)
    differs(ledger, "before")
    begin(ledger, "under way")
    ledger.change(NAME, Event.SHADOW, "ada", "", NOW)
    fresh = ledger.shadow_account(NAME)
    assert (fresh.evidence, fresh.counts, list(fresh.groups)) == (None, {}, [])
    assert not end(ledger, "under way"), "a run of the trial before is none of this one"
    differs(ledger, "after")
    ledger.change(NAME, Event.START, "ada", "", NOW)
    differs(ledger, "in split")
    account = ledger.shadow_account(NAME)
    assert account.counts == {"different:concurrent": 2}, "the first step keeps what shadow showed"
    assert [run[0] for run in account.evidence] == ["after", "in split"]


def test_everything_begins_afresh_when_a_trial_starts_without_shadow(ledger: SqlLedger) -> None:
    """From legacy straight into the first step, as after a revert."""
    declared(ledger)
    differs(ledger, "before")
    ledger.change(NAME, Event.REVERT, "ada", "", NOW)
    ledger.change(NAME, Event.START, "ada", "", NOW)
    assert ledger.shadow_account(NAME).counts == {}


def test_everything_begins_afresh_with_a_new_build(ledger: SqlLedger) -> None:
    """What another build of the path showed says nothing about this one."""
    declared(ledger)
    differs(ledger, "before")
    ledger.announce(NAME, C, "build 2")
    assert ledger.shadow_account(NAME).counts == {}
    differs(ledger, "after")
    ledger.announce(NAME, C, "build 2")
    assert ledger.shadow_account(NAME).counts == {"different:concurrent": 1}


def test_runs_are_pruned_and_their_evidence_stays(ledger: SqlLedger) -> None:
    """Old ended runs go, a bounded number at a time; running ones stay."""
    declared(ledger)
    for number in range(4):
        begin(ledger, f"run-{number}")
        end(ledger, f"run-{number}", at=NOW + number * SOON)
    begin(ledger, "running")
    assert ledger.prune_shadows(NAME, NOW + 2 * SOON, 1) == 1
    assert ledger.prune_shadows(NAME, NOW + 2 * SOON, 10) == 1
    assert ledger.prune_shadows(NAME, NOW + 2 * SOON, 10) == 0
    left = {run.run_id for run in ledger.shadow_runs(NAME, 10)}
    assert left == {"run-2", "run-3", "running"}
    assert len(ledger.shadow_account(NAME).evidence) == 4


def test_many_workers_fold_each_run_once(ledger_case: LedgerCase) -> None:
    """Sixty runs, six at a time: none is lost between two that read the same evidence."""
    ledger = ledger_case.sql
    declared(ledger)

    def one(number: int) -> None:
        begin(ledger, f"run-{number}")
        end(ledger, f"run-{number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(60)))
    account = ledger.shadow_account(NAME)
    assert account.counts == {"equal:concurrent": 60}
    assert len({run[0] for run in account.evidence}) == 60


def test_counts_need_no_run(ledger: SqlLedger) -> None:
    """For copies that were not run at all."""
    declared(ledger)
    ledger.count_shadows(NAME, {"shed:closed": 1}, NOW)
    ledger.count_shadows(NAME, {"shed:closed": 2, "trouble:malformed": 1}, NOW)
    counts = {"shed:closed": 3, "trouble:malformed": 1}
    assert ledger.shadow_account(NAME).counts == counts


def test_sub_pipelines_are_apart(ledger: SqlLedger) -> None:
    """And one that nobody declared is an error."""
    declared(ledger)
    declared(ledger, name="bills")
    differs(ledger, "mine")
    assert ledger.shadow_account("bills").counts == {}
    assert ledger.shadow_runs("bills", 10) == []
    with pytest.raises(UnknownSubPipeline, match="invoices"):
        ledger.shadow_account("invoice")


def test_an_absent_database_is_said_to_be_absent(ledger_case: LedgerCase) -> None:
    """Nothing was recorded, and the caller can tell."""
    declared(ledger_case.sql)
    begin(ledger_case.sql)
    ledger_case.cut_off()
    with pytest.raises(LedgerUnreachable):
        end(ledger_case.sql)
    ledger_case.bring_back()
    assert end(ledger_case.sql)
