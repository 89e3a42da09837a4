"""Shadow copies: which legacy jobs get one, what it carries, and how a shadow can end."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any

from rollout.errors import MalformedCopy
from rollout.routing.decision import JobPath
from rollout.routing.rule import Reading, position, threshold
from rollout.routing.stages import BP_ALL, Stage
from rollout.shadow.canonical import Digest


class Shed(StrEnum):
    """Why a legacy job of the sample got no copy, or its copy did not run."""

    RATE = "rate"
    """The rate limit was reached."""
    BUDGET = "budget"
    """The day's budget was spent."""
    BACKLOG = "backlog"
    """The shadow queue was too long."""
    STORE = "store"
    """The control store did not answer, so nobody counted the rate and the budget."""
    BROKER = "broker"
    """The broker did not take the copy."""
    PAUSED = "paused"
    """Server or queue failed a moment ago; no copy is tried for a while."""
    NEAR_LIMIT = "near_limit"
    """The job's own time limit was near, and publishing counts against it."""
    CLOSED = "closed"
    """The shadow was no longer wanted when its copy was delivered: killed, reverted, in doubt, or
    another build of legacy is there than gave the result."""
    EFFECTS = "effects"
    """The effects declared now do not allow shadows."""
    DEFECT = "defect"
    """Publishing failed in a way that nobody foresaw; the log has the error."""


class Trouble(StrEnum):
    """How a shadow can fail; counted, and nothing else comes of it."""

    RAISED = "raised"
    """The path raised where legacy had returned."""
    MEMORY = "memory"
    """The path ran out of the memory a shadow may take."""
    TIME_LIMIT = "time_limit"
    """The path ran past the shadow's time limit and its process was killed."""
    WORKER_LOST = "worker_lost"
    """The process of the shadow died."""
    LOST = "lost"
    """The shadow began and was never heard of again: its whole worker died."""
    UNSERIALISABLE = "unserialisable"
    """JSON cannot carry a result, so it cannot be compared."""
    TOO_LARGE = "too_large"
    """A result is larger than even a digest may be made of, or too large for a compare function."""
    TOO_DEEP = "too_deep"
    """A result nests too deep to be compared."""
    COMPARE_RAISED = "compare_raised"
    """The compare function raised."""
    KILLED = "killed"
    """A kill came while the path ran, and the path stopped."""
    NO_INPUT = "no_input"
    """The ledger no longer holds the job's input."""
    MALFORMED = "malformed"
    """The copy cannot be read: somebody else's message, or another release's."""


BY_THE_PATH = frozenset({Trouble.RAISED, Trouble.MEMORY, Trouble.TIME_LIMIT, Trouble.WORKER_LOST})
"""Troubles that the path itself made: an output that legacy did not have."""


def share_bp(reading: Reading, shadow_bp: int, split_bp: int) -> int:
    """Share of legacy jobs to copy now, in basis points; 0 when in doubt, killed or unsupervised.

    A shadow starts work on the concurrent path, so whatever stops starts there stops it, too.
    """
    state = reading.state
    if state is None or reading.is_killed:
        return 0
    if not reading.supervised:
        return 0
    match state.stage:
        case Stage.SHADOW:
            return min(shadow_bp, BP_ALL)
        case Stage.SPLIT:
            return min(split_bp, BP_ALL)
        case _:
            return 0


def in_sample(purpose: str, job_id: str, share: int) -> bool:
    """Whether a job is among `share` basis points of all; the same job always is."""
    return position(f"shadow {purpose}", job_id) < threshold(share)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A legacy result that cannot be compared, with the trouble and why."""

    trouble: Trouble
    why: str


Carried = str | Digest | Unusable
"""Legacy's result in a copy: JSON text, a digest when large, or why it is neither."""


LIMIT_FACTOR = 3.0
"""A shadow may take so many times as long as legacy took for the same input."""


def limit_of(legacy_s: float, limit_s: float) -> float:
    """Seconds that a shadow may run: what is set, or more where legacy's own job took long.

    One limit for all killed every shadow of a long job and booked it as the path's fault.
    """
    return max(limit_s, LIMIT_FACTOR * legacy_s)


@dataclass(frozen=True, slots=True)
class ShadowCopy:
    """What the message of a shadow carries; its input is read from the ledger.

    Attributes:
        job_id: The legacy job.
        path: The path to run; legacy for an old-against-old run.
        legacy_s: Seconds that legacy's path took.
        result: What legacy's path returned.
        shed: Copies this worker did not send since its last one, by reason.
        build: Legacy's build that gave the result; None where it is not named.
    """

    job_id: str
    path: JobPath
    legacy_s: float
    result: Carried
    shed: Mapping[str, int] = field(default_factory=dict)
    build: str | None = None

    def to_values(self) -> dict[str, Any]:
        """Plain JSON."""
        kind = {str: "text", Digest: "digest", Unusable: "unusable"}[type(self.result)]
        result = self.result if isinstance(self.result, str) else asdict(self.result)
        return {
            "job_id": self.job_id,
            "path": str(self.path),
            "legacy_s": self.legacy_s,
            kind: result,
            "shed": dict(self.shed),
            "build": self.build,
        }


def read_copy(values: Any) -> ShadowCopy:
    """Read a copy's message.

    Raises:
        MalformedCopy: It is none.
    """
    try:
        legacy_s = float(values["legacy_s"])
        if not isfinite(legacy_s) or legacy_s < 0 or not isinstance(values["job_id"], str):
            raise ValueError("a job id and seconds are needed")
        shed = {str(Shed(word)): int(count) for word, count in values["shed"].items()}
        path, build = JobPath(values["path"]), values.get("build")
        if not (build is None or isinstance(build, str)):
            raise ValueError("a build is text")
        return ShadowCopy(values["job_id"], path, legacy_s, _carried(values), shed, build)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedCopy(error) from error


def _carried(values: Any) -> Carried:
    if "text" in values:
        if not isinstance(values["text"], str):
            raise ValueError("a result is JSON text")
        return values["text"]
    if "digest" in values:
        given = values["digest"]
        parts = {str(place): (str(at), leaf) for place, (at, leaf) in given["parts"].items()}
        return Digest(str(given["hash"]), int(given["size_bytes"]), parts)
    given = values["unusable"]
    return Unusable(Trouble(given["trouble"]), str(given["why"]))
