"""The audit as one HTML file: no network, no script, readable on a phone and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rollout.audit.audit import Audit
from rollout.audit.charts import cycle_chart, load_chart, speed_chart
from rollout.audit.pages import Section, sections_of
from rollout.audit.paragraphs import paragraphs_of

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--paper:#fff;
--raised:#f6f8fa;
--good:#1a7f37;--bad:#bc4c00;--run:#2f6fde;--wait:#c98a1b;--pale:#dbe7fb}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--paper:#0d1117;
--raised:#151b23;--good:#3fb950;--bad:#f0883e;--run:#6ea8fe;--wait:#e3b341;--pale:#1d2f4d}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:66rem;padding:1rem 1rem 4rem;font:16px/1.5 system-ui,sans-serif;
color:var(--ink);
background:var(--paper)}
h1{font-size:1.1rem;color:var(--soft);font-weight:600;margin:.5rem 0}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
.verdict{border-left:.4rem solid var(--bad);background:var(--raised);padding:1rem 1.2rem;
font-size:1.15rem;
border-radius:.3rem;overflow-wrap:anywhere}
.verdict.good{border-color:var(--good)}
.verdict b{display:block;font-size:1.4rem;margin-bottom:.3rem}
code{font:.88em/1.5 ui-monospace,monospace;background:var(--raised);padding:.15rem .35rem;
border-radius:.25rem;
overflow-wrap:anywhere}
.who{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));margin:1.2rem 0}
.who div{border:1px solid var(--line);border-radius:.4rem;padding:.8rem 1rem;overflow-wrap:anywhere}
.who b{display:block;margin-bottom:.25rem}
svg{width:100%;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
svg text.in{fill:#fff;font-size:11px;pointer-events:none}
.axis{stroke:var(--line)}.limit{stroke:var(--soft);stroke-dasharray:4 4}
.area-running{fill:var(--pale);stroke:var(--run)}.line-running{fill:none;stroke:var(--run);
stroke-width:2}
.line-waiting{fill:none;stroke:var(--wait);stroke-width:2}circle.running{fill:var(--run)}
rect.run{fill:var(--run)}rect.wait{fill:var(--wait);opacity:.45}
figure{margin:1.2rem 0}figcaption{color:var(--soft);font-size:.9rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th{text-align:left;color:var(--soft);font-weight:600;white-space:nowrap}
th,td{padding:.45rem .7rem .45rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:anywhere}td:first-child{font-weight:600;min-width:6rem}
@media(max-width:46rem){svg text{font-size:24px}svg text.in{display:none}
thead{display:none}table,tbody,tr,td{display:block;width:100%}
tr{border:1px solid var(--line);border-radius:.4rem;padding:.5rem .8rem;margin-bottom:.7rem}
td{border:0;padding:.15rem 0;display:grid;grid-template-columns:8.5rem 1fr;gap:.5rem;
font-weight:400!important}
td:first-child{font-weight:600!important}td:empty{display:none}
td::before{content:attr(data-is);color:var(--soft);font-weight:400}}
@media print{body{max-width:none}tr{break-inside:avoid}}
"""


def html_of(answer: Audit, title: str) -> str:
    """The whole report."""
    verdict = answer.verdict
    good = " good" if verdict.healthy else ""
    who = "".join(
        f"<div><b>{escape(name)}</b>{escape(text)}</div>" for name, text in paragraphs_of(answer)
    )
    sections = "".join(_section(one) for one in sections_of(answer))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>"
        f'<div class="verdict{good}"><b>{escape(verdict.advice.value.capitalize())}</b>'
        f"{escape(verdict.sentence)}</div>"
        f"<p>Next: <code>{escape(verdict.next_command)}</code></p>"
        f'<div class="who">{who}</div>{_charts(answer)}{sections}</body></html>\n'
    )


def _charts(answer: Audit) -> str:
    measured = answer.measured
    figures = []
    if answer.series is not None:
        waits = ", the line those that wait" if answer.series.waiting else ""
        figures.append(
            (load_chart(answer.series, measured.slots, measured.clock),
             f"Load over time: the area is runs at once{waits}, dashed are all {measured.slots} "
             "workers.")
        )  # fmt: skip
    if measured.shape is not None and measured.clock:
        figures.append(
            (speed_chart(measured.shape),
             "What so many at once get done, in runs that nobody slows; dashed is nobody slowed.")
        )  # fmt: skip
    cycle = cycle_chart(measured) if len(measured.runs) else ""
    if cycle:
        figures.append((cycle, "One cycle: blue runs, yellow waits."))
    return "".join(
        f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
        for picture, caption in figures
    )


def _section(section: Section) -> str:
    sentences = "".join(f"<p>{escape(one)}</p>" for one in section.sentences)
    return f"<section><h2>{escape(section.title)}</h2>{sentences}{_table(section.table)}</section>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head, *body = rows
    names = "".join(f"<th>{escape(one)}</th>" for one in head)
    lines = "".join(
        "<tr>"
        + "".join(
            f'<td data-is="{escape(name)}">{escape(cell)}</td>' if cell else "<td></td>"
            for name, cell in zip(head, row, strict=True)
        )
        + "</tr>"
        for row in body
    )
    return f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"
