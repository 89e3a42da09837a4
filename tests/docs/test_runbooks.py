"""`docs/runbooks/`: what they tell a person to look at and to type exists."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from rollout.adapters.sql.names import VERSION_TABLE
from rollout.adapters.stream_files import COLUMNS
from rollout.drills.drill import Drill
from rollout.drills.gameday import GameDay
from rollout.drills.score import Score
from rollout.evidence.sample import PathSample
from rollout.policy.policy import Policy
from rollout.routing.stages import ControlState
from rollout.settings import Settings
from tests.docs.tables import ROOT
from tests.ops.test_compose import cli_commands
from tests.ops.test_observability import SAMPLES, rules
from tests.shells.json_shapes import recorded

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
PAGES = sorted((ROOT / "docs").rglob("*.md"))
HEADS = [
    "## What you see",
    "## What rollout has done by itself",
    "## What to do",
    "## How to know it is over",
]


def of(path: Path) -> str:
    """Name of a page, for the tests' ids."""
    return path.stem


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=of)
def test_runbooks_have_one_form(runbook: Path) -> None:
    """What one sees, what was done, what to do, how it ends: in that order."""
    heads = [line for line in runbook.read_text().splitlines() if line.startswith("## ")]
    assert heads == HEADS


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_metrics_and_alerts_exist(page: Path) -> None:
    """Each metric is exported and each alert is defined."""
    text = page.read_text()
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in SAMPLES}
    for name in set(re.findall(r"`(rollout_\w+)", text)) - {VERSION_TABLE}:
        assert name in families, name
    alerts = {rule["alert"] for rule in rules()}
    for name in re.findall(r"`(Rollout[A-Z]\w+)`", text):
        assert name in alerts, name


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_settings_exist(page: Path) -> None:
    """Each name with a unit is a setting, or a key of a policy, a recording, a state or JSON."""
    known = set(Settings.model_fields) | set(Policy.model_fields)
    known |= {field.name for field in fields(ControlState)} | set(COLUMNS)
    known |= {field.name for kind in (Drill, Score, GameDay, PathSample) for field in fields(kind)}
    known |= {path.rpartition(".")[2] for shape in recorded().values() for path in shape}
    for name in re.findall(r"`([a-z_]+_(?:s|ms|bp|port|host|url))`", page.read_text()):
        assert name in known, name


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_commands_exist(page: Path) -> None:
    """Each command of ours that a page shows is one."""
    text = page.read_text()
    shown = re.findall(r"^ {4,}rollout ([a-z-]+)", text, re.MULTILINE)
    shown += re.findall(r"`rollout ([a-z-]+)", text)
    assert set(shown) <= cli_commands()


def test_every_runbook_is_reached_by_an_alert_or_a_runbook() -> None:
    """Nobody has to know that a runbook exists."""
    alerts = str([rule["annotations"] for rule in rules()])
    others = {path: path.read_text() for path in RUNBOOKS}
    for path in RUNBOOKS:
        linked = any(f"({path.name})" in text for other, text in others.items() if other != path)
        assert linked or path.name in alerts, path


WAYS = ("rollout up", "systemd", "compose", "Kubernetes")
STEP = re.compile(r"docker compose|systemctl|journalctl|kubectl")


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=of)
def test_a_step_on_a_process_is_there_for_every_way_to_run_it(runbook: Path) -> None:
    """Whoever runs it by `rollout up`, systemd, compose or Kubernetes finds their own line."""
    text = runbook.read_text()
    if STEP.search(text):
        assert [way for way in WAYS if way not in text] == []
        shown = [len(re.findall(f"^ *[-|] `?{way}", text, re.MULTILINE)) for way in WAYS]
        assert len(set(shown)) == 1, dict(zip(WAYS, shown, strict=True))


def test_services_of_compose_are_those_that_runbooks_name() -> None:
    """What is typed after `docker compose` is in docker-compose.yml."""
    services = set(re.findall(r"^  ([a-z]+):$", (ROOT / "docker-compose.yml").read_text(), re.M))
    for path in RUNBOOKS:
        text = path.read_text()
        for name in re.findall(r"docker compose (?:logs --tail \d+|restart|stop|ps) (\w+)", text):
            assert name in services | {"NAME"}, (path.name, name)
