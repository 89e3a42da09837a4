"""What every request works with: services, shared readings, who may ask, where we are mounted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from rollout.control.access import Caller
from rollout.desk.text import span_text
from rollout.errors import LedgerSlow, RolloutError, WrongSettings
from rollout.policy.check import Assumed
from rollout.settings import Settings
from rollout.web.drafts import Drafts
from rollout.web.drilling import Drilling
from rollout.web.rates import Rates
from rollout.web.shared import Shared, Taken, TooSlowToRead

if TYPE_CHECKING:
    from rollout.control.door import Door
    from rollout.control.kill_report import KillReport
    from rollout.desk.board import Board
    from rollout.desk.desk import Desk
    from rollout.desk.jobs import JobPages
    from rollout.desk.policy_check import PolicyCheck
    from rollout.desk.standing import Judged
    from rollout.wiring import Runtime

Value = TypeVar("Value")

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REPORTS_MAX = 100
BOARD_S, JUDGE_S, READ_S = 15.0, 30.0, 4.0
"""Longest time that the ledger works on the board, on judging all, on anything else looked at."""
JUDGED_S, JUDGED_PATIENCE_S = 10.0, 1.5
"""A judgement lasts as long as a window of evidence; the rest of a page waits little for it."""
CHECKED_S, CHECK_PATIENCE_S = 60.0, 0.1
"""Counting a week's jobs of 200 sub-pipelines takes seconds; what was found lasts a minute."""
GLANCE_S = 0.5
"""What the way to a kill waits for to be told; the kill itself waits for none of it."""
LIST_S = (1.5, 1.0, 1.0)
LIST_SPANS = (None, timedelta(days=1), timedelta(hours=1))
"""How long a list is looked for, first without a bound of time, then among the newest alone."""


@dataclass
class Site:
    """One running page.

    Attributes:
        runtime: The services.
        user: Who acts where nobody has to sign in.
        shared: Readings.
        rates: Limits.
        drilling: Drills that run in this process.
        drafts: What was typed by those who had to sign in again.
        reports: What the newest kills answered, by their id: their milliseconds are nowhere else.
    """

    runtime: Runtime
    user: str
    shared: Shared
    rates: Rates = field(default_factory=Rates)
    reports: dict[str, KillReport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.drilling = Drilling(self.runtime.drills)
        self.drafts = Drafts(self.runtime.clock)

    @property
    def settings(self) -> Settings:
        """Everything that can be set."""
        return self.runtime.settings

    @property
    def desk(self) -> Desk:
        """What a person wants to know."""
        return self.runtime.desk

    @property
    def door(self) -> Door:
        """Every action."""
        return self.runtime.door

    @property
    def base(self) -> str:
        """Path before every address; empty at the root."""
        return self.settings.web_base_path

    def url(self, *parts: str) -> str:
        """An address of ours: parts are quoted, so that a name may hold anything."""
        return self.base + "/" + "/".join(quote(part, safe="") for part in parts)

    def board(self, caller: Caller, patience_s: float | None = None) -> Taken[Board]:
        """Where every sub-pipeline stands, as far as the caller may see."""
        taken: Taken[Board] = self.shared.get("board", self._board, patience_s)
        return replace(taken, value=taken.value.only(caller.names))

    def glance(self, caller: Caller) -> Taken[Board] | None:
        """The board beside what cannot wait for it; None where it is not to be had at once."""
        try:
            return self.board(caller, GLANCE_S)
        except RolloutError:
            return None

    def _board(self) -> Board:
        """Where all stand now, with the last judgement that is to be had within a moment."""
        from rollout.desk.standing import Judged

        try:
            judged = self.shared.get(
                "judged", self._judged, JUDGED_PATIENCE_S, JUDGED_S, long=True, outlives_acts=True
            ).value
        except TooSlowToRead:
            judged = Judged(unjudged="it is being judged, which takes a moment")
        except LedgerSlow as error:
            judged = Judged(unjudged=error.problem)
        with self.runtime.reads_within(BOARD_S):
            return self.desk.standing(judged)

    def _judged(self) -> Judged:
        with self.runtime.reads_within(JUDGE_S):
            return self.desk.judged()

    def read(self, what: str, key: Any, read: Callable[[], Value]) -> Taken[Value]:
        """Another reading that all viewers share; LedgerSlow where it takes too long."""

        def within() -> Value:
            with self.runtime.reads_within(READ_S):
                return read()

        return self.shared.get((what, key), within)

    def job(self, caller: Caller, job_id: str) -> JobPages:
        """One job's way, as a shared reading; another's job is as unknown as one that is not."""
        names = caller.names
        return self.read("job", (job_id, names), lambda: self.desk.job(job_id, names)).value

    def checked(self, name: str | None) -> Taken[PolicyCheck] | None:
        """What is wrong in the policies; None while it is being sized, which takes its time."""

        def check() -> PolicyCheck:
            with self.runtime.reads_within(JUDGE_S):
                return self.desk.policy_check(name, Assumed())

        try:
            return self.shared.get(
                ("check", name), check, CHECK_PATIENCE_S, CHECKED_S, long=name is None
            )
        except TooSlowToRead:
            return None

    def newest(
        self, what: str, key: Any, since: datetime | None, read: Callable[[datetime | None], Value]
    ) -> Taken[tuple[Value, str | None]]:
        """A list of jobs, and why it is a part of what was asked for; None where it is all.

        Where the ledger takes too long for all of it, only the newest are looked through.

        Args:
            what: Which list.
            key: What else it depends on.
            since: Asked for.
            read: Reads it from a time on.

        Raises:
            LedgerSlow: Even the last hour takes too long.
        """

        def shorter() -> tuple[Value, str | None]:
            now, slow = self.runtime.clock.now(), None
            for seconds, span in zip(LIST_S, LIST_SPANS, strict=True):
                bound = since if span is None else max(now - span, since or now - span)
                try:
                    with self.runtime.reads_within(seconds):
                        return read(bound), _part(span)
                except LedgerSlow as error:
                    slow = error
            assert slow is not None, "each turn gave a list or an error"
            raise slow

        return self.shared.get((what, key, since), shorter)

    def keep(self, report: KillReport) -> None:
        """Keep what a kill answered, for the page that shows it."""
        self.reports[report.kill.kill_id] = report
        while len(self.reports) > _REPORTS_MAX:
            self.reports.pop(next(iter(self.reports), ""), None)  # another kill may be as far

    def from_proxy(self, address: str) -> bool:
        """Whether a peer is a proxy whose headers are believed."""
        try:
            client = ip_address(address)
        except ValueError:
            return False
        return any(client in ip_network(one, strict=False) for one in self.settings.web_proxies)


def _part(span: timedelta | None) -> str | None:
    if span is None:
        return None
    return (
        f"the ledger takes too long for all, so only jobs admitted in the last {span_text(span)} "
        "were looked through"
    )


def check_settings(settings: Settings) -> None:
    """Refuse to serve what anybody could use.

    Raises:
        WrongSettings: It would listen beyond this machine without a sign-in, or the sign-in lacks
            what it needs.
    """
    open_to_all = settings.web_sign_in == "none"
    if open_to_all and settings.web_host not in LOOPBACK:
        raise WrongSettings(
            f"page and API listen on {settings.web_host}, beyond this machine, and nobody has to "
            "sign in",
            "set ROLLOUT_WEB_SIGN_IN to token, header or oidc, or ROLLOUT_WEB_HOST to 127.0.0.1 "
            "and put a proxy before it",
        )
    if settings.web_sign_in == "header":
        if not settings.web_proxies:
            raise WrongSettings(
                "web_sign_in is 'header', and web_proxies names nobody whose header is believed",
                "set ROLLOUT_WEB_PROXIES to the proxy's network, e.g. '[\"10.0.0.0/8\"]'",
            )
        for one in settings.web_proxies:
            try:
                ip_network(one, strict=False)
            except ValueError as error:
                raise WrongSettings(
                    f"web_proxies must hold networks, got {one!r}: {error}",
                    "such as 10.0.0.0/8, or 127.0.0.1",
                ) from None
    missing = [
        name
        for name in ("web_oidc_issuer", "web_oidc_client_id", "web_oidc_client_secret")
        if settings.web_sign_in == "oidc" and not getattr(settings, name)
    ]
    if missing:
        raise WrongSettings(
            f"web_sign_in is 'oidc', and {', '.join(missing)} is not set",
            "register a client at the issuer and set it",
        )
