"""Every error's text is built from its object and says what came and what to do."""

import inspect

import pytest

from rollout import errors
from rollout.errors import WHY_MAX, RolloutError, why_of
from rollout.routing.stages import ControlState, Event, apply

GONE = ConnectionError("refused")
TEXTS: list[tuple[RolloutError, str]] = [
    (
        errors.CannotWrite("out/audit.html", PermissionError(13, "Permission denied", "out")),
        "out/audit.html cannot be written: permission denied; name a file that may be written",
    ),
    (
        errors.UnknownRunbook("worker", ["a-worker-hangs", "worker-lost"]),
        "expected the name of one runbook, or a part that no other has; got 'worker'; "
        "one of a-worker-hangs, worker-lost",
    ),
    (
        errors.UnknownTask("invoice", ["shop.mail", "invoices"]),
        "no sub-pipeline named 'invoice', did you mean 'invoices'?; "
        "the app has invoices, shop.mail",
    ),
    (
        errors.UnknownTask("invoices", []),
        "no sub-pipeline named 'invoices'; the app has no task of its own",
    ),
    (
        errors.BrokerRefuses("queue 'bills.legacy' was declared otherwise", "name it as it is"),
        "queue 'bills.legacy' was declared otherwise; name it as it is",
    ),
    (
        errors.LedgerSlow("sqlite:///ledger.db"),
        "the ledger at sqlite:///ledger.db takes longer for this than somebody who looks would "
        "wait; ask for less (one sub-pipeline, a shorter time); `rollout doctor` says what is slow",
    ),
    (
        errors.ExtraMissing("numpy"),
        "this needs the module 'numpy', which is not installed; "
        "pip install 'celery-rollout[rehearsal]'",
    ),
    (
        errors.ProcessNotReady("legacy", "died while it started", "Boom"),
        "the process 'legacy' died while it started; its log ends:\nBoom; "
        "correct what its log says",
    ),
    (
        errors.ScopeOutOfRange(12_000),
        "scope_bp must be 0..10000, got 12000; use 10000 for every job",
    ),
    (
        errors.ScopeOutOfRange(9_600, 9_500),
        "scope_bp must be 0..9500, got 9600; the holdback keeps 500 on legacy, use 9500",
    ),
    (
        errors.UnknownSubPipeline("invoice", ["invoices", "bills"]),
        "no sub-pipeline named 'invoice', did you mean 'invoices'?; `rollout status` lists all",
    ),
    (
        errors.UnknownSubPipeline("zebra", ["invoices"]),
        "no sub-pipeline named 'zebra'; `rollout status` lists all",
    ),
    (
        errors.UnknownSubPipeline("zebra", []),
        "no sub-pipeline named 'zebra'; this ledger knows none yet: a worker that starts declares "
        "its own, and so does the first job",
    ),
    (
        errors.LedgerUnreachable("postgresql://h", OSError("refused\n\tIs the server running?\n")),
        "the ledger at postgresql://h did not answer: refused Is the server running?; start the "
        "database or correct ROLLOUT_LEDGER_URL",
    ),
    (
        errors.UnknownJob("j1"),
        "no job with id 'j1' in this ledger; ids are the ids of the AsyncResult; "
        "`rollout jobs --failed` lists the kept ones",
    ),
    (
        errors.UnreadableDecision(7, KeyError("policy")),
        "decision 7 must hold inputs and answer as this release stores them, got: KeyError: "
        "'policy'; `rollout decision 7` shows what is stored; replay it with the release that made "
        "it",
    ),
    (
        errors.MalformedCopy(KeyError("job_id")),
        "a shadow copy must carry a job id, a path, seconds and a result, got: 'job_id'; let "
        "nothing but rollout's legacy workers of the same release publish to it",
    ),
    (
        errors.NotShadowable("invoices", "unsafe"),
        "paths of 'invoices' may not run beside the real job: its effects are 'unsafe'; "
        'only effects "none" and "commit" allow it; touch the world in a commit hook',
    ),
    (
        errors.UnknownDecision(7),
        "no decision 7 in this ledger; `rollout history NAME` lists decisions",
    ),
    (
        errors.LeaseLost(3),
        "leadership 3 has ended; another controller leads; this one stands by",
    ),
    (
        errors.StaleRevision("invoices", 41, 40),
        "'invoices' is at revision 41, this change was made on 40; read it again and retry",
    ),
    (
        errors.IllegalTransition("invoices", "double", "while killed", "rearm 'invoices' first"),
        "cannot 'double' 'invoices' while killed; rearm 'invoices' first",
    ),
    (
        errors.ReasonMissing("kill"),
        "'kill' needs a reason, got none; say why in a sentence: --reason '...'",
    ),
    (errors.DeclarationError("a", "b"), "a; b"),
    (
        errors.KeyMissing("invoices", "customer_id", ["month"]),
        "'invoices' routes by argument 'customer_id', got arguments ['month']; pass 'customer_id',"
        " or declare SubPipeline(key=None) to route each job by its id",
    ),
    (
        errors.KeyUnusable("invoices", 1.5),
        "the routing key of 'invoices' must be a str, int or UUID, got float 1.5; "
        "use key=function to build one text from the arguments",
    ),
    (
        errors.ArgumentsUnusable("invoices", "the arguments", TypeError("no")),
        "the arguments of 'invoices' must be carried by JSON, got: no; pass ids, texts, numbers,"
        " lists and dicts; load large objects inside the path",
    ),
    (
        errors.PayloadTooLarge("invoices", 11, 10),
        "a job of 'invoices' may carry 10 bytes, got 11; pass a reference to the data,"
        " or raise ROLLOUT_PAYLOAD_BYTES_MAX",
    ),
    (
        errors.ControlStoreUnreachable("redis://h", GONE),
        "the control store at redis://h did not answer: refused; start it or correct "
        "ROLLOUT_CONTROL_URL; jobs run on legacy meanwhile",
    ),
    (
        errors.LedgerUnreachable("sqlite:///l", GONE),
        "the ledger at sqlite:///l did not answer: refused; start the database or correct "
        "ROLLOUT_LEDGER_URL",
    ),
    (
        errors.LedgerNotFound("sqlite:///l"),
        "the ledger at sqlite:///l must be a file, there is none; was it moved, or is this another "
        "folder? Go where it is, or name it in ROLLOUT_LEDGER_URL; only for a new and empty one "
        "run `rollout migrate`",
    ),
    (
        errors.NotPermitted("redis://x", "INFO"),
        "the user of the control store at redis://x may not run INFO; grant it: "
        "ACL SETUSER ... +info",
    ),
    (
        errors.LedgerBusy("sqlite:///x", GONE, ["session 7 (psql)"]),
        "the ledger at sqlite:///x answers, but somebody holds what is needed: session 7 (psql); "
        "end that transaction (PostgreSQL: `SELECT pg_terminate_backend(PID)`), then repeat",
    ),
    (
        errors.LedgerRefuses("sqlite:///x", GONE, "its disk is full", "make room"),
        "the ledger at sqlite:///x answers, but its disk is full: refused; make room",
    ),
    (
        errors.LedgerMisaddressed("postgresql:///x", GONE),
        "the ledger's URL postgresql:///x cannot be used: refused; correct its options in "
        "ROLLOUT_LEDGER_URL",
    ),
    (
        errors.LedgerFault("sqlite:///x", GONE),
        "the ledger at sqlite:///x answers, but did not take a statement of rollout's: refused; "
        "look whether something between changes statements or sessions (`rollout doctor`), and "
        "whether this release's `rollout migrate` has run",
    ),
    (
        errors.LedgerNotMigrated("sqlite:///l", None, "head"),
        "the ledger at sqlite:///l must be at migration head, found no tables; "
        "run `rollout migrate`",
    ),
    (
        errors.BrokerUnreachable("amqp://h", GONE),
        "the broker at amqp://h did not answer: refused; start it or correct "
        "ROLLOUT_BROKER_URL; the controller sends the jobs again",
    ),
    (
        errors.NoConnection("in a path"),
        "job.connection is open only inside the commit hook on a database ledger, not in a path; "
        "return the values from the path and write them in the function under @commit",
    ),
    (
        errors.AlreadyFinished("invoices", "j1"),
        "job j1 of 'invoices' has its outcome already, nothing was submitted; submit under a new "
        "id to run it again; `rollout job j1` shows the outcome, `rollout retry j1` runs a kept "
        "failure again",
    ),
    (
        errors.CommitHookError("commit() was called", "write, and return"),
        "a commit hook must leave the ledger's transaction open: commit() was called; "
        "write, and return",
    ),
    (
        errors.JobFailed("j1", "boom"),
        "job j1 has failed and is kept: boom; `rollout job j1` shows its way, "
        "`rollout retry j1` runs it again",
    ),
    (
        errors.StaleAttempt("j1", 2),
        "attempt 2 of job j1 no longer holds it; there is nothing to do: the newer attempt brings "
        "the job to its end",
    ),
    (errors.WrongSettings("a", "b"), "a; b"),
    (
        errors.KeyTooLong("invoices", 2001, 2000),
        "a routing key of 'invoices', whose jobs keep the order of their key, must "
        "have 2000 bytes at most, got 2001; use key=function to build a short text, a hash of the "
        "long one for instance",
    ),
    (
        errors.JobIdUnusable("invoices", "x" * 192, 191),
        "the id of a job of 'invoices' must be text of 1..191 characters without NUL, got 192 "
        f"characters, '{'x' * 79}; give a shorter task_id, or none: Celery draws one",
    ),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda value: type(value).__name__)
def test_an_error_says_what_came_and_what_to_do(error: RolloutError, text: str) -> None:
    """The whole text is the problem, a semicolon and the hint."""
    assert str(error) == text == f"{error.problem}; {error.hint}"


@pytest.mark.parametrize("error", [error for error, _ in TEXTS], ids=lambda e: type(e).__name__)
def test_an_error_survives_being_carried(error: RolloutError) -> None:
    """Celery rebuilds an error from its class and arguments on the caller's side."""
    assert str(type(error)(*error.args)) == str(error)


def test_no_error_class_is_left_out() -> None:
    """A new class brings its text here."""
    classes = {
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, RolloutError) and value is not RolloutError
    }
    assert {type(error) for error, _ in TEXTS} == classes


def test_a_refused_event_is_named_by_its_word() -> None:
    """The stage table passes members of an enum; the reader sees the word they type."""
    killed = ControlState("invoices", killed=True)
    with pytest.raises(errors.IllegalTransition) as caught:
        apply(killed, Event.START)
    assert str(caught.value) == "cannot 'start' 'invoices' while killed; rearm 'invoices' first"
    assert str(errors.ReasonMissing(Event.KILL)).startswith("'kill' needs a reason")


def test_what_a_server_says_is_cut_to_a_few_lines() -> None:
    """Redis in protected mode answers with a page; its first sentences tell what is wrong."""
    page = "DENIED Running in protected mode because\nno password is set. " + "In this mode " * 99
    why = why_of(ConnectionError(page))
    assert why.startswith("DENIED Running in protected mode because no password is set. In this")
    assert why.endswith(" ...")
    assert len(why) <= WHY_MAX
    assert why_of(ConnectionError("x" * WHY_MAX)) == "x" * WHY_MAX
