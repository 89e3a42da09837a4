"""Alerts and dashboard use only what the controller exports, under the names it exports it."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rollout.adapters.prometheus import Exporter
from rollout.controller.tick import TickReport
from rollout.evidence.shadow import ShadowEvidence
from rollout.evidence.verdict import Verdict
from rollout.jobs.claims import JobState
from rollout.jobs.ports import CycleTally, OpenCount, Tally
from rollout.pilot.holds import NEED_A_PERSON, HoldKind, hold_window
from rollout.pilot.judgement import Action
from rollout.pilot.pilots import PilotsReport
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.situation import Shadowed
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policy
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import ControlState
from rollout.settings import Settings
from tests.builders import split
from tests.ops.test_compose import ROOT, read_yaml

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FUNCTIONS = {
    "absent", "and", "by", "histogram_quantile", "increase", "or", "rate", "sum", "time", "up",
}  # fmt: skip
LABELS_OF_PROMETHEUS = {"job", "le"}


def judged() -> PilotsReport:
    """One sub-pipeline on trial, with a profile of legacy."""
    state = split(3200)
    profile = LegacyProfile(
        peak_per_s=1.0, finish_per_s=0.5, success_at=NOW.timestamp(), mean_run_s=1.0
    )
    trial = begin(state, (None, None), Policy(), None, NOW)
    trial = replace(trial, said=hold_window(1, (HoldKind.BAKE, HoldKind.DRILLS)))
    shadowed = Shadowed(3, 1, (ShadowEvidence().outputs.finding(),))
    return PilotsReport(
        trials=[trial], profiles={state.name: profile}, shadowed={"payments": shadowed}
    )


def exported() -> dict[str, set[str]]:
    """Each sample that the exporter gives, with its labels."""
    exporter = Exporter()
    report = TickReport(
        at=NOW,
        leads=True,
        pilots=judged(),
        states=[ControlState("invoices")],
        open_counts=[OpenCount("invoices", JobPath.LEGACY, JobState.ACCEPTED, 1, NOW)],
        unaccounted={"invoices": 0},
    )
    for jobs in (1, 2):  # the observed scope needs two ticks
        outcomes = [
            Tally("invoices", path, path, JobState.COMMITTED, Reason.IN_SCOPE, jobs)
            for path in JobPath
        ]
        exporter.tick(report, outcomes, [CycleTally("invoices", JobPath.LEGACY, 1.0, jobs, 0.5)])
    samples: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(exporter.registry).decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    return samples


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = read_yaml(ROOT / "ops" / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards() -> list[Path]:
    """All dashboards."""
    return sorted((ROOT / "ops" / "grafana").glob("*.json"))


def expressions() -> list[str]:
    """Every PromQL expression of alerts and dashboards, and the variables' queries."""
    found = [rule["expr"] for rule in rules()]
    for path in dashboards():
        board = json.loads(path.read_text())
        found += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        found += [variable["query"]["query"] for variable in board["templating"]["list"]]
    return found


SAMPLES = exported()


@pytest.mark.parametrize("expression", expressions())
def test_expressions_use_exported_metrics_and_labels(expression: str) -> None:
    """Names and label matchers of an expression exist in the exporter's output."""
    for name in re.findall(r"\brollout_\w+", expression):
        assert name in SAMPLES, name
    for name, matchers in re.findall(r"\b(rollout_\w+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers):
            assert label in SAMPLES[name], (name, label)
    every_label = set().union(*SAMPLES.values()) | LABELS_OF_PROMETHEUS
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= every_label


@pytest.mark.parametrize("expression", expressions())
def test_expressions_are_well_formed(expression: str) -> None:
    """Brackets close in order and every bare word is a function, an operator or a metric."""
    open_brackets: list[str] = []
    pairs = {")": "(", "]": "[", "}": "{"}
    bare = re.sub(r'"[^"]*"', '""', expression)
    for sign in bare:
        if sign in pairs.values():
            open_brackets.append(sign)
        elif sign in pairs:
            assert open_brackets, expression
            assert open_brackets.pop() == pairs[sign], expression
    assert not open_brackets, expression
    if expression.startswith("label_values("):
        return  # Grafana's own, not PromQL
    outside = re.sub(r"\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)", " by ", bare)
    for word in re.findall(r"\b[a-z_]\w*", outside):
        assert word in FUNCTIONS or word in SAMPLES, word


def test_matched_values_exist() -> None:
    """Label values in matchers are values that the exporter can give."""
    known = {
        "reason": {str(reason) for reason in Reason},
        "outcome": {str(state) for state in JobState if state.finished},
        "path": {str(path) for path in JobPath},
        "assigned_path": {str(path) for path in JobPath},
        "kind": {str(kind) for kind in HoldKind},
        "verdict": {verdict.value for verdict in Verdict},
        "action": {str(action) for action in Action},
        "metric": {"sample_ratio"},
    }
    for expression in expressions():
        for label, values in re.findall(r"(\w+)=~?\"([^\"$]*)\"", expression):
            assert label == "job" or set(values.split("|")) <= known[label], expression


def test_fallbacks_are_those_of_the_core() -> None:
    """The alert counts the same reasons as fallbacks as the status does."""
    rule = next(rule for rule in rules() if rule["alert"] == "RolloutFallbacks")
    matched = re.search(r'reason=~"([^"]*)"', rule["expr"])
    assert matched is not None
    assert set(matched[1].split("|")) == {str(reason) for reason in Reason if reason.means.fallback}


def test_the_alert_for_a_person_names_the_holds_that_need_one() -> None:
    """The holds that end only by a person's decision are those of `pilot/holds`."""
    rule = next(rule for rule in rules() if rule["alert"] == "RolloutPersonNeeded")
    matched = re.search(r'kind=~"([^"]*)"', rule["expr"])
    assert matched is not None
    assert set(matched[1].split("|")) == set(NEED_A_PERSON)


def test_the_supervision_alert_follows_its_setting() -> None:
    """The alert fires when the heartbeat is forgotten by default, not earlier."""
    rule = next(rule for rule in rules() if rule["alert"] == "RolloutUnsupervised")
    assert rule["expr"].endswith(f"> {Settings.model_fields['supervision_s'].default:g}")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_leads_to_a_runbook(rule: dict[str, Any]) -> None:
    """Each alert says what it saw and names runbooks that exist."""
    annotations = rule["annotations"]
    assert annotations["summary"]
    assert rule["labels"]["severity"] in ("page", "notice")
    named = [value for key, value in annotations.items() if key.startswith("runbook")]
    assert named
    for path in named:
        assert (ROOT / path).is_file(), path


def test_every_metric_is_on_a_dashboard() -> None:
    """No exported figure is left without a place to be seen."""
    shown = " ".join(expressions())
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in SAMPLES}
    assert {name for name in families if name not in shown} == set()


def test_panels_do_not_overlap() -> None:
    """Each panel has its own id and its own place in the 24 columns."""
    for path in dashboards():
        taken: set[tuple[int, int]] = set()
        panels = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            place = panel["gridPos"]
            cells = {
                (place["x"] + column, place["y"] + row)
                for column in range(place["w"])
                for row in range(place["h"])
            }
            assert not taken & cells, panel["title"]
            assert max(column for column, _ in cells) < 24
            taken |= cells
