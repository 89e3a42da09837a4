"""Single jobs, kept failures and kept messages, through the front door."""

from datetime import UTC, datetime

from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import filing
from tests.shells.conftest import House


def test_one_jobs_way(house: House) -> None:
    """Each step has its time since submission, its path, its reason and its worker."""
    job_id = house.submit()
    house.begin(job_id)
    house.fail(job_id, "ValueError: no \x1b[31maddress")
    shown = house.run("job", job_id)
    assert shown.exit_code == 0
    assert f"job {job_id} of invoices: failed on concurrent" in shown.stdout
    assert "UTC           ms" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert any(line[2:5] == ["accepted", "concurrent", "in_scope"] for line in lines)
    assert any(line[2:] == ["started", "concurrent", "worker-1"] for line in lines)
    assert "error: ValueError: no" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_job_as_json(house: House) -> None:
    """Scripts read the record and the way, never the message with its arguments."""
    job_id = house.submit()
    house.begin(job_id)
    values = house.json("job", job_id)
    assert (values["job_id"], values["state"]) == (job_id, "started")
    assert values["worker"] == "worker-1"
    assert [step["what"] for step in values["way"]] == ["accepted", "started"]
    assert "envelope" not in values


def test_unknown_job(house: House) -> None:
    """An id that the ledger does not hold is refused."""
    for command in ("job", "retry"):
        result = house.run(command, "nope")
        assert result.exit_code == 1
        assert "no job with id 'nope'" in result.stderr


def test_kept_failures(house: House) -> None:
    """The kept failures are listed with their whole ids, of one sub-pipeline or of all."""
    house.declare("letters")
    first, second = house.submit(), house.submit("letters")
    house.fail(first, "Traceback\nValueError: first")
    house.fail(second, "ValueError: second")
    everything = house.run("jobs", "--failed").stdout
    assert f"  {first}  " in everything
    assert "1 of invoices: ValueError: first" in everything
    assert "ValueError: first" in everything
    assert "`rollout retry ID`" in everything
    (only,) = house.json("jobs", "letters", "--failed")["jobs"]
    assert (only["job_id"], only["error"]) == (second, "ValueError: second")
    assert (
        "only the newest 1 are shown, there are more"
        in house.run("jobs", "--failed", "--limit", "1").stdout
    )


def test_no_kept_failure(house: House) -> None:
    """An empty list is said in words."""
    assert "no failed job is kept" in house.run("jobs", "--failed").stdout
    assert house.json("jobs", "--failed") == {"jobs": []}


def test_failures_of_an_unknown_name(house: House) -> None:
    """A misspelt name is not an empty list."""
    result = house.run("jobs", "invoice", "--failed")
    assert result.exit_code == 1
    assert "did you mean 'invoices'" in result.stderr


def test_jobs_needs_to_know_which(house: House) -> None:
    """`jobs` alone does not guess."""
    assert house.run("jobs").exit_code == 2


def test_retry(house: House) -> None:
    """A kept failure goes to legacy again and no longer counts as kept."""
    job_id = house.submit()
    house.fail(job_id)
    assert house.json("status")["sub_pipelines"][0]["failed_kept"] == 1
    result = house.run("retry", job_id)
    assert result.exit_code == 0
    assert "accepted again, on legacy" in result.stdout
    values = house.json("job", job_id)
    assert (values["state"], values["path"]) == ("accepted", "legacy")
    house.tick()
    assert house.json("status")["sub_pipelines"][0]["failed_kept"] == 0
    again = house.run("retry", job_id)
    assert again.exit_code == 1
    assert "only a failed job can be retried" in again.stderr


def test_retry_without_the_broker(house: House) -> None:
    """The ledger holds the retry; the message follows, and the exit code says so."""
    job_id = house.submit()
    house.fail(job_id)
    house.lose_broker()
    result = house.run("retry", job_id)
    assert result.exit_code == 3
    assert "its message is not sent yet" in result.stderr


def test_retry_of_a_job_without_a_message(house: House) -> None:
    """A job that ran in process has no message to send: reopening it would lose it."""
    job_id = house.submit(sendable=False)
    house.fail(job_id)
    result = house.run("retry", job_id)
    assert result.exit_code == 1
    assert "no message of it is kept" in result.stderr
    assert house.json("job", job_id)["state"] == "failed"


def test_kept_messages(house: House) -> None:
    """Refused messages are shown with the reason."""
    assert "no refused message" in house.run("messages").stdout
    with house.services() as runtime:
        now = datetime.now(UTC)
        runtime.ledger.keep_message("invoices.legacy", "not JSON", "{}", "\x00\x1b[2J", now)
    shown = house.run("messages").stdout
    assert "invoices.legacy" in shown
    assert "not JSON" in shown
    assert "\x1b" not in shown
    (message,) = house.json("messages")["messages"]
    assert (message["headers"], message["body"]) == ("(masked)", "(masked)")
    (message,) = house.json("messages", "--reveal")["messages"]
    assert message["body"] == "\\x00\x1b[2J"  # as every database can keep it


def test_prune_deletes_old_successes_only(house: House) -> None:
    """Whatever has no outcome, or failed, is kept; so is what the controller has not counted."""
    done, failed, waiting = house.submit(), house.submit(), house.submit()
    house.commit(done)
    house.fail(failed, "ValueError: x")
    assert house.json("prune", "--days", "0")["pruned"] == 0
    with house.services() as runtime:
        runtime.ledger.fold(100)
    assert "0 committed jobs deleted" in house.run("prune").stdout  # keep_days
    assert "1 committed jobs deleted" in house.run("prune", "--days", "0").stdout
    assert house.run("job", done).exit_code == 1
    assert house.json("job", failed)["state"] == "failed"
    assert house.json("job", waiting)["state"] == "accepted"


ENVELOPE = '{"headers": {}, "body": [[], {}, {}], "properties": {}}'


def test_one_id_in_two_sub_pipelines(house: House) -> None:
    """`job` shows both, `retry` asks which where both have failed."""
    with house.services() as runtime:
        runtime.ledger.ensure("letters", Effects.NONE, 0, datetime.now(UTC))
        for name in ("invoices", "letters"):
            made = filing("same", JobPath.LEGACY, name=name, envelope=ENVELOPE)
            runtime.ledger.file([made])
            runtime.ledger.fail(name, "same", None, None, "ValueError: x", datetime.now(UTC))
    shown = house.run("job", "same").stdout
    assert "job same of invoices" in shown
    assert "job same of letters" in shown
    assert [job["name"] for job in house.json("job", "same")["jobs"]] == ["invoices", "letters"]
    refused = house.run("retry", "same")
    assert refused.exit_code != 0
    assert "--name" in refused.stderr
    house.run("retry", "same", "--name", "letters")
    with house.services() as runtime:
        states = [str(job.state) for job in runtime.ledger.jobs_of("same")]
    assert states == ["failed", "accepted"]
