"""The runbooks as pages: what an alarm names is one touch away, also where there is no checkout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from shlex import quote
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from rollout.desk.runbooks import command_of, filled, read_runbooks
from rollout.desk.text import plain
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.problems import NoSuchPage
from rollout.web.render import draw

router = APIRouter(include_in_schema=False)


@router.get("/runbooks")
def runbooks(request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """All of them, by what one sees."""
    every = read_runbooks().runbooks
    return draw(request, "runbooks.html", caller, board=site.glance(caller), every=every)


@router.get("/runbooks/{file}")
def runbook(
    file: str, request: Request, site: SiteOf, caller: CallerOf,
    name: Annotated[str, Query(max_length=100)] = "",
) -> Response:  # fmt: skip
    """One of them; with a sub-pipeline its commands are ready to be copied."""
    found = next((one for one in read_runbooks().runbooks if one.file == file), None)
    if found is None:
        raise NoSuchPage(request.url.path)
    if name:
        must_see(caller, name)
    query = f"?{urlencode({'name': name})}" if name else ""
    return draw(
        request, "runbook.html", caller, board=site.glance(caller), about=name or None,
        text=drawn(found.text, lambda other: site.url("runbooks", other) + query, name),
        title=found.title, command=command_of(file),
    )  # fmt: skip


def drawn(text: str, url: Callable[[str], str], name: str = "") -> Markup:
    """A runbook as HTML; tags in it are text.

    Args:
        text: Markdown of this release.
        url: Address of another runbook's page.
        name: The sub-pipeline that stands for NAME, quoted as a shell takes it.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.children:
            token.children = list(_linked(token.children, url))
    html = parser.renderer.render(tokens, parser.options, {})
    if name:
        html = filled(html, str(escape(plain(quote(name)))))
    return Markup(html)


def _linked(tokens: list[Token], url: Callable[[str], str]) -> Iterator[Token]:
    """Links to other runbooks lead to their pages; of other files the path is told."""
    file = None
    for token in tokens:
        href = str(token.attrs.get("href", ""))
        if token.type == "link_open" and href.endswith(".md"):
            if "/" not in href:
                token.attrs["href"] = url(href)
            else:
                file = f" (docs/{href.rpartition('../')[2]})"
                continue
        elif token.type == "link_close" and file is not None:
            yield Token("text", "", 0, content=file)
            file = None
            continue
        yield token
