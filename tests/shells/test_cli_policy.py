"""`policy check` and `policy show`, through the front door."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollout.routing.decision import JobPath, Reason
from tests.builders import filing
from tests.shells.conftest import House


def write(text: str) -> None:
    """Write rollout.toml of the house."""
    Path("rollout.toml").write_text(text, encoding="utf-8")


def flat(text: str) -> str:
    """Output without the breaks that fit it to a terminal."""
    return " ".join(text.split())


def test_nothing_to_find(house: House) -> None:
    """Defaults are fine, and a script sees it in the exit code."""
    result = house.run("policy", "check")
    assert result.exit_code == 0
    assert result.stdout.endswith("\nnothing found\n")
    assert house.json("policy", "check") == {
        "ok": True, "findings": [], "traffic": {}, "too_early": {}, "ledger": None
    }  # fmt: skip


def test_an_error_ends_with_5(house: House) -> None:
    """What can never pass is an error; a warning alone is none."""
    write("[policy]\nbake_days = 0\nautomatic = false\n")
    result = house.run("policy", "check")
    assert result.exit_code == 5
    assert "bake_days is 0: a step may end before its first job has" in flat(result.stdout)
    assert "to do: use at least 1, and 7 outside of rehearsals" in flat(result.stdout)
    assert result.stdout.endswith("1 error, 1 piece of advice\n")
    write("[policy]\ndrills_min = 0\n")
    warned = house.run("policy", "check")
    assert warned.exit_code == 0
    assert "RECOVERY IS NOT JUDGED" in warned.stdout
    assert warned.stdout.endswith("1 warning\n")


def test_findings_as_json(house: House) -> None:
    """Scripts read level, rule, whom it is about, sentence and what to do."""
    write("[policy.sub_pipeline.invoices]\nbake_days = 0\n")
    result = house.run("policy", "check", "--json")
    assert result.exit_code == 5
    values = house.json("policy", "check")
    assert values["ok"] is False
    (finding,) = values["findings"]
    assert finding == {
        "level": "error",
        "rule": "no_bake",
        "sub_pipeline": "invoices",
        "sentence": "bake_days is 0: a step may end before its first job has.",
        "todo": "use at least 1, and 7 outside of rehearsals",
    }


def test_every_wrong_line_of_the_file(house: House) -> None:
    """A typo, a zone that does not exist and a wrong type are all listed, with what to do."""
    write('[policy]\nbake_day = 7\nzone = "Europe/Berln"\njobs_min = "4"\n')
    result = house.run("policy", "check")
    assert result.exit_code == 5
    said = flat(result.stdout)
    assert "[policy] has no key 'bake_day', did you mean 'bake_days'?" in said
    assert "no time zone 'Europe/Berln', did you mean 'Europe/Berlin'?" in said
    assert "jobs_min must be a valid integer, got '4'" in said
    assert result.stdout.endswith("3 errors\n")
    assert {one["rule"] for one in house.json("policy", "check")["findings"]} == {"wrong_line"}
    shown = house.run("policy", "show", "invoices")
    assert shown.exit_code == 1
    assert shown.stderr.startswith("error: rollout.toml [policy] ")
    assert "hint: " in shown.stderr


def test_the_ledgers_traffic_sizes_the_steps(house: House) -> None:
    """Four failed jobs are a traffic that proves nothing; the numbers are shown."""
    with house.services() as runtime:
        now = datetime.now(UTC) - timedelta(minutes=20)
        for number in range(4):
            job_id = f"{house.folder.name}-{number}"
            runtime.ledger.file([filing(job_id, JobPath.LEGACY, at=now)])
            runtime.ledger.fail("invoices", job_id, None, Reason.FAILED, "ValueError: no", now)
    result = house.run("policy", "check")
    assert result.exit_code == 5
    assert "invoices: 672 jobs a week, 100.00% of legacy's fail" in result.stdout
    assert "672 jobs a week prove no step at all" in flat(result.stdout)
    assert house.json("policy", "check")["traffic"] == {
        "invoices": {"jobs_per_week": 672.0, "error_rate": 1.0}
    }


def test_stated_traffic(house: House) -> None:
    """A pilot that is planned is sized by its numbers, for all three events."""
    options = ("--jobs-per-week", "3", "--error-rate", "0.005")
    result = house.run("policy", "check", "invoices", *options)
    assert result.exit_code == 5
    said = flat(result.stdout)
    assert "3 jobs a week prove no step at all for a budget of 12 extra failed and 12 extra" in said
    assert "state a larger budget_failed or budget_late" in said
    assert (
        house.run("policy", "check", "--jobs-per-week", "2e7", "--error-rate", "0.005").exit_code
        == 0
    )


@pytest.mark.parametrize(
    "options", [("--jobs-per-week", "-1"), ("--error-rate", "1.5"), ("--error-rate", "often")]
)
def test_stated_traffic_that_cannot_be(house: House, options: tuple[str, str]) -> None:
    """Refused as a wrong option."""
    assert house.run("policy", "check", *options).exit_code == 2


def test_a_check_needs_no_ledger(house: House) -> None:
    """Away, it is said; with the whole traffic stated only where a name hangs on it."""
    house.lose_ledger()
    result = house.run("policy", "check")
    assert result.exit_code == 0
    assert "warning: traffic and declarations are not known: the ledger at" in result.stderr
    options = ("--jobs-per-week", "2e7", "--error-rate", "0.005")
    stated = house.run("policy", "check", *options)
    assert (stated.exit_code, stated.stderr) == (0, "")
    assert house.json("policy", "check")["ledger"].startswith("the ledger at")
    write("[policy.sub_pipeline.invocies]\nbake_days = 14\n")
    named = house.run("policy", "check", *options)
    assert named.exit_code == 0
    assert "warning: whether there are sub-pipelines named invocies, and their" in named.stderr


def test_a_wrong_line_of_a_resource_is_a_wrong_line(house: House) -> None:
    """Workers would not start with it; who checks the file hears of it."""
    write("[resource.db]\ncapcity = 4\n")
    result = house.run("policy", "check")
    assert result.exit_code == 5
    assert "[resource.db] has no key 'capcity', did you mean 'capacity'?" in flat(result.stdout)


def test_stated_traffic_hides_no_misspelt_name(house: House) -> None:
    """The ledger is asked for names though nobody needs it for traffic; a rate is not made up."""
    write("[policy.sub_pipeline.invocies]\nbake_days = 14\n")
    options = ("--jobs-per-week", "7000", "--error-rate", "0.005")
    whole = flat(house.run("policy", "check", *options).stdout)
    assert "no sub-pipeline named 'invocies', did you mean 'invoices'?" in whole
    for stated in (options, options[:2]):
        one = flat(house.run("policy", "check", "invoices", *stated).stdout)
        assert "No table of rollout.toml is for 'invoices', and one is for 'invocies'" in one
    assert "how many of legacy's fail is not known, sized as if none did" in one


def test_an_unknown_name(house: House) -> None:
    """Refused with a guess, as everywhere; a name of the file is known before its first job."""
    for command in ("check", "show"):
        result = house.run("policy", command, "invoice")
        assert result.exit_code == 1
        assert "no sub-pipeline named 'invoice', did you mean 'invoices'?" in result.stderr
    write("[policy.sub_pipeline.orders]\nbake_days = 14\n")
    shown = house.run("policy", "show", "orders")
    assert shown.exit_code == 0
    assert "5 %, unless the code declares another" in shown.stdout


def test_show_says_where_each_value_comes_from(house: House) -> None:
    """The table of the sub-pipeline, of all, or the default."""
    write(
        '[policy]\nbake_days = 14\nzone = "Europe/Berlin"\n'
        "[policy.sub_pipeline.invoices]\nladder_bp = [400, 1600]\n"
        '[fleet]\nsplits_max = 2\n[cohort.small]\nmembers = ["invoices"]\n'
    )
    result = house.run("policy", "show", "invoices")
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert lines["bake_days"] == ["bake_days", "[policy]", "14"]
    assert lines["drills_min"] == ["drills_min", "default", "6"]
    assert lines["ladder_bp"] == [
        "ladder_bp", "[policy.sub_pipeline.invoices]", "400,", "1600"
    ]  # fmt: skip
    said = flat(result.stdout)
    assert "steps 4 %, 16 % holdback 5 %, as declared" in said
    assert "cohort small: invoices; doubles every 7 days" in said
    assert "fleet: at most 2 in a pilot at once" in said


def test_show_as_json(house: House) -> None:
    """Values, their sources, the steps really taken and the calendar."""
    write(
        "[policy]\nscope_bp_max = 300\n[[policy.freezes]]\nbegin = 2020-01-01T00:00:00\n"
        'end = 2999-01-01T00:00:00\nwhy = "for ever"\n'
    )
    values = house.json("policy", "show", "invoices")
    assert values["values"]["scope_bp_max"] == 300
    assert values["sources"]["scope_bp_max"] == "[policy]"
    assert values["sources"]["bake_days"] == "default"
    assert (values["steps_bp"], values["holdback_bp"]) == ([300], 500)
    assert values["held_by_calendar"] == "frozen until 2999-01-01 00:00 UTC: for ever"
    assert values["next_free_at"] is None
    assert "next free not in 400 days" in flat(house.run("policy", "show", "invoices").stdout)
    assert house.json("policy", "show")["sub_pipeline"] is None


def test_doctor_looks_at_the_policies(house: House) -> None:
    """A file that cannot be read is a finding; one that can says whom it is about."""
    house.setenv("ROLLOUT_SUPERVISION_S", "60")  # the leader outlives slow commands
    house.tick()

    def policies() -> tuple[str, str]:
        findings = {one["what"]: one for one in house.json("doctor")["findings"]}
        return findings["policies"]["level"], findings["policies"]["found"]

    assert policies() == ("ok", "defaults; `rollout policy show` lists them")
    write("[policy.sub_pipeline.invoices]\nbake_days = 14\n")
    assert policies()[0] == "note"  # the controller has not read it yet
    house.tick()
    level, found = policies()
    assert level == "ok"
    assert "invoices with one of their own" in found
    write("[policy]\nbake_day = 14\n")
    level, found = policies()
    assert level == "missing"
    assert "did you mean 'bake_days'" in found


def test_lines_of_the_last_release_are_named(house: House) -> None:
    """They are read, they mean nothing, and each is said with what is so instead."""
    write("[policy]\nlooks_max = 4\nalpha_promote = 0.05\n")
    result = house.run("policy", "check")
    assert result.exit_code == 0
    assert "[policy] looks_max has no effect any more: a step has 15 looks" in flat(result.stderr)
    assert "alpha_promote has no effect any more" in flat(result.stderr)


def test_a_plan_needs_no_ledger_when_all_is_stated(house: House) -> None:
    """The way, the budget, each step; as JSON, too."""
    house.lose_ledger()
    options = ("invoices", "--jobs-per-day", "1000", "--failing", "0.005", "--effects", "none")
    result = house.run("plan", *options)
    assert result.exit_code == 0
    said = flat(result.stdout)
    assert "this pilot may add 30 failed and 91 late jobs a week at the most" in said
    assert "shadow 1 bake, then 12.5 % -> 25 % -> 50 % -> 90 %" in said
    found = house.json("plan", *options)
    assert [one["scope_bp"] for one in found["plan"]["steps"]] == [1250, 2500, 5000, 9000]
    unknown = house.run("plan", "invoices")
    assert unknown.exit_code != 0
