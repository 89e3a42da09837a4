"""Makes a past decision again from what it was made on, and holds it against what was decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollout.errors import UnreadableDecision
from rollout.evidence.errors import EvidenceError
from rollout.evidence.verdict import Finding
from rollout.pilot.inputs import decide_again
from rollout.pilot.ports import DecisionRecord
from rollout.pilot.rule import stored_policy
from rollout.pilot.situation import Situation, finding_from_json, situation_from_json

_UNREADABLE = (EvidenceError, KeyError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a past decision was made on; `seen` is None where no situation was judged."""

    seen: Situation | None
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]


def evidence_of(record: DecisionRecord) -> Evidence:
    """Read what a decision was made on, and what was found.

    Raises:
        UnreadableDecision: Its inputs or its answer are not what this release stores.
    """
    try:
        answer, inputs = json.loads(record.answer), json.loads(record.inputs)
        situation = None
        if "situation" in inputs:
            policy = stored_policy(inputs["policy"])
            situation = situation_from_json(inputs["situation"], policy)
        findings = tuple(finding_from_json(one) for one in answer.get("findings", ()))
        return Evidence(situation, findings, tuple(answer.get("reasons", ())))
    except _UNREADABLE as error:
        raise UnreadableDecision(record.decision_id, error) from error


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that came out differently; `where` is its path in the answer."""

    where: str
    decided: str
    replayed: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of making a decision again."""

    record: DecisionRecord
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether the same came out."""
        return not self.differences


def replay(record: DecisionRecord) -> Replay:
    """Make a decision again.

    The answer has to be the same to the last digit, and so have the columns beside it: what the
    log shows is what was judged.

    Raises:
        UnreadableDecision: Its inputs or its answer are not what this release stores.
    """
    try:
        stored = json.loads(record.answer)
        again = json.loads(json.dumps(decide_again(record.inputs)))
    except _UNREADABLE as error:
        raise UnreadableDecision(record.decision_id, error) from error
    differences = list(_differences("", stored, again))
    for column in ("window", "action", "sentence"):
        came = again.get(column) if isinstance(again, Mapping) else None
        if getattr(record, column) != came:
            shown = _shown(getattr(record, column))
            differences.append(Difference(f"column {column}", shown, _shown(came)))
    return Replay(record, tuple(differences))


def _differences(where: str, decided: Any, again: Any) -> Iterator[Difference]:
    if isinstance(decided, dict) and isinstance(again, dict):
        for key in dict.fromkeys([*decided, *again]):
            path = f"{where}.{key}" if where else str(key)
            yield from _differences(path, decided.get(key), again.get(key))
    elif isinstance(decided, list) and isinstance(again, list) and len(decided) == len(again):
        for number, (one, other) in enumerate(zip(decided, again, strict=True)):
            yield from _differences(f"{where}[{number}]", one, other)
    elif _shown(decided) != _shown(again):
        yield Difference(where, _shown(decided), _shown(again))


def _shown(value: object) -> str:
    """JSON text: exact for numbers, and NaN equals itself."""
    return json.dumps(value, sort_keys=True)
