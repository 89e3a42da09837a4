"""What a person who adopts, one on call and one who runs drills read, at the moment it matters."""

import io
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from rollout.cli.kill_progress import say_fact
from rollout.control.door import Door
from rollout.desk import lately
from rollout.desk.workers import ActiveTask, Hanging, hanging_sentences
from rollout.drills.ports import DrillEvent
from rollout.jobs.claims import Claim
from rollout.jobs.ports import Filing
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import filing
from tests.shells.conftest import House
from tests.shells.test_cli_shadow import shadowed
from tests.shells.test_first_screen import fall_back, flat, hurt

LONG = "19655e3a-52a0-4ff5-923d-3c22a4b97fb{}"
"""As long as the ids that Celery gives."""


def file_long(house: House, number: int) -> str:
    """A job whose id is as long as a real one, failed on legacy, too."""
    job_id = LONG.format(number)
    one: Filing = filing(job_id, path=JobPath.CONCURRENT)
    with house.services() as runtime:
        runtime.ledger.file([one])
    house.fail(job_id, "ValueError: no address")
    return job_id


def commit_there(house: House) -> None:
    """A job that the concurrent path commits."""
    job_id = house.submit()
    with house.services() as runtime:
        now, silent = runtime.clock.now(), runtime.settings.silent_after
        path, effects = JobPath.CONCURRENT, Effects.COMMIT
        claim = runtime.ledger.claim("invoices", job_id, path, effects, "w1", now, silent)
        assert isinstance(claim, Claim)
        runtime.ledger.commit(claim, effects, lambda connect: "null", now)


def test_trouble_that_is_over_is_said_to_be_over(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From when to when jobs were hurt, and what came after; it does not go on failing for ever."""
    house.run("start", "invoices")
    house.tick()
    fall_back(house, "ValueError: no address")
    monkeypatch.setattr(lately, "_STILL", timedelta(seconds=-1))
    for command in ("status", "why invoices"):
        said = flat(house.run(*command.split()).stdout)
        assert "it fails since" not in said, command
        assert "it failed jobs that came from " in said, command
        assert "no job finished on it since" in said, command
    commit_there(house)
    assert "later jobs were fine" in flat(house.run("status").stdout)
    (values,) = house.json("status")["sub_pipelines"]
    assert ("failed", "later") in [(one["what"], one["need"]) for one in values["alarms"]]
    (trouble,) = values["lately"]["troubles"]
    assert trouble["fine_since"] is True
    assert trouble["since"] == trouble["until"]


def test_a_kill_and_a_revert_say_who_when_and_why(house: House) -> None:
    """Before anything else, with the runbook of what has happened."""
    house.run("start", "invoices")
    house.tick()
    hurt(house)
    house.tick()
    said = flat(house.run("status").stdout)
    assert "reverted by controller, 20" in said
    assert "every job runs on legacy; `rollout start invoices` begins again" in said
    assert "(what to do: rollout runbook reverted)" in said
    house.run("kill", "invoices", "--reason", "totals are wrong")
    said = flat(house.run("status").stdout)
    assert "killed by ana, 20" in said
    assert "UTC: totals are wrong; `rollout rearm invoices" in said
    said = flat(house.run("why", "invoices").stdout)
    assert said.startswith("invoices: KILLED: every job runs on legacy; by ana, 20")
    assert "totals are wrong" in said


def test_copies_that_differ_are_a_persons(house: House) -> None:
    """In stage shadow, too: what differs, the runbook, and the bake time does not hide it."""
    shadowed(house)
    house.tick()
    said = flat(house.run("status").stdout)
    assert "person Outputs differ beyond legacy's own noise: total" in said
    assert "(what to do: rollout runbook outputs-differ)" in said
    said = flat(house.run("why", "invoices").stdout)
    assert said.startswith("invoices: A PERSON DECIDES: Outputs differ")


def test_copies_that_nobody_runs(house: House) -> None:
    """Stage shadow without a worker on its queue compares nothing: said at once, and later on."""
    done = house.run("shadow", "invoices")
    assert "no worker listens on queue invoices.shadow, so no copy is compared" in flat(done.stderr)
    house.tick()
    said = flat(house.run("status").stdout)
    assert "unheard no worker listens on queue invoices.shadow" in said
    (found,) = [one for one in house.json("doctor")["findings"] if one["what"] == "workers"]
    assert "invoices.shadow" in found["found"]


def test_a_revert_is_over_when_a_shadow_begins(house: House) -> None:
    """What routing did since the last revert says nothing about the shadow after it."""
    house.run("start", "invoices")
    house.tick()
    hurt(house)
    house.tick()
    assert house.json("why", "invoices")["revert_confirmation"] is not None
    house.run("shadow", "invoices")
    assert house.json("why", "invoices")["revert_confirmation"] is None


def test_a_shadow_is_suggested_until_there_was_one(house: House) -> None:
    """Beside the word that starts the pilot; a start after a shadow has left nothing out."""
    house.tick()
    assert "a shadow first: `rollout shadow invoices`" in flat(house.run("status").stdout)
    house.run("shadow", "invoices")
    house.run("revert", "invoices", "--reason", "seen enough")
    house.tick()
    assert "a shadow first" not in flat(house.run("status").stdout)
    assert "no shadow has compared" not in flat(house.run("start", "invoices").stdout)


def test_what_is_away_is_said_once(house: House) -> None:
    """One ledger that is away is one finding, not one for each thing that would be read in it."""
    house.lose_ledger()
    findings = house.json("doctor")["findings"]
    about = [one for one in findings if "/proc/nowhere" in one["found"]]
    assert [one["what"] for one in about] == ["ledger"]
    assert "so these are not known: sub-pipelines, routing, builds" in about[0]["found"]


def test_a_list_of_jobs_fits_eighty_columns(house: House) -> None:
    """An id whole on a line, an error once, and whether these are all of them."""
    jobs = [file_long(house, number) for number in range(3)]
    lines = house.run("jobs", "--failed", "--limit", "2").stdout.splitlines()
    assert lines[0] == "2 of the newest 2, invoices: ValueError: no address"
    assert lines[1][2:38] in jobs
    assert all(len(line) <= 80 for line in lines[:3])
    assert "    ValueError" not in "\n".join(lines)
    assert lines[-1].startswith("only the newest 2 are shown, there are more")
    sendable = house.submit()
    house.fail(sendable)
    done = house.run("retry", sendable)
    assert done.stdout.splitlines()[0] == f"job {sendable}: accepted again, on legacy"


def test_a_beginning_that_names_no_single_job(house: House) -> None:
    """Too short, or that of several: the hint says which."""
    first, second = file_long(house, 1), file_long(house, 2)
    done = house.run("job", "196")
    assert done.exit_code == 1
    assert "4 or more characters of an id are needed, got '196'" in flat(done.stderr)
    done = house.run("job", "19655e3a")
    assert f"{first} and {second} do" in flat(done.stderr)


def test_the_policy_that_is_shown_says_what_is_not_in_force(house: House) -> None:
    """A changed `bake_days` is the file's until the controller has read it."""
    Path("rollout.toml").write_text("[policy]\nbake_days = 7\n")
    house.run("start", "invoices")
    house.tick()
    assert house.run("policy", "show", "invoices").stderr == ""
    Path("rollout.toml").write_text("[policy]\nbake_days = 9\n")
    said = flat(house.run("policy", "show", "invoices").stderr)
    assert "not all of this is in force" in said
    assert "bake_days is 7.0 in force and 9.0 in the file" in said


def test_a_first_day_sizes_no_plan(house: House) -> None:
    """A few seconds of jobs are no day: the plan says so first, a start does not pretend."""
    house.tick()
    with house.services() as runtime:
        runtime.ledger.file([filing("job-1", path=JobPath.LEGACY, at=runtime.clock.now())])
    house.commit("job-1")
    house.tick()
    done = house.run("plan", "invoices")
    assert done.exit_code == 0, done.stderr
    said = flat(done.stdout)
    assert said.startswith("invoices: less than a day of its jobs was seen, too early to size")
    said = flat(house.run("start", "invoices").stdout)
    assert "no plan yet: invoices: less than a day of its jobs was seen" in said
    assert "jobs a day, legacy fails" not in said


def test_a_policy_check_without_any_job_says_so(house: House) -> None:
    """Nothing was sized, which is not the same as nothing found."""
    said = flat(house.run("policy", "check").stdout)
    assert "invoices: none of its jobs has finished yet, so nothing is sized" in said


def test_how_long_jobs_take_is_on_the_first_screen(house: House) -> None:
    """A path that is only slow fails nothing: its times are beside the other's."""
    house.run("start", "invoices")
    house.tick()
    commit_there(house)
    assert "median " in flat(house.run("status").stdout)
    (values,) = house.json("status")["sub_pipelines"]
    assert values["lately"]["medians_s"]["concurrent"] >= 0


def test_a_kill_without_a_ledger_leaves_json_alone(house: House) -> None:
    """What could not be noted is said on stderr, so that a script can read the answer."""
    house.lose_ledger()
    done = house.run("kill", "invoices", "--reason", "x", "--json")
    assert json.loads(done.stdout)["name"] == "invoices"
    (line,) = [one for one in done.stderr.splitlines() if "not in the log of acts" in one]
    assert re.match(r"warning: .* UTC kill of invoices by \w+, ", line)


def test_a_kill_that_is_interrupted_says_what_is_known(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle is no answer: it says so, and to say it again."""

    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(Door, "kill", interrupted)
    done = house.run("kill", "invoices", "--reason", "x")
    assert done.exit_code == 3
    assert "whether anything is killed is NOT known" in done.stderr
    assert "say it again: `rollout kill invoices --reason '...'`" in flat(done.stderr)


def test_lines_of_a_kill_fit_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long sentence is broken between words and stays in its column; no command is broken."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "80")
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    say_fact("still runs", "process 4711 of worker concurrent@vm still runs a job " * 5)
    lines = screen.getvalue().splitlines()
    assert len(lines) > 2
    assert all(len(line) <= 80 for line in lines)
    assert all(line.startswith(" " * 18) for line in lines[1:])


def test_processes_of_one_worker_are_ended_by_one_line(house: House) -> None:
    """Not a paragraph for each."""
    with house.services() as runtime:
        now = runtime.clock.now()
    tasks = [ActiveTask("c@vm", pid, f"job-{pid}", "invoices.concurrent", now) for pid in (7, 8)]
    lasts = timedelta(seconds=50)
    (sentence,) = hanging_sentences([Hanging("invoices", one, lasts) for one in tasks])
    assert "2 processes of worker c@vm" in sentence
    assert "`kill -9 7 8`" in sentence


@pytest.mark.parametrize("command", ["", "drill", "policy"])
def test_no_line_of_the_help_is_cut_off(house: House, command: str) -> None:
    """Each command is told in a line that ends."""
    lines = house.run(*command.split(), "--help").stdout.splitlines()
    assert [line for line in lines[1:] if line.endswith("...")] == []


def test_a_report_leaves_out_what_only_waits(house: House) -> None:
    """A hold that time ends is no event of the night; what differs is."""
    house.run("start", "invoices", "--reason", "pilot begins")
    house.tick()
    said = house.run("report", "invoices").stdout
    assert "start, now split" in said
    assert "hold:" not in said


def test_a_drill_that_is_not_there_names_one_that_is(house: House) -> None:
    """The newest id stands in the refusal."""
    assert "there is none yet" in house.run("drill", "show", "nope").stderr
    with house.services() as runtime:
        now = runtime.clock.now()
        facts = {"path": "concurrent", "fault": "raise", "paths": ["concurrent"],
                 "target": {"share": None, "jobs": 1}, "deadline_s": 90}  # fmt: skip
        runtime.ledger.append_drill([DrillEvent("d1234567", "invoices", now, "declared", facts)])
    assert "the newest one is d1234567" in house.run("drill", "show", "nope").stderr
    said = flat(house.run("drill", "show", "d123").stdout)
    assert "paths concurrent" in said
    assert "target jobs = 1" in said


def test_the_runbook_of_a_kill_works_after_a_revert(house: House) -> None:
    """Reverted, then killed: the steps of the runbook as they stand bring the path back, small."""
    house.run("start", "invoices")
    house.tick()
    hurt(house)
    house.tick()
    house.run("kill", "invoices", "--reason", "wrong totals")
    text = (Path(__file__).parents[2] / "docs/runbooks/concurrent-path-misbehaves.md").read_text()
    steps = text[text.index("It was reverted before") :].splitlines()
    typed = [line.strip() for line in steps if line.startswith("    rollout ")]
    assert typed
    for line in typed:
        words = line.partition("  #")[0].replace("NAME", "invoices").split("'")
        arguments = [*words[0].split()[1:], *words[1:2]]
        assert house.run(*arguments).exit_code == 0, line
    (values,) = house.json("status")["sub_pipelines"]
    assert (values["stage"], values["scope_bp"], values["killed"]) == ("split", 100, False)
