"""The audit as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.audit.audit import Audit
from rollout.audit.pages import sections_of
from rollout.audit.paragraphs import paragraphs_of


def markdown_of(answer: Audit) -> str:
    """The whole audit; texts of the log cannot break out of their cells."""
    verdict = answer.verdict
    lines = ["# Audit", "", f"**{verdict.sentence}**", "", f"Next: `{verdict.next_command}`", ""]
    for title, text in paragraphs_of(answer):
        lines += [f"*{title}*: {text}", ""]
    for section in sections_of(answer):
        lines += [f"## {section.title}", ""]
        lines += [f"{sentence}\n" for sentence in section.sentences]
        if section.table:
            lines += [*_table(section.table), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    written = [_row(head), "|" + "---|" * len(head)]
    return written + [_row(one) for one in body]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(one.replace("|", "\\|").replace("\n", " ") for one in cells) + " |"
