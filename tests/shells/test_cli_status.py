"""`status`: once, as JSON, and watched until ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.shells.conftest import House

KEYS = {
    "conditions",
    "numbers",
    "observed_revision",
    "releases",
    "name",
    "at",
    "stage",
    "killed",
    "frozen",
    "scope_bp",
    "scope_bp_max",
    "holdback_bp",
    "observed_bp",
    "revision",
    "gate",
    "waiting",
    "running",
    "committed",
    "failed_kept",
    "fallbacks",
    "drilled",
    "cancelled",
    "expired",
    "opted_out",
    "judgement",
    "last_change",
    "oldest_running",
    "oldest_waiting",
    "lately",
    "drill",
    "builds",
    "need",
    "alarms",
}


def test_one_sub_pipeline(house: House) -> None:
    """Stage, scope, gate, jobs and the last change are on one small page of 80 columns."""
    house.run("start", "invoices", "--reason", "pilot begins")
    house.tick()
    house.submit()
    house.begin(house.submit())
    result = house.run("status", "invoices")
    assert result.exit_code == 0
    assert "invoices: stage split, revision 2" in result.stdout
    assert "3.1 % (310 bp, at most 9500)" in result.stdout
    assert "concurrent inside the scope (supervised, revision 2)" in result.stdout
    assert "1 waiting, 1 running, 0 committed" in result.stdout
    assert "start by ana" in result.stdout
    assert "pilot begins" in " ".join(result.stdout.split())
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_status_as_json(house: House) -> None:
    """Scripts read every number of the page."""
    house.run("start", "invoices")
    house.tick()
    house.submit()
    (values,) = house.json("status")["sub_pipelines"]
    assert set(values) == KEYS
    assert values["gate"] == {
        "open": True,
        "reason": None,
        "reachable": True,
        "supervised": True,
        "killed": False,
        "killed_all": False,
        "revision": 2,
    }
    assert values["waiting"] == {"legacy": 0, "concurrent": 1}
    assert values["last_change"]["event"] == "start"


def test_killed_and_frozen_stand_out(house: House) -> None:
    """What stops everything is in the first line, in words and not only in colour."""
    house.run("freeze", "invoices")
    house.run("kill", "invoices", "--reason", "x")
    assert "invoices: KILLED (stage legacy), FROZEN" in house.run("status").stdout


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ([], "unknown (the control store holds nothing for it)"),
        (["start"], "unsupervised (no controller was heard of"),
        (["freeze"], "unsupervised"),
    ],
)
def test_why_a_start_goes_to_legacy(house: House, prepare: list[str], said: str) -> None:
    """The gate's own reason is shown, with what it means."""
    for command in prepare:
        house.run(command, "invoices")
    assert f"legacy: {said}" in " ".join(house.run("status").stdout.split())


def test_lost_latch_is_said(house: House) -> None:
    """A store that was emptied under a kill is seen, and what mends it."""
    house.run("kill", "invoices", "--reason", "x")
    house.setenv("ROLLOUT_KEY_PREFIX", "emptied:")
    assert "the store lost the latch" in " ".join(house.run("status").stdout.split())


def test_store_away(house: House) -> None:
    """The status is shown without the control store, which is its most important line then."""
    house.lose_store()
    result = house.run("status")
    assert result.exit_code == 0
    assert "legacy: unreachable" in result.stdout
    assert house.json("status")["sub_pipelines"][0]["gate"]["reachable"] is False


def test_ledger_away(house: House) -> None:
    """Without the ledger there is no status."""
    house.lose_ledger()
    assert house.run("status").exit_code == 4


def test_unknown_name(house: House) -> None:
    """A misspelt name gets a guess."""
    result = house.run("status", "invoicse")
    assert result.exit_code == 1
    assert "did you mean 'invoices'" in result.stderr


def test_counts_after_the_work(house: House) -> None:
    """Committed jobs are counted by path before the controller has folded them."""
    house.run("start", "invoices")
    job_id = house.submit()
    with house.services() as runtime:
        now = runtime.clock.now()
        claim = runtime.ledger.claim(
            "invoices", job_id, JobPath.CONCURRENT, Effects.COMMIT, "w", now, now - now
        )
        runtime.ledger.commit(claim, Effects.COMMIT, lambda connect: "1", now)  # type: ignore[arg-type]  # granted
    (values,) = house.json("status")["sub_pipelines"]
    assert values["committed"] == {"legacy": 0, "concurrent": 1}
    assert values["observed_bp"] == 10_000


@pytest.mark.parametrize("as_json", [True, False])
def test_watch_until_ctrl_c(house: House, as_json: bool) -> None:
    """The watched status comes again each second; ctrl-C ends it without a traceback."""
    command = [sys.executable, "-m", "rollout", "status", "--watch"]
    process = subprocess.Popen(
        [*command, "--json"] if as_json else command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors == ""
    if as_json:
        assert json.loads(first)["sub_pipelines"][0]["name"] == "invoices"
    else:
        assert first.startswith("NOBODY leads, nothing is judged")
        assert "\x1b" not in rest


def test_watch_on_a_terminal(house: House) -> None:
    """On a terminal the page is refreshed in place, and ctrl-C gives the screen back."""
    house.run("start", "invoices")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "rollout", "status", "--watch"]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"}
    )
    os.close(slave)
    seen = b""
    while b"ctrl-C ends" not in seen:
        seen += os.read(master, 4096)
    process.send_signal(signal.SIGINT)
    while process.poll() is None or b"\x1b[?1049l" not in seen:
        try:
            seen += os.read(master, 4096)
        except OSError:  # the other end is closed
            break
    os.close(master)
    assert process.wait(30) == 0
    assert b"\x1b[?1049l" in seen
    assert b"Traceback" not in seen
