"""What every request works with: services, shared readings, who may ask, where we are mounted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rollout.control.access import Caller
from rollout.errors import WrongSettings
from rollout.settings import Settings
from rollout.web.rates import Rates
from rollout.web.shared import Shared, Taken

if TYPE_CHECKING:
    from rollout.control.door import Door
    from rollout.control.kill_report import KillReport
    from rollout.desk.board import Board
    from rollout.desk.desk import Desk
    from rollout.wiring import Runtime

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REPORTS_MAX = 100


@dataclass
class Site:
    """One running page.

    Attributes:
        runtime: The services.
        user: Who acts where nobody has to sign in.
        shared: Readings.
        rates: Limits.
        reports: What the newest kills answered, by their id: their milliseconds are nowhere else.
    """

    runtime: Runtime
    user: str
    shared: Shared
    rates: Rates = field(default_factory=Rates)
    reports: dict[str, KillReport] = field(default_factory=dict)

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

    def board(self, caller: Caller) -> Taken[Board]:
        """Where every sub-pipeline stands, as far as the caller may see."""
        taken: Taken[Board] = self.shared.get("board", self.desk.status)
        return replace(taken, value=taken.value.only(caller.names))

    def read(self, what: str, key: Any, read: Callable[[], Any]) -> Taken[Any]:
        """Another reading that all viewers share."""
        return self.shared.get((what, key), read)

    def keep(self, report: KillReport) -> None:
        """Keep what a kill answered, for the page that shows it."""
        self.reports[report.kill.kill_id] = report
        while len(self.reports) > _REPORTS_MAX:
            self.reports.pop(next(iter(self.reports)))

    def from_proxy(self, address: str) -> bool:
        """Whether a peer is a proxy whose headers are believed."""
        try:
            client = ip_address(address)
        except ValueError:
            return False
        return any(client in ip_network(one, strict=False) for one in self.settings.web_proxies)


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
