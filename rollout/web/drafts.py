"""What somebody had typed when their session had ended: the form is there again after the sign-in.

Kept in this process, for a quarter of an hour, under an id that nobody can guess: an address is no
place for a reason, and it has to come through the sign-in of somebody else's site as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from urllib.parse import quote, urlencode

from rollout.routing.clock import Clock

DRAFTS_MAX = 200
KEPT_S = 900.0
_CHARS_MAX = 10_000
"""Whoever has not signed in may post as well."""
_FIELDS = (
    "reason", "typed", "scope_bp", "limit",
    "fault", "path", "duration_s", "blast_radius_jobs", "deadline_s", "fault_s", "window_s",
    "windows_with_jobs_min",
)  # fmt: skip
"""What people type; hidden fields are made anew by the page."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Typed fields of a form; `page` is the path of the page that has it, `word` which form."""

    page: str
    word: str
    fields: Mapping[str, str]
    kept_s: float

    def get(self, name: str, default: str = "", word: str = "") -> str:
        """What was typed into a field of this form, else what the page puts there itself."""
        if word != self.word:
            return default
        return self.fields.get(name, default)


NOTHING = Draft("", "", {}, 0.0)


@dataclass
class Drafts:
    """The newest drafts of this process."""

    clock: Clock
    _kept: OrderedDict[str, Draft] = field(default_factory=OrderedDict)

    def keep(self, path: str, form: Mapping[str, str]) -> str | None:
        """Keep a form that was posted to `path`; where it is found again, None for an empty one."""
        typed = {name: form[name][:_CHARS_MAX] for name in _FIELDS if form.get(name, "").strip()}
        if not typed:
            return None
        page, word = _page_of(path)
        draft_id = token_urlsafe(16)
        self._kept[draft_id] = Draft(page, word, typed, self.clock.monotonic())
        while len(self._kept) > DRAFTS_MAX:
            self._kept.popitem(last=False)
        query = {"name": form["name"]} if page == "/jobs/retry" and form.get("name") else {}
        return f"{quote(page)}?{urlencode({**query, 'draft': draft_id})}"

    def of(self, draft_id: str | None, path: str) -> Draft:
        """What was typed on this page; nothing for an unknown id, and for another page's."""
        draft = self._kept.get(draft_id or "", NOTHING)
        fresh = self.clock.monotonic() - draft.kept_s < KEPT_S
        return draft if draft.page == path and fresh else NOTHING


def _page_of(path: str) -> tuple[str, str]:
    """The page that has the form which posts to a path, and which of its forms."""
    before, change, word = path.partition("/change/")
    if change:
        return f"{before}/change", word
    if path == "/rearm":
        return "/killed", ""
    return path.removesuffix("/reveal"), ""
