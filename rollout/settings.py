"""Settings: ROLLOUT_* variables, then `rollout.toml`, then what a running `rollout up` wrote.

The only module that reads the environment.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from rollout.errors import WrongSettings

CONFIG_FILE = "rollout.toml"
STATE_FOLDER = ".rollout"
RUN_FILE = "run.toml"
POLICY_TABLES = ("policy", "fleet", "cohort")
"""Tables of `rollout.toml` that hold no settings; `rollout/policies.py` says what they may hold."""
RESOURCE_TABLE = "resource"
"""Table of `rollout.toml` that says how much there is of what; `rollout/capacities.py` reads it."""
_NO_SETTINGS = (*POLICY_TABLES, RESOURCE_TABLE)
DEFAULT_REDIS = "redis://localhost:6379/0"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """All settings; each has a sentence, and `rollout doctor` shows the values in force."""

    model_config = SettingsConfigDict(env_prefix="ROLLOUT_", extra="forbid")

    app: str | None = Field(None, description="Module that holds the Celery app, as `-A` takes it.")
    broker_url: str | None = Field(
        None, description="Celery's broker; without it the one the app names."
    )
    broker_transport_options: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=dict,
        description="Celery's broker_transport_options for the controller; else the app's.",
    )
    control_url: str | None = Field(
        None,
        description="Redis or Valkey of the control store, or sentinel://HOST:PORT/0?master_name="
        "NAME; without it the broker's.",
    )
    ledger_url: str = Field(
        f"sqlite:///{STATE_FOLDER}/ledger.db",
        description="Database of the ledger: sqlite:///file or postgresql+psycopg://...; "
        "memory: in a program of one process.",
    )
    ledger_schema: str | None = Field(
        None,
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="Schema of PostgreSQL for the ledger's tables; without it the user's default.",
    )
    key_prefix: str = Field("rollout:", min_length=1, description="Put before every store key.")
    connect_timeout_ms: Seconds = Field(100, description="Longest wait for the control store.")
    read_timeout_ms: Seconds = Field(100, description="Longest wait for its answer.")
    snapshot_s: Seconds = Field(1, description="Longest age of a routing snapshot at submission.")
    tick_s: Seconds = Field(1, description="Pause between two ticks of the controller.")
    supervision_s: Seconds = Field(
        10, description="Without a tick for this long, jobs go to legacy."
    )
    lost_after_s: Seconds = Field(
        30, description="An accepted job that no queue holds for this long is sent again."
    )
    silent_after_s: Seconds = Field(
        30, description="A started job whose worker is silent for this long is sent again."
    )
    keep_days: Seconds = Field(
        30, description="Committed jobs are deleted after this long; failed ones are kept."
    )
    stop_after_s: Seconds = Field(
        6, description="A worker told to stop hands back what still runs after this long."
    )
    payload_bytes_max: int = Field(
        1_000_000, gt=0, description="Largest message of a job, in bytes."
    )
    metrics_port: int = Field(9464, ge=0, le=65_535, description="Port of /metrics; 0 is any free.")
    metrics_host: str = Field("127.0.0.1", description="Address that /metrics listens on.")
    notify_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Apprise URLs told of each decision that changes something."
    )
    legacy_concurrency: int = Field(1, ge=1, description="Processes of the legacy worker of `up`.")
    concurrent_concurrency: int = Field(
        2, ge=1, description="Processes of the concurrent worker of `up`."
    )
    concurrent_pool: Literal["prefork", "threads"] = Field(
        "prefork", description="Celery pool of the concurrent worker of `up`."
    )

    shadow_concurrency: int = Field(
        0, ge=0, description="Processes of the shadow worker of `up`; 0 starts none."
    )
    shadow_bp: int = Field(
        10_000, ge=0, le=10_000, description="Share of legacy jobs copied in stage shadow, in bp."
    )
    shadow_split_bp: int = Field(
        500, ge=0, le=10_000, description="Share of legacy jobs copied in stage split, in bp."
    )
    shadow_again_bp: int = Field(
        5_000,
        ge=0,
        le=10_000,
        description="Share of copies that run legacy again, for its noise and its failures.",
    )
    shadow_rate: Seconds = Field(2, description="Most copies a second, over all workers.")
    shadow_daily_max: int = Field(20_000, ge=0, description="Most copies a day (UTC).")
    shadow_backlog_max: int = Field(
        100, ge=0, description="No copy is sent while so many wait in the shadow queue."
    )
    shadow_limit_s: Seconds = Field(
        300,
        description="A shadow that runs longer, and 3 times as long as legacy did, is killed.",
    )
    shadow_memory_mb: int = Field(
        2_048, ge=0, description="Memory a shadow may take on top of its process; 0 is any."
    )

    web_host: str = Field("127.0.0.1", description="Address that page and API listen on.")
    web_port: int = Field(
        8464, ge=0, le=65_535, description="Port of page and API; 0 is any free one."
    )
    web_base_path: str = Field(
        "", description="Path under which a proxy shows page and API, such as /rollout."
    )
    web_hosts: tuple[str, ...] = Field(
        (), description="Names that page and API are asked for, beside those of this machine."
    )
    web_read_only: bool = Field(False, description="Page and API change nothing.")
    web_sign_in: Literal["none", "token", "header", "oidc"] = Field(
        "none",
        description="How people sign in: `none` (this machine only), by a token, by a header of "
        "a proxy, or by OpenID Connect. A token always works.",
    )
    web_user_header: str = Field(
        "X-Forwarded-User", description="Header in which a trusted proxy names the person."
    )
    web_groups_header: str = Field(
        "X-Forwarded-Groups", description="Header in which it names the person's groups."
    )
    web_proxies: tuple[str, ...] = Field(
        (), description="Networks of the proxies whose headers are believed, such as 10.0.0.0/8."
    )
    web_roles: dict[str, Literal["viewer", "safer-only", "operator", "admin"]] = Field(
        default_factory=dict,
        description="Role of each person or group that a proxy or OpenID Connect names; `*` is "
        "anybody. Who has none is refused.",
    )
    web_oidc_issuer: str | None = Field(None, description="Address of the OpenID Connect issuer.")
    web_oidc_client_id: str | None = Field(None, description="Our id at the issuer.")
    web_oidc_client_secret: str | None = Field(None, description="Our secret at the issuer.")

    @field_validator("web_base_path")
    @classmethod
    def _is_path(cls, given: str) -> str:
        path = given.rstrip("/")
        if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
            raise ValueError("must be a path such as /rollout")
        return path

    @field_validator("broker_transport_options", mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        """Take JSON text, too: the file that `up` writes has no tables."""
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except ValueError as error:
            raise ValueError("must be a JSON object") from error

    @field_validator("notify_urls", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        """Take one URL, several with commas between, or a JSON list: whatever a variable holds."""
        if not isinstance(given, str):
            return given
        text = given.strip()
        if text.startswith("["):
            try:
                return json.loads(text)
            except ValueError as error:
                raise ValueError("must be URLs with commas between, or a JSON list") from error
        return tuple(url.strip() for url in text.split(",") if url.strip())

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.supervision_s < 2 * self.tick_s:
            raise ValueError(
                f"supervision_s must be at least twice tick_s ({self.tick_s}), "
                f"got {self.supervision_s}; a single late tick would send all jobs to legacy"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources, the strongest first."""
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, _settings_in_file()),
            TomlConfigSettingsSource(settings_cls, Path(STATE_FOLDER) / RUN_FILE),
        )

    @property
    def silent_after(self) -> timedelta:
        """A started job whose worker is silent for this long is sent again."""
        return timedelta(seconds=self.silent_after_s)

    @property
    def lost_after(self) -> timedelta:
        """An accepted job that no queue holds for this long is sent again."""
        return timedelta(seconds=self.lost_after_s)

    @property
    def keep(self) -> timedelta:
        """Committed jobs are deleted after this long."""
        return timedelta(days=self.keep_days)

    @property
    def supervision(self) -> timedelta:
        """Without a tick for this long, jobs go to legacy."""
        return timedelta(seconds=self.supervision_s)

    @property
    def ledger_in_memory(self) -> bool:
        """Whether the ledger lives and ends with this process."""
        return self.ledger_url.startswith("memory:")

    @property
    def ledger_is_set(self) -> bool:
        """Whether somebody named a ledger, or the default one is there."""
        path = self.ledger_url.removeprefix("sqlite:///")
        return "ledger_url" in self.model_fields_set or Path(path).exists()

    def broker(self, app_url: str | None = None) -> str:
        """The broker in force: the setting, else the app's, else Redis on this machine."""
        return self.broker_url or app_url or DEFAULT_REDIS

    def control(self, app_url: str | None = None) -> str:
        """The control store in force: the setting, else the broker when it is one Redis.

        One is also the primary that several Sentinels name.

        Raises:
            WrongSettings: The broker is something else, or several, and no control store is set.
        """
        broker = self.broker(app_url)
        if self.control_url:
            return self.control_url
        if not _is_one_redis(broker):
            raise WrongSettings(
                "control_url must name the Redis or Valkey that every start asks, got none, and "
                f"the broker {without_password(broker)} is not one",
                "set ROLLOUT_CONTROL_URL, e.g. redis://host:6379/0",
            )
        return broker


def _is_one_redis(url: str) -> bool:
    scheme = url.split(":", 1)[0]
    if scheme == "sentinel":
        return True
    speaks = scheme in ("redis", "rediss", "valkey", "unix", "redis+socket", "memory")
    return speaks and ";" not in url


def _file_values() -> dict[str, Any]:
    path = Path(CONFIG_FILE)
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _settings_in_file() -> dict[str, Any]:
    return {name: value for name, value in _file_values().items() if name not in _NO_SETTINGS}


def _tables_in_file(*names: str) -> dict[str, Any]:
    try:
        return {name: value for name, value in _file_values().items() if name in names}
    except ValueError as error:
        raise _not_toml(error) from None


def read_policy_tables() -> dict[str, Any]:
    """The tables of `rollout.toml` that hold policies, as TOML has them.

    Raises:
        WrongSettings: The file is not TOML.
    """
    return _tables_in_file(*POLICY_TABLES)


def read_resource_tables() -> Any:
    """The tables `[resource.NAME]` of `rollout.toml`, as TOML has them; none without the file.

    Raises:
        WrongSettings: The file is not TOML.
    """
    return _tables_in_file(RESOURCE_TABLE).get(RESOURCE_TABLE, {})


def read_settings(**given: Any) -> Settings:
    """Read all sources.

    Raises:
        WrongSettings: A value is wrong or a name is unknown; names the source and the fix.
    """
    _refuse_unknown_variables()
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _unknown(where, CONFIG_FILE) from None
        said = first["msg"].removeprefix("Value error, ")
        if not where:  # several settings that do not fit together; all of them hold passwords
            raise WrongSettings(said, f"correct ROLLOUT_* or {CONFIG_FILE}") from None
        name = str(first["loc"][0])
        got = "" if name in _SECRET else f", got {without_password(str(first['input']))[:200]!r}"
        raise WrongSettings(f"setting {where!r}: {said}{got}", _correct(name, given)) from None
    except SettingsError as error:  # a variable that its source cannot read
        raise WrongSettings(str(error), "correct the variable, or leave it out") from None
    except ValueError as error:  # a file that is not TOML
        raise _not_toml(error) from None


_SECRET = ("broker_url", "broker_transport_options", "control_url", "ledger_url", "notify_urls")
"""Settings that hold passwords or may: where one is wrong, what came is not repeated."""


def _correct(name: str, given: Mapping[str, Any]) -> str:
    """Where a setting came from, and so has to be corrected; the strongest source goes first."""
    variable = f"ROLLOUT_{name.upper()}"
    if name in given:
        return "correct what was given"
    if any(one.upper() == variable for one in os.environ):
        return f"correct the variable {variable}"
    if name in _settings_in_file():
        return f"correct {name} in {CONFIG_FILE}"
    return f"correct {variable} or {CONFIG_FILE}"


def shown(settings: Settings) -> dict[str, Any]:
    """Every setting as it can be shown: nothing that opens a door.

    Of notices only the service is said: their addresses are the secret. Of a broker's options the
    values of names that tell of one are hidden, however deep they stand.
    """
    values = settings.model_dump()
    values["notify_urls"] = tuple(f"{url.split(':', 1)[0]}://***" for url in settings.notify_urls)
    return {name: _hidden(name, value) for name, value in values.items()}


_TELLING = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
_HARMLESS = ("key_prefix", "global_keyprefix", "keyprefix_queue", "keyprefix_fanout")
"""Names that have a telling word in them and tell nothing."""


def _hidden(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {one: _hidden(str(one), held) for one, held in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_hidden(name, one) for one in value)
    if value is not None and _TELLING.search(name) and name not in _HARMLESS:
        return "***"
    return without_password(value) if isinstance(value, str) else value


def _not_toml(error: ValueError) -> WrongSettings:
    return WrongSettings(f"{CONFIG_FILE} must be TOML, got: {error}", "correct or remove it")


_KNOWN = {*Settings.model_fields, "actor"}
_KUBERNETES = re.compile(r"service_(host|port)|port(_|$)")
"""What Kubernetes puts into every container beside a service named `rollout`."""


def _refuse_unknown_variables() -> None:
    for variable in os.environ:
        if variable.startswith("ROLLOUT_"):
            name = variable.removeprefix("ROLLOUT_").lower()
            if name not in _KNOWN and not _KUBERNETES.match(name):
                raise _unknown(name, variable)


def _unknown(name: str, source: str) -> WrongSettings:
    from rollout.policy.policy import Policy

    if name in Policy.model_fields:
        return WrongSettings(
            f"no setting named {name!r} (in {source}): it is a key of policies",
            "write it into rollout.toml below [policy], or below [policy.sub_pipeline.NAME]",
        )
    close = get_close_matches(name, [*Settings.model_fields, *_NO_SETTINGS], n=1)
    guess = f", did you mean {close[0]!r}?" if close else ""
    return WrongSettings(
        f"no setting named {name!r} (in {source}){guess}",
        "`rollout doctor` lists all settings",
    )


def as_variables(settings: Settings) -> dict[str, str]:
    """The values that were set, as variables for processes that `up` starts."""
    values = settings.model_dump(mode="json", include=settings.model_fields_set)
    return {
        # What is not plain text or a number is read back as JSON.
        f"ROLLOUT_{name.upper()}": json.dumps(value)
        if isinstance(value, dict | list)
        else str(value)
        for name, value in values.items()
        if value is not None
    }


def without_password(url: str) -> str:
    """A URL, or several, as they can be shown; rather hides too much than too little."""
    url = re.sub(r"://([^:@/]*):.*@", r"://\1:***@", url, flags=re.DOTALL)
    telling = r"([?&][^=&]*(?:pass|secret|token|key|credential|auth)[^=&]*=)[^&]*"
    return re.sub(telling, r"\1***", url, flags=re.IGNORECASE)


def environment(**changes: str) -> dict[str, str]:
    """A copy of this process's environment with changes, for processes that `up` starts."""
    return {**os.environ, **changes}


def user_name() -> str:
    """Who acts, for the log of changes: as said, else as the system knows the user."""
    said = os.environ.get("ROLLOUT_ACTOR")
    if said:
        return said
    try:
        return getuser()
    except (KeyError, ImportError, OSError):  # a container's user has a number and no name
        return f"uid {os.getuid()}"
