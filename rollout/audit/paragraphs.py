"""One paragraph of an audit for each who has to decide: lead, budget holder, product manager."""

from __future__ import annotations

from rollout.audit.audit import Audit
from rollout.audit.table import gain_text
from rollout.figures import seconds_text, times_text


def paragraphs_of(answer: Audit) -> list[tuple[str, str]]:
    """One paragraph each for the lead, the budget holder and the product manager."""
    return [_lead(answer), _budget(answer), _product(answer)]


def _lead(answer: Audit) -> tuple[str, str]:
    verdict, measured = answer.verdict, answer.measured
    text = f"Advice: {verdict.advice.value}. "
    if verdict.first and len(measured.steps) > 1:
        text += f"Move {verdict.first} first: it takes the largest share of time and failures. "
    if answer.lacks:
        text += f"This input leaves open: {'; '.join(one.what for one in answer.lacks[:3])}."
    return "For the lead", text.strip()


def _budget(answer: Audit) -> tuple[str, str]:
    by_name = {one.name: one for one in answer.ways}
    hardware, unlock = by_name.get("hardware"), by_name.get("unlock")
    if hardware is None or hardware.high is None:
        text = "What more hardware would buy this log does not show; do not buy on it."
    elif hardware.high < 1.05:
        text = "Twice the hardware buys nothing here: the limit is something that stays one."
    elif hardware.low is not None and hardware.low < 1.05:
        text = (
            f"Twice the hardware buys between nothing and {times_text(hardware.high)} "
            f"({hardware.of}): measure before you buy."
        )
    else:
        text = f"Twice the hardware buys {gain_text(hardware)} ({hardware.of})."
    if unlock is not None and unlock.high is not None and unlock.high >= 1.05:
        text += (
            f" Taking away what the runs share buys up to {times_text(unlock.high)} and "
            "needs people, not machines."
        )
    return "For the budget", text


def _product(answer: Audit) -> tuple[str, str]:
    measured, growth = answer.measured, answer.growth
    texts = []
    if measured.waiting is not None:
        texts.append(
            f"A job waits {seconds_text(measured.waiting.total_s / measured.waiting.count)} on "
            f"average before it starts, 95 of 100 under {seconds_text(measured.waiting.p95_s)}."
        )
    for gap in measured.hand_offs[:2]:
        texts.append(
            f"Between {gap.before} and {gap.after} it lies for {seconds_text(gap.median_s)} with "
            "nobody working on it."
        )
    if growth is not None:
        texts.append(
            f"At today's growth the backlog no longer drains from {growth.on} on."
            if growth.on
            else "At today's growth this lasts for more than a year."
        )
    return "For the product", " ".join(texts) or "What users wait for is not in this log."
