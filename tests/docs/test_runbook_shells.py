"""Each step on systemd, compose and Kubernetes is typed into a shell whose tools check and record.

No container, cluster or service manager is at hand in a test, so the tools are stand-ins: each
knows the grammar of the commands that runbooks use, written down from the tools' own manuals
(systemctl(1), journalctl(1), `docker compose help`, `kubectl help`), refuses everything else, and
writes down what it was asked for. What they are asked for has to exist: services are those of
docker-compose.yml, deployments and units those that docs/runbooks/restart.md names.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.conftest import Postgresql
from tests.docs.runbook_steps import Block, Where, blocks
from tests.docs.tables import ROOT
from tests.waiting import wait_until

TOOL = """#!{python}
import argparse, json, sys

def parser():
    p = argparse.ArgumentParser(allow_abbrev=False)
    verbs = p.add_subparsers(dest="verb", required=True)
    tool = {tool!r}
    if tool == "systemctl":
        for verb in ("status", "restart", "stop", "start"):
            verbs.add_parser(verb).add_argument("unit")
    if tool == "docker":
        compose = verbs.add_parser("compose").add_subparsers(dest="what", required=True)
        for verb in ("ps", "restart", "stop"):
            compose.add_parser(verb).add_argument("service")
        logs = compose.add_parser("logs")
        logs.add_argument("--tail", type=int, required=True)
        logs.add_argument("service")
        execute = compose.add_parser("exec")
        execute.add_argument("-e", action="append")
        execute.add_argument("service")
        execute.add_argument("command", nargs=argparse.REMAINDER)
        up = compose.add_parser("up")
        up.add_argument("-d", action="store_true", required=True)
        up.add_argument("--scale", required=True)
        up.add_argument("--no-recreate", action="store_true")
    if tool == "kubectl":
        logs = verbs.add_parser("logs")
        logs.add_argument("deployment")
        logs.add_argument("--tail", type=int, required=True)
        execute = verbs.add_parser("exec")
        execute.add_argument("deployment")
        execute.add_argument("command", nargs="+")
        get = verbs.add_parser("get")
        get.add_argument("kind", choices=["pods"])
        get.add_argument("-l", dest="label", required=True)
        rolls = verbs.add_parser("rollout").add_subparsers(dest="what", required=True)
        rolls.add_parser("restart").add_argument("deployment")
        scale = verbs.add_parser("scale")
        scale.add_argument("deployment")
        scale.add_argument("--replicas", type=int, required=True)
    return p

if {tool!r} == "journalctl":
    p = argparse.ArgumentParser(allow_abbrev=False)
    p.add_argument("-u", dest="unit", required=True)
    p.add_argument("-n", dest="lines", type=int, required=True)
else:
    p = parser()
asked = vars(p.parse_args())
with open({record!r}, "a") as file:
    file.write(json.dumps({{"tool": {tool!r}, **asked}}) + "\\n")
"""

PROCESSES = ("controller", "legacy", "concurrent", "shadow")
SERVERS = {"systemctl": ("redis", "postgresql"), "kubectl": ("redis", "postgres")}


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A folder of stand-ins, and `asked.jsonl` in it."""
    for tool in ("systemctl", "journalctl", "docker", "kubectl"):
        file, record = tmp_path / tool, str(tmp_path / "asked.jsonl")
        file.write_text(TOOL.format(python=sys.executable, tool=tool, record=record))
        file.chmod(0o755)
    return tmp_path


def typed(shell: Path, line: str) -> list[dict[str, Any]]:
    """Type a line into bash; what the stand-ins were asked for."""
    path = f"{shell}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", line], env={"PATH": path}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, (line, done.stderr)
    found = shell / "asked.jsonl"
    said = [json.loads(one) for one in found.read_text().splitlines()] if found.exists() else []
    found.unlink(missing_ok=True)
    return said


def services() -> set[str]:
    """Services of docker-compose.yml."""
    return set(re.findall(r"^  ([a-z]+):$", (ROOT / "docker-compose.yml").read_text(), re.M))


def exists(asked: dict[str, Any]) -> bool:
    """Whether what a tool was asked for is there under this name."""
    if asked["tool"] == "docker":
        name = asked.get("service") or str(asked["scale"]).partition("=")[0]
        return name in services()
    if asked["tool"] == "kubectl":
        name = str(asked.get("deployment") or asked["label"])
        name = name.removeprefix("deploy/").removeprefix("app=")
    else:
        name = asked["unit"]
    servers = SERVERS["kubectl" if asked["tool"] == "kubectl" else "systemctl"]
    return name in servers or name in {f"rollout-{one}" for one in PROCESSES}


STEPS = list(dict.fromkeys((one.page, one.lines[0]) for one in blocks(Where.SHELLS)))


@pytest.mark.parametrize(("page", "line"), STEPS, ids=[f"{page}: {line}" for page, line in STEPS])
def test_a_step_is_one_that_the_tool_takes(shell: Path, page: str, line: str) -> None:
    """Its grammar is the tool's, and what it names is there."""
    names = PROCESSES if "NAME" in line else ("",)
    for name in names:
        if "docker" in line and name not in (*services(), ""):
            continue  # the compose file runs no shadow worker
        (asked,) = typed(shell, line.replace("NAME", name))
        assert exists(asked), asked


@pytest.mark.parametrize(
    "line",
    [
        "systemctl flip rollout-legacy", "docker compose restart", "docker restart legacy",
        "journalctl -u rollout-legacy -n all", "kubectl restart deploy/rollout-legacy",
        "kubectl scale deploy/rollout-legacy", "docker compose logs --tial 100 legacy",
    ],
)  # fmt: skip
def test_the_stand_ins_refuse_what_the_tools_would(shell: Path, line: str) -> None:
    """Otherwise the test above could not fail."""
    with pytest.raises(AssertionError):
        typed(shell, line)


def test_a_name_that_is_not_there_is_found(shell: Path) -> None:
    """A service that the compose file does not have, a unit that nobody names."""
    (asked,) = typed(shell, "docker compose restart workers")
    assert not exists(asked)
    (asked,) = typed(shell, "systemctl stop rollout-workers")
    assert not exists(asked)


def test_who_holds_the_ledger_is_ended(postgresql: Postgresql) -> None:
    """The statement of the runbook ends a forgotten transaction, by its session's number."""
    (block,) = blocks(Where.POSTGRESQL)
    assert isinstance(block, Block)
    held = create_engine(postgresql.url(postgresql.shared))
    other = create_engine(postgresql.url(postgresql.shared), isolation_level="AUTOCOMMIT")
    try:
        connection = held.connect()
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with other.connect() as mine:
            ended = mine.execute(text(block.lines[0].rstrip(";").replace("PID", str(pid))))
            assert ended.scalar_one() is True
            there = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
            wait_until(
                lambda: mine.execute(there, {"pid": pid}).scalar_one() == 0, "it is gone", 10
            )
        connection.invalidate()
        connection.close()
    finally:
        held.dispose()
        other.dispose()
