"""The settings: one TOML file, and ``REVERTKIT_*`` variables over it (``REVERTKIT_BACKENDS__FAST__DRIVER=lvm``).

The file is ``--config``, else ``$REVERTKIT_CONFIG``, else ``/etc/revertkit/revertkit.toml`` for root and
``$XDG_CONFIG_HOME/revertkit/revertkit.toml`` for others. Without one, everything lives in the state directory, with
one backend ``local`` of the directory driver.
"""

from __future__ import annotations

import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from revertkit.errors import SettingsError
from revertkit.models import Name

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def default_file() -> Path:
    """Say where the settings file is looked for when none is named."""
    if os.geteuid() == 0:
        return Path("/etc/revertkit/revertkit.toml")
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "revertkit/revertkit.toml"


def default_state_dir() -> Path:
    """Say where state is kept when nothing else is said."""
    if os.geteuid() == 0:
        return Path("/var/lib/revertkit")
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "revertkit"


def _word(name: str) -> str:
    if not _WORD.fullmatch(name):
        raise ValueError(f"it is made of letters, digits, '.', '_' and '-', not {name!r}")
    return name


Word = Annotated[str, AfterValidator(_word)]
"""The name of a host or a backend: part of a pool's name, of paths and of URLs."""


Percentage = Annotated[float, Field(ge=0, le=100)]
DEFAULT_ZONE = "nova"
"""The availability zone where nothing else is said; Manila's default."""


class BackendSettings(BaseModel):
    """One backend: its driver's name, what schedulers are told of its pools, and the driver's own options beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    driver: str
    availability_zone: Word | None = Field(None, description="the zone that its pools are in; default: the host's")
    replication_domain: Name | None = Field(
        None, description="which backends replicate with one another; default, where the driver can: the driver's name"
    )
    reserved_percentage: Percentage = Field(0, description="of a pool, kept free of new shares")
    reserved_snapshot_percentage: Percentage | None = Field(
        None, description="the same for shares made from snapshots; default: reserved_percentage"
    )
    reserved_share_extend_percentage: Percentage | None = Field(
        None, description="the same for growth; default: reserved_percentage"
    )

    @property
    def reserved(self) -> dict[str, float]:
        """What is kept free of its pools, in percent, by the report's names."""
        others = ("reserved_snapshot_percentage", "reserved_share_extend_percentage")
        own = {key: getattr(self, key) for key in others if getattr(self, key) is not None}
        return dict.fromkeys(("reserved_percentage", *others), self.reserved_percentage) | own

    @property
    def options(self) -> dict[str, Any]:
        """The driver's own options, not yet checked by it."""
        return dict(self.model_extra or {})


class AuthMode(StrEnum):
    """How the REST API knows who asks."""

    NONE = "none"
    HTTP_BASIC = "http_basic"
    KEYSTONE = "keystone"


class ApiUser(BaseModel):
    """A user of ``http_basic``: roles by project, the first project being the one that is meant where none is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    projects: dict[Name, list[Word]] = Field(min_length=1)


class ApiSettings(BaseModel):
    """The REST API (``revertkit serve``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field("127.0.0.1", description="the IP address to listen at")
    port: int = Field(8786, ge=0, le=65535, description="Manila's; 0 is any that is free")
    auth: AuthMode = Field(AuthMode.NONE, description="none (loopback only), http_basic or keystone")
    htpasswd: Path = Field(Path("/etc/revertkit/htpasswd"), description="users and bcrypt hashes, for http_basic")
    users: dict[str, ApiUser] = Field(default_factory=dict, description="their projects and roles, for http_basic")
    keystone: dict[str, str] = Field(default_factory=dict, description="keystonemiddleware's options")
    policy: Path | None = Field(None, description="a policy.yaml over the built-in rules")
    ssl_certfile: Path | None = Field(None, description="the certificate, with its chain")
    ssl_keyfile: Path | None = Field(None, description="its key")
    open_metrics: bool = Field(False, description="serve /metrics to everybody, not only to an administrator")
    look_seconds: float = Field(60, gt=0, description="how often replicas are looked at, and so brought in sync")
    workers: int = Field(8, ge=1, le=256, description="operations that run at the same time")
    stop_seconds: float = Field(60, ge=0, description="how long a stop waits for operations under way")
    max_body: int = Field(114688, ge=1024, description="the largest request body, in bytes")
    max_limit: int = Field(1000, ge=1, description="the longest page of a list")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="REVERTKIT_", env_nested_delimiter="__", extra="forbid", frozen=True)

    host: Word | None = Field(None, description="this host's name in records; stored at first use")
    state_dir: Path = Field(default_factory=default_state_dir, description="database, locks and the host's name")
    database: str = Field("sqlite", description="'sqlite' for the embedded one, or a SQLAlchemy URL")
    project: Name = Field("default", description="the project of the command line")
    default_share_type: str | None = Field(None, description="the type of a share that is made without one")
    availability_zone: Word = Field(DEFAULT_ZONE, description="the availability zone of this host's backends")
    backends: dict[Word, BackendSettings] = Field(default_factory=dict)
    api: ApiSettings = Field(default_factory=lambda: ApiSettings())

    @field_validator("state_dir")
    @classmethod
    def _state_dir(cls, path: Path) -> Path:
        if set("?#%") & set(str(path)):
            raise ValueError("the state directory's path holds no '?', '#' or '%': it is part of URLs")
        return path.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        return env_settings, init_settings

    @property
    def embedded_root(self) -> Path:
        """Where the shares of the embedded default live."""
        return self.state_dir / "shares"

    @property
    def all_backends(self) -> dict[str, BackendSettings]:
        """The configured backends, or the embedded default where there is none, each with its availability zone."""
        embedded = BackendSettings.model_validate({"driver": "directory", "mount_root": self.embedded_root})
        return {name: self._in_zone(backend) for name, backend in (self.backends or {"local": embedded}).items()}

    def _in_zone(self, backend: BackendSettings) -> BackendSettings:
        zone = backend.availability_zone or self.availability_zone
        return backend.model_copy(update={"availability_zone": zone})


def file_for(named: Path | None) -> Path:
    """Say which file is read: the one named, else $REVERTKIT_CONFIG, else the default one, which need not be there."""
    return named or Path(os.environ.get("REVERTKIT_CONFIG") or default_file())


def load(file: Path | None = None) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: the file named is not there or is no TOML, or a value is wrong; says file, line and key.
    """
    path = file_for(file)
    try:
        text = path.read_text() if path != default_file() or path.exists() else ""
        return Settings(**tomllib.loads(text))
    except (OSError, UnicodeDecodeError) as failure:
        raise SettingsError(f"{path}: cannot be read: {failure}") from None
    except tomllib.TOMLDecodeError as wrong:
        raise SettingsError(f"{path}: {wrong}") from None
    except UnreadableVariable as wrong:
        raise SettingsError(f"a REVERTKIT_ variable: {wrong} ({wrong.__cause__})") from None
    except ValidationError as wrong:
        raise SettingsError("; ".join(_told(path, text, error) for error in wrong.errors())) from None


def _told(path: Path, text: str, error: Any) -> str:
    parts = [str(part) for part in error["loc"]]
    where = _variable_of(parts) or f"{path}:{_line_of(text, parts) or 1}"
    return f"{where}: {'.'.join(parts)}: {error['msg']}"


def _variable_of(key: list[str]) -> str | None:
    """Find the variable that sets `key`, or a part of it, or that it is a part of; it would have won over the file."""
    wanted = ("REVERTKIT_" + "__".join(key)).upper() + "__"
    given = {name: name.upper() + "__" for name in os.environ}
    return next((name for name, mine in given.items() if wanted.startswith(mine) or mine.startswith(wanted)), None)


def _line_of(text: str, key: list[str]) -> int | None:
    """Find the line that sets `key`, or the table it should be in."""
    table: list[str] = []
    best: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
            table = [part.strip(" \"'") for part in header.group(1).split(".")]
            best = number if table == key[: len(table)] else best
        elif setting := re.match(r"\s*[\"']?([^=\"'\s]+)[\"']?\s*=", line):
            here = [*table, *setting.group(1).split(".")]
            best = number if here == key[: len(here)] else best
    return best
