"""The first screen tells what is true at the moment at which it matters."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import typer.main

from rollout.cli.app import app
from rollout.cli.groups import GROUPS
from rollout.drills.ports import DrillEvent
from rollout.evidence.counts import Counts
from rollout.evidence.revert_test import Window
from rollout.jobs.claims import Claim
from rollout.pilot.trial import trial_from
from rollout.policy.policy import Policy
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.shells.conftest import House

VERDICTS = ["regress", "error", "insufficient", "pass"]


def flat(text: str) -> str:
    """Output without its line breaks."""
    return " ".join(text.split())


def test_what_is_pending_is_judged_by_the_leaders_policy(house: House) -> None:
    """The file was changed after the controller's start: what it says is not what will happen."""
    Path("rollout.toml").write_text("[policy]\nbake_days = 5\n")
    house.run("start", "invoices")
    house.tick()
    assert house.json("status")["policy_difference"] is None
    Path("rollout.toml").write_text("[policy]\nbake_days = 2\n")
    said = flat(house.run("why", "invoices").stdout)
    assert "of 5 days at this step" in said
    for command in ("status", "why invoices", "doctor"):
        said = flat(house.run(*command.split()).stdout)
        assert "bake_days is 5.0 in force and 2.0 in the file" in said, command
        assert "restart" in said, command
    assert "bake_days" in house.json("status")["policy_difference"]
    assert "bake_days" in house.json("why", "invoices")["policy_difference"]
    house.tick()  # a controller that begins now reads the file
    assert house.json("status")["policy_difference"] is None
    said = flat(house.run("why", "invoices").stdout)
    assert "5 days are in force at this step" in said
    assert "the policy's 2 hold from the next step on" in said


def test_a_broken_file_hides_no_judgement_of_the_leader(house: House) -> None:
    """The leader goes on by what it read; that today's file cannot be read is said beside it."""
    house.run("start", "invoices")
    house.tick()
    Path("rollout.toml").write_text("[policy]\nnonsense = 1\n")
    values = house.json("status")
    assert values["sub_pipelines"][0]["judgement"]["pending"]["action"] == "hold"
    assert "today's cannot be read" in values["policy_difference"]


def hurt(house: House) -> None:
    """Let the evidence of the step say that the concurrent path fails, and no controller act."""
    with house.services() as runtime:
        ledger, now = runtime.ledger, runtime.clock.now()
        leader = ledger.leader()
        assert leader is not None
        token = ledger.take_lease(leader[0], now, timedelta(seconds=1))
        assert token is not None
        (row,) = ledger.trial_rows()
        trial = trial_from(row.columns, row.payload, Policy())
        worse = Window(Counts(200, 200, 200, 0), None, None, 200, 200)
        end = trial.scored_to + timedelta(seconds=10)
        trial = trial.observe(worse, trial.scored_to, end, 0.0, 1.0)
        assert trial.evidence.latched
        ledger.save_trials(token, [replace(trial, scored_to=trial.began_at)])
        ledger.drop_lease(token)


def test_evidence_begins_anew_after_a_kill(house: House) -> None:
    """A person killed, mended and rearmed: what was seen before decides nothing any more."""
    house.run("start", "invoices")
    house.tick()
    hurt(house)
    assert house.json("why", "invoices")["pending"]["action"] == "revert"
    house.run("kill", "invoices", "--reason", "a bug")
    house.run("scope", "invoices", "100")
    house.run("rearm", "invoices", "--reason", "mended")
    pending = house.json("why", "invoices")["pending"]
    assert pending["action"] == "hold"
    house.tick()
    (after,) = house.json("status")["sub_pipelines"]
    assert (after["stage"], after["scope_bp"]) == ("split", 100)
    assert "0 of 0" not in house.run("history", "invoices").stdout


LOOKING = (
    "status", "why invoices", "history invoices", "doctor", "job 1", "jobs --failed", "messages",
    "policy show", "drill list", "decision 1",
)  # fmt: skip


@pytest.mark.parametrize("command", LOOKING)
def test_looking_for_a_ledger_that_is_not_there_makes_none(house: House, command: str) -> None:
    """A moved plant is not answered with a new and empty one: it is asked where the ledger was."""
    house.setenv("ROLLOUT_LEDGER_URL", "sqlite:///moved/ledger.db")
    done = house.run(*command.split())
    said = flat(done.stdout + done.stderr)
    assert not (house.folder / "moved").exists()
    if command != "policy show":
        assert done.exit_code in (4, 5)
        assert "was it moved, or is this another folder?" in said
    assert house.run("migrate").exit_code == 0
    assert (house.folder / "moved" / "ledger.db").exists()


def test_an_empty_folder_is_one_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is here: what is missing need not be said five times."""
    for variable in ("LEDGER_URL", "BROKER_URL", "CONTROL_URL"):
        monkeypatch.delenv(f"ROLLOUT_{variable}")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    done = house.run("doctor")
    assert done.exit_code == 5
    assert done.stdout.count("MISSING") == 1
    assert "nothing of rollout is here" in flat(done.stdout)
    assert list((tmp_path / "empty").iterdir()) == []


def fall_back(house: House, error: str) -> str:
    """A job that the concurrent path failed."""
    job_id = house.submit()
    with house.services() as runtime:
        now, silent = runtime.clock.now(), runtime.settings.silent_after
        path, effects = JobPath.CONCURRENT, Effects.COMMIT
        claim = runtime.ledger.claim("invoices", job_id, path, effects, "w1", now, silent)
        assert isinstance(claim, Claim)
        runtime.ledger.hand_over("invoices", job_id, claim.attempt, Reason.FAILED, error, now)
    return job_id


def test_what_fails_since_when_and_by_what(house: House) -> None:
    """One command from the pager's words: which path, how much of it, since when, by what error."""
    house.run("start", "invoices")
    house.tick()
    first, *_, last = (fall_back(house, f"ValueError: no address {number}") for number in range(3))
    for command in ("status", "status invoices", "why invoices"):
        said = flat(house.run(*command.split()).stdout)
        assert "3 of 3 finished jobs failed on it (100 %) in the last 5 min" in said, command
        assert "it fails since " in said, command
        assert f"newest error of job {last}: ValueError: no address 2" in said, command
    said = flat(house.run("status").stdout)
    assert "what to do: rollout runbook concurrent-path-misbehaves" in said
    assert said.index("fails") < said.index("scope")
    (values,) = house.json("status")["sub_pipelines"]
    assert values["need"] == "now"
    assert values["lately"]["paths"]["concurrent"] == {"jobs": 3, "finished": 3, "hurt": 3}
    assert (values["alarms"][0]["what"], values["alarms"][0]["need"]) == ("fails", "now")
    listed = house.run("jobs", "invoices", "--fallbacks", "--since", "10min").stdout
    assert listed.splitlines()[0] == "3 of invoices: ValueError: no address #"
    assert f"\n  {first}  " in listed
    assert house.run("jobs", "invoices", "--fallbacks", "--since", "0s").stdout == (
        "no job has fallen back to legacy of those that came since then\n"
    )


def test_jobs_by_where_they_stand(house: House) -> None:
    """Running and waiting ones, and a time that cannot be read."""
    house.begin(house.submit())
    house.submit()
    running = house.json("jobs", "--running")["jobs"]
    assert [one["job_id"] for one in running] == [house.ids[0]]
    assert [one["job_id"] for one in house.json("jobs", "invoices", "--waiting")["jobs"]] == [
        house.ids[1]
    ]
    assert house.run("jobs", "--running", "--waiting").exit_code == 2
    assert "--since must be a time" in flat(house.run("jobs", "--running", "--since", "x").stderr)


def test_a_running_drill_is_seen(house: House) -> None:
    """In status, why and doctor; what it hurts counts for no path."""
    house.run("start", "invoices")
    house.tick()
    fell = fall_back(house, "DrillFault: raised on purpose")
    with house.services() as runtime:
        now = runtime.clock.now()
        facts = {"path": "concurrent", "fault": "raise", "deadline_s": 90, "actor": "bo"}
        event = DrillEvent("d1234567", "invoices", now, "declared", facts)
        runtime.ledger.append_drill([event])
        runtime.ledger.mark_drilled("invoices", fell, "d1234567", "raise", now)
    for command in ("status", "why invoices", "doctor"):
        said = flat(house.run(*command.split()).stdout)
        assert "drill d1234567 (raise on concurrent) by bo since" in said, command
    said = flat(house.run("status").stdout)
    assert "1 that a drill hurt count for neither path" in said
    assert "fails" not in said
    with house.services() as runtime:
        ended = replace(event, what="ended", facts={"result": "healed"})
        runtime.ledger.append_drill([ended])
    assert "drill d1234567" not in house.run("status").stdout


def test_fallbacks_of_a_drill_are_not_counted_as_the_paths_own(house: House) -> None:
    """Before and after the controller has counted them; what the path failed itself stays."""
    house.run("start", "invoices")
    house.tick()
    mine, drills = fall_back(house, "ValueError: x"), fall_back(house, "DrillFault: on purpose")
    with house.services() as runtime:
        now = runtime.clock.now()
        runtime.ledger.mark_drilled("invoices", drills, "d1", "raise", now)
    for job_id in (mine, drills):
        house.commit(job_id)
    for _ in range(2):
        said = flat(house.run("status", "invoices").stdout)
        assert "1 taken over by legacy, and 1 that drills had broken or moved" in said
        (values,) = house.json("status")["sub_pipelines"]
        assert (values["fallbacks"], values["drilled"]) == (1, 1)
        house.tick()


def test_nobody_leads_is_the_first_line(house: House) -> None:
    """Before everything else, with the runbook."""
    first = house.run("status").stdout.splitlines()[0]
    assert first.startswith("NOBODY leads, nothing is judged")


def test_sub_pipelines_that_need_somebody_come_first(house: House) -> None:
    """The killed one before the quiet one, whatever their names."""
    house.declare("aaa", "zzz")
    house.tick()
    house.run("kill", "zzz", "--reason", "x")
    shown = [line for line in house.run("status").stdout.splitlines() if line[:1].isalpha()]
    assert [line.partition(":")[0] for line in shown] == ["zzz", "aaa", "invoices", "leader"]


def test_rollout_alone_shows_where_everything_stands(house: House) -> None:
    """What needs somebody first, then what to type in doubt."""
    house.declare("aaa")
    house.tick()
    house.run("kill", "invoices", "--reason", "x")
    done = house.run()
    assert done.exit_code == 0
    assert done.stdout.startswith("invoices: KILLED")
    assert done.stdout.splitlines()[-1].startswith("in doubt: `rollout kill NAME --reason '...'`")


def test_rollout_alone_in_a_strange_folder_shows_the_help(house: House) -> None:
    """Nothing is here: what can be typed, and where the ledger might be."""
    house.setenv("ROLLOUT_LEDGER_URL", "sqlite:///moved/ledger.db")
    done = house.run()
    assert "Usage:" in done.stdout
    assert "was it moved" in done.stderr


def test_the_help_lists_every_command_in_a_group(house: House) -> None:
    """Seeing, stopping, moving, mending, rehearsing, drills, running; none twice, none left."""
    shown = house.run("--help").stdout
    assert "Others" not in shown
    named = [name for group in GROUPS.values() for name in group]
    assert sorted(named) == sorted(typer.main.get_command(app).list_commands(None))  # type: ignore[attr-defined]
    assert shown.index("Seeing:") < shown.index("Stopping:") < shown.index("Moving:")


def test_a_report_for_a_hand_over(house: House) -> None:
    """Who did what when, which jobs were hurt, how it stands: as Markdown, as a page, in a file."""
    house.run("start", "invoices", "--reason", "pilot begins")
    house.tick()
    fall_back(house, "ValueError: no | address")
    fall_back(house, "ValueError: <none>")
    house.run("kill", "invoices", "--reason", "too many errors")
    house.run("rearm", "invoices", "--reason", "mended")
    said = house.run("report", "invoices", "--since", "10min").stdout
    assert said.startswith("# invoices: ")
    assert "2 failed on the concurrent path and were taken over by legacy" in said
    order = ["start, now split", "first of 2 jobs that failed", "kill, now", "rearm, now"]
    assert [said.index(one) for one in order] == sorted(said.index(one) for one in order)
    assert "| ana | kill, now split 3.1 % killed: too many errors" in said
    assert "ValueError: no \\| address" in said
    page = house.run("report", "invoices", "--html", "--out", "reports/night.html")
    assert "reports/night.html" in page.stdout
    text = Path("reports/night.html").read_text()
    assert "ValueError: &lt;none&gt;" in text
    assert "too many errors" in text
    quiet = house.run("report", "invoices", "--since", "0s").stdout
    assert "0 jobs came" in quiet


def test_a_report_counts_the_jobs_of_each_build(house: House) -> None:
    """Those that came while it was the newest of its path, and how many of them went well."""
    for build, jobs in (("41", 1), ("42", 2)):
        with house.services() as runtime:
            runtime.ledger.announce("invoices", JobPath.CONCURRENT, build)
        for _ in range(jobs):
            house.commit(house.submit())
    fall_back(house, "ValueError: no address")
    said = house.run("report", "invoices", "--since", "10min").stdout
    line = r"While concurrent {}, the newest since .* UTC: {} jobs, {} committed without trouble"
    assert re.search(line.format(41, 1, 1), said)
    assert re.search(line.format(42, 3, 2), said)


def test_several_failures_are_retried_after_a_look(house: House) -> None:
    """Named by the beginnings of their ids, or all of a sub-pipeline; shown before they go."""
    for number in range(3):
        house.fail(house.submit(), f"ValueError: {number}")
    one, two, three = house.ids
    shown = house.run("retry", "--failed", "invoices").stdout
    assert "3 jobs would be sent again, to legacy; --yes sends them" in shown
    assert all(f"  {job_id}  " in shown for job_id in house.ids)
    assert house.json("job", one)["state"] == "failed"
    assert house.json("job", one[:5])["job_id"] == one
    done = house.run("retry", one[:5], "job-nobody")
    assert done.exit_code == 3
    assert f"job {one}: accepted again" in done.stdout
    assert "no job with id 'job-nobody'" in done.stderr
    sent = house.json("retry", "--failed", "invoices", "--since", "1h", "--yes")["retried"]
    assert {row["job_id"] for row in sent} == {two, three}
    assert house.run("retry", "--failed", "invoices", one).exit_code == 2
    assert house.run("retry", one).exit_code == 1


def test_a_star_is_no_name(house: House) -> None:
    """The row of `kill --all` is no sub-pipeline that can be looked at."""
    house.run("kill", "--all", "--reason", "x")
    for command in ("history", "why", "job", "shadow-report"):
        assert house.run(command, "*").exit_code == 1, command


def test_a_decision_that_is_pending_is_said_once(house: House) -> None:
    """The sentence, who does it, and what regresses first; nobody promises for a dead leader."""
    house.run("start", "invoices")
    house.tick()
    hurt(house)
    said = flat(house.run("why", "invoices").stdout)
    sentence = house.json("why", "invoices")["pending"]["sentence"]
    assert said.count(f"REVERT: {sentence}") == 1
    assert "next the controller's next tick does it, as soon as a controller leads" in said
    shown = [line.split()[:2] for line in house.run("why", "invoices").stdout.splitlines()]
    verdicts = [words[1] for words in shown if words[1:2] and words[1] in VERDICTS]
    assert verdicts == sorted(verdicts, key=VERDICTS.index)
    assert verdicts[0] == "regress"


def test_a_confirmed_revert_is_over_when_a_person_starts_again(house: House) -> None:
    """What routing did since the last revert says nothing about the next trial."""
    house.run("start", "invoices")
    house.tick()
    hurt(house)
    house.tick()
    assert house.json("status")["sub_pipelines"][0]["stage"] == "legacy"
    assert house.json("why", "invoices")["revert_confirmation"] is not None
    house.run("start", "invoices", "--reason", "mended")
    assert house.json("why", "invoices")["revert_confirmation"] is None


def test_sentences_end_and_do_not_contradict_themselves(house: House) -> None:
    """Nothing ends in an empty list, a way back that is not ready carries nothing, now is now."""
    for begin in ((), ("start", "invoices"), ("revert", "invoices", "--reason", "x")):
        if begin:
            house.run(*begin)
            house.tick()
        for command in ("status", "why invoices"):
            said = flat(house.run(*command.split()).stdout)
            assert not re.search(r"more than time:\s*(?:$|[;.]|as soon)", said), said
            assert not re.search(r"NOT READY: [^.]*could carry", said), said
            assert "not before now" not in said


def test_a_new_build_is_a_line_everywhere(house: House) -> None:
    """History, status, why and the report say which build runs, since when, and after which."""
    house.run("start", "invoices")
    said = flat(house.run("status").stdout)
    assert "builds not named; `version=` in the declaration" in said
    with house.services() as runtime:
        for build in ("41", "42"):
            runtime.ledger.announce("invoices", JobPath.CONCURRENT, build)
            runtime.clock.sleep(0.002)
    house.tick()
    for command in ("status", "why invoices"):
        said = flat(house.run(*command.split()).stdout)
        assert re.search(
            r"concurrent 42 since [0-9: -]+ UTC, before it 41 \(a worker of 41 was heard of at "
            r"[0-9: -]+ UTC\); legacy not named",
            said,
        ), command
    (values,) = house.json("status")["sub_pipelines"]
    assert values["builds"] == {"legacy": None, "concurrent": "42"}
    assert values["releases"]["concurrent"]["before"] == "41"
    said = flat(house.run("history", "invoices").stdout)
    assert "build, by workers concurrent runs 42, before it 41" in said
    assert "build, by workers concurrent runs 41, the first that has a name" in said
    assert [one["build"] for one in house.json("history", "invoices")["builds"]] == ["42", "41"]
    said = flat(house.run("report", "invoices").stdout)
    assert "concurrent runs 42, before it 41" in said


def test_seconds_of_traffic_size_nothing(house: House) -> None:
    """A week is not told from forty seconds: it says so, and what to give instead."""
    house.commit(house.submit())
    said = flat(house.run("policy", "check").stdout)
    assert "of traffic are too early to size" in said
    assert "jobs a week" not in said
