"""`shadow`, `shadow-report` and `determinism` through their front door."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rollout.adapters.envelope import seal
from rollout.cli.exit_codes import ExitCode
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.shadow.ports import ShadowBegun, ShadowEnd
from rollout.shadow.runs import fold
from tests.builders import filing
from tests.shells.conftest import House

APP = """
import os
from celery import Celery
from rollout import SubPipeline

app = Celery("shop", broker="redis://localhost:1/0")
invoices = SubPipeline("invoices", app=app, effects="commit")
payments = SubPipeline("payments", app=app, effects="unsafe")
calls = [0]


@invoices.legacy
def one_by_one(lines, what="ok"):
    print("a path may print")
    lines.append(1)
    return {"total": sum(lines)}


@invoices.concurrent
def overlapped(lines, what="ok"):
    calls[0] += 1
    lines.append(1)
    if what == "dies":
        os._exit(3)
    if what == "raises":
        raise ValueError("boom")
    if what == "hangs":
        import time; time.sleep(600)
    return {"total": sum(lines), "call": calls[0]} if what == "varies" else {"total": sum(lines)}


@invoices.commit
def write(value, job):
    raise AssertionError("a comparison commits nothing")


@payments.legacy
def pay(lines): ...


@payments.concurrent
def pay_faster(lines): ...
"""


def shadowed(house: House, shadows: int = 60) -> None:
    """Stage shadow, a third of its runs old against old, and a bug in `total`."""
    assert house.run("shadow", "invoices", "--reason", "look first").exit_code == 0
    at = datetime.now(UTC)
    with house.services() as runtime:
        for number in range(shadows):
            path = JobPath.LEGACY if number % 3 == 0 else JobPath.CONCURRENT
            fields = {"at"} if path is JobPath.LEGACY else {"at", "total"}
            run = f"run-{number}"
            begun = ShadowBegun(run, "invoices", f"job-{number}", path, 0.5, at)
            runtime.database_ledger.begin_shadow(begun, {"rate": 1} if number == 0 else {})
            end = ShadowEnd(
                run, "invoices", at, 0.6, fields=frozenset(fields),
                signature=", ".join(sorted(fields)), diff="total: 1 -> 2",
            )  # fmt: skip
            runtime.database_ledger.end_shadow(end, fold)


def test_shadow_begins_the_stage(house: House) -> None:
    """Every job stays on legacy."""
    result = house.run("shadow", "invoices", "--reason", "look first")
    assert "invoices: stage shadow, scope 0 %" in result.stdout
    assert "copies are compared in the shadow" in result.stdout
    assert "shadow" in house.run("history", "invoices").stdout


def test_shadow_of_paths_that_touch_the_world_is_refused(house: House) -> None:
    """Two lines that say why and what to do; nothing changes."""
    house.declare("payments", effects=Effects.UNSAFE)
    result = house.run("shadow", "payments")
    assert result.exit_code == 1
    assert "may not run beside the real job" in result.stderr
    assert 'hint: only effects "none" and "commit"' in result.stderr


def test_a_report_shows_what_was_found(house: House) -> None:
    """Verdicts with numbers, noise, causes with a count and an example, what was not copied."""
    shadowed(house)
    said = house.run("shadow-report", "invoices").stdout
    assert "40 pairs compared, 0 shadows in trouble" in said
    assert "REGRESS: Outputs differ beyond legacy's own noise: total in 40 of 40" in " ".join(
        said.split()
    )
    assert "at (20 of 20 old against old, 40 of 40 new)" in " ".join(said.split())
    assert "rate 1" in said
    assert "0 copies in queue invoices.shadow" in said
    assert "old against old" in said


def test_a_report_for_scripts(house: House) -> None:
    """The same as JSON; these keys are a promise."""
    shadowed(house)
    values = house.json("shadow-report", "invoices")
    assert (values["pairs"], values["errors"], values["waiting"]) == (40, 0, 0)
    assert values["outputs"]["verdict"] == "regress"
    assert values["time"]["metric"] == "shadow_time"
    assert values["time_ratio"] == pytest.approx(1.2, rel=0.01)
    assert {field["field"]: field["noise"] for field in values["fields"]} == {
        "at": True,
        "total": False,
    }
    by_path = {group["path"]: group for group in values["groups"]}
    assert by_path["concurrent"]["runs"] == 40
    assert by_path["concurrent"]["noise"] is False
    assert by_path["legacy"]["noise"] is True
    assert by_path["concurrent"]["example"] == "(masked)"


def test_a_report_before_any_shadow_and_without_a_broker(house: House) -> None:
    """It says what it does not know."""
    house.lose_broker()
    said = house.run("shadow-report", "invoices").stdout
    assert "0 pairs compared" in said
    assert "INSUFFICIENT" in said
    assert "not known" in said


def test_a_report_counts_runs_that_were_lost(house: House) -> None:
    """Whoever looks counts what was never heard of again."""
    house.run("shadow", "invoices")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with house.services() as runtime:
        begun = ShadowBegun("run-1", "invoices", "job-1", JobPath.CONCURRENT, 0.5, at)
        runtime.database_ledger.begin_shadow(begun, {})
    assert house.json("shadow-report", "invoices")["counts"] == {"trouble:concurrent:lost": 1}


def test_a_report_of_a_stranger_is_refused(house: House) -> None:
    """With a guess."""
    result = house.run("shadow-report", "invoice")
    assert result.exit_code == 1
    assert "did you mean 'invoices'" in result.stderr


@pytest.fixture
def shop(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The shell with an app in its folder, importable under a name of its own."""
    name = f"shop_{abs(hash(house.folder))}"
    Path(f"{name}.py").write_text(APP)
    monkeypatch.syspath_prepend(str(house.folder))
    house.setenv("ROLLOUT_APP", name)
    return house


def compared(house: House, what: str, *more: str) -> Any:
    """Run one input a few times on both paths."""
    given = f'{{"lines": [2, 3], "what": "{what}"}}'
    effort = ("--runs", "4", "--processes", "2")
    return house.json("determinism", "invoices", "--kwargs", given, *effort, *more)


def test_steady_paths_on_the_input_of_a_job(shop: House) -> None:
    """Each run has its own arguments, though the paths change them; nothing is committed."""
    envelope = seal("invoices", {"body": [[], {"lines": [2, 3]}, {}]}, 10_000)
    with shop.services() as runtime:
        runtime.ledger.file([filing("job-1", envelope=envelope)])
    values = shop.json(
        "determinism", "invoices", "--job", "job-1", "--runs", "4", "--processes", "2"
    )
    assert values["steady"] is True, values
    assert [one["runs"] for one in values["paths"]] == [4] * 4
    assert {one["condition"] for one in values["paths"]} == {"alone", "under load"}


def test_what_varies_is_named(shop: House) -> None:
    """Hidden state shows as a field that is never the same."""
    by_path = {(one["path"], one["condition"]): one for one in compared(shop, "varies")["paths"]}
    assert by_path["legacy", "alone"]["fields"] == {}
    assert "call" in by_path["concurrent", "alone"]["fields"]
    assert "call" in by_path["concurrent", "alone"]["example"]


@pytest.mark.parametrize("what", ["dies", "hangs"])
def test_paths_that_die_or_hang_are_told(shop: House, what: str) -> None:
    """A path that kills its process or hangs is told, and the other path is still measured."""
    shop.setenv("ROLLOUT_SHADOW_LIMIT_S", "1")
    values = compared(shop, what)
    by_path = {(one["path"], one["condition"]): one for one in values["paths"]}
    assert by_path["legacy", "under load"]["errors"] == {}
    error = "the path killed its process" if what == "dies" else "no result in 1 s"
    assert error in by_path["concurrent", "alone"]["errors"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("payments",), "may not run beside the real job"),
        (("bills",), "no sub-pipeline named 'bills'"),
        (("invoices", "--args", "{}"), "--args must be a JSON list"),
        (("invoices", "--kwargs", "nonsense"), "--kwargs must be JSON"),
        (("invoices", "--job", "nobody"), "no job with id 'nobody'"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(
    shop: House, arguments: tuple[str, ...], says: str
) -> None:
    """Before anything runs."""
    shop.setenv("COLUMNS", "200")
    result = shop.run("determinism", *arguments)
    assert result.exit_code in (1, 2)
    assert says in " ".join(result.stderr.split())


def test_the_job_of_another_sub_pipeline_is_refused(shop: House) -> None:
    """Its arguments need not fit."""
    shop.declare("bills")
    other = shop.submit("bills")
    refused = shop.run("determinism", "invoices", "--job", other)
    assert refused.exit_code == ExitCode.REFUSED
    assert other in refused.stderr


def test_a_comparison_needs_an_app(house: House) -> None:
    """Two lines that say so."""
    result = house.run("determinism", "invoices")
    assert result.exit_code == 1
    assert "paths can be run only with the app" in result.stderr
