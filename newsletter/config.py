"""The configuration: every key, its meaning and its limits. Pure: reads no file.

All sections are accepted whether or not anything uses them yet. Every problem is
reported at once, with the key's path and, for a misspelt key, what was meant.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from newsletter import colour
from newsletter.errors import ConfigError

ENVIRONMENT = "NEWSLETTER__"
"""`NEWSLETTER__TRANSPORTS__SMTP__PASSWORD` sets `transports.smtp.password`."""

LANGUAGES = ("en",)

_DURATION = re.compile(r"(\d+) ?(s|min|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise ValueError('write a number and a unit, such as "30m", "3h" or "2d"')
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _time_of_day(value: object) -> time:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", value) if isinstance(value, str) else None
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise ValueError('write a time of day, such as "07:30"')
    return time(int(match[1]), int(match[2]))


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError) as exc:
        raise ValueError('no such time zone; write one like "Europe/Berlin" or "UTC"') from exc
    return value


def _mailbox(value: str) -> str:
    if value and _address_of(value) is None:
        raise ValueError('write "Name <address>" or an address')
    return value


def _address_of(value: str) -> Address | None:
    name, addr_spec = parseaddr(value)
    try:
        address = Address(name, addr_spec=addr_spec)
    except (ValueError, IndexError):
        return None
    return address if address.username and "." in address.domain else None


def _base_url(value: str) -> str:
    if not value:
        return value
    parts = urlsplit(value)
    loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.scheme == "https" or loopback) or not parts.hostname:
        raise ValueError("write an https:// address (http:// only for this machine itself)")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("write it without user name, query and fragment")
    return value.rstrip("/")


def _coloured(value: str) -> str:
    if not colour.is_colour(value):
        raise ValueError('write a colour such as "#1d4fb8"')
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
Colour = Annotated[str, AfterValidator(_coloured)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Newsletter(_Section):
    """Who writes to whom, when, and under which name."""

    name: str = Field("Daily Papers", min_length=1, max_length=78)
    sender: Mailbox = ""
    reply_to: Mailbox = ""
    owner: Mailbox = ""
    base_url: Annotated[str, AfterValidator(_base_url)] = ""
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    send_at: TimeOfDay = time(7, 30)
    skip_dates: tuple[date, ...] = ()
    language: Literal["en"] = "en"
    postal_address: str = ""
    bounce_domain: str = ""


class DatabaseSection(_Section):
    """Where everything is remembered."""

    url: str = "sqlite:///newsletter.db"

    @field_validator("url")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        if not re.match(r"sqlite:///.|postgresql\+psycopg://", value):
            raise ValueError('write "sqlite:///file.db" or "postgresql+psycopg://…"')
        return value


class SourceSection(_Section):
    """A place papers come from."""

    name: str = Field(min_length=1)
    url: str = ""
    path: str = ""
    every: Duration = timedelta(hours=3)
    format: str = ""
    allow_private: bool = False

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.url) == bool(self.path):
            raise ValueError("give either url or path")
        if self.url and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError("url: write an http:// or https:// address")
        return self


class Delivery(_Section):
    """How editions leave."""

    transport: Literal["smtp", "eml", "maildir", "null"] = "eml"
    sessions: int = Field(4, ge=1, le=256)
    max_per_second: float | None = Field(None, gt=0)
    max_per_day: int | None = Field(None, gt=0)
    unknown: Literal["hold", "resend"] = "hold"
    give_up_after: Duration = timedelta(days=3)
    catch_up: Duration = timedelta(hours=6)
    per_domain: dict[str, float] = Field(default_factory=dict)


class Smtp(_Section):
    """A mail server."""

    host: str = Field("", max_length=253)
    port: int = Field(465, ge=1, le=65535)
    security: Literal["tls", "starttls", "none"] = "tls"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = ""
    token_command: str = ""

    @model_validator(mode="after")
    def _never_in_clear(self) -> Self:
        if self.security == "none" and self.host not in _LOOPBACK:
            raise ValueError('security = "none" is for this machine itself only')
        secrets = (self.password.get_secret_value(), self.password_file, self.token_command)
        if sum(map(bool, secrets)) > 1:
            raise ValueError("give only one of password, password_file and token_command")
        return self


class Folder(_Section):
    """A transport that writes files."""

    folder: str = "outbox"


class Transports(_Section):
    """The settings of each transport."""

    smtp: Smtp = Smtp()
    eml: Folder = Folder()
    maildir: Folder = Folder()


class Theme(_Section):
    """How editions look."""

    name: str = Field("default", pattern=r"^[\w-]+$")
    templates_dir: str = ""
    accent: Colour = "#1d4fb8"
    accent_dark: Colour | Literal[""] = ""
    excerpts: int = Field(12, ge=0, le=500)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for key, value, page in (
            ("accent", self.accent, colour.PAGE_LIGHT),
            ("accent_dark", self.accent_dark, colour.PAGE_DARK),
        ):
            if value and colour.contrast(value, page) < colour.AA:
                better = colour.readable(value, page)
                raise ValueError(f"{key} cannot be read on its page; {better} can")
        return self

    @property
    def dark(self) -> str:
        """The accent on a dark page: the configured one, or a shade of the light one."""
        default = self.accent == Theme.model_fields["accent"].default
        return self.accent_dark or (
            "#8fb4ff" if default else colour.readable(self.accent, colour.PAGE_DARK)
        )


class Web(_Section):
    """The pages readers see."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    secret_keys: tuple[SecretStr, ...] = ()
    metrics_token: SecretStr = SecretStr("")
    trusted_hops: int = Field(0, ge=0, le=8)


class Config(_Section):
    """The whole configuration; paths are absolute."""

    newsletter: Newsletter = Newsletter()
    database: DatabaseSection = DatabaseSection()
    sources: tuple[SourceSection, ...] = ()
    delivery: Delivery = Delivery()
    transports: Transports = Transports()
    theme: Theme = Theme()
    web: Web = Web()

    @field_validator("sources")
    @classmethod
    def _distinct(cls, value: tuple[SourceSection, ...]) -> tuple[SourceSection, ...]:
        names = [source.name for source in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name “{twice[0]}” is used twice")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _is_section(cls, value: object, info: ValidationInfo) -> object:
        if info.field_name != "sources" and not isinstance(value, (Mapping, _Section)):
            raise ValueError(f"write it as a section, [{info.field_name}]")
        return value


def parse(text: str, environment: Mapping[str, str], *, where: str, folder: Path) -> Config:
    """The configuration that `text` and the environment describe.

    Args:
        text: TOML.
        environment: variables `NEWSLETTER__SECTION__KEY` override the text.
        where: the file's name, for messages.
        folder: relative paths in it start here.

    Raises:
        ConfigError: with every problem.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([str(exc)], where=where, hint="mend the line, then check again") from exc
    for path, value in _overrides(environment):
        section = values
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = value
    _make_absolute(values, folder)
    try:
        return Config.model_validate(values)
    except ValidationError as exc:
        raise ConfigError(
            list(_problems(exc)), where=where, hint="`newsletter config check` lists them"
        ) from exc


def _overrides(environment: Mapping[str, str]) -> Iterator[tuple[list[str], str]]:
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT):
            yield name.removeprefix(ENVIRONMENT).lower().split("__"), value


_PATHS = (
    ("theme", "templates_dir"),
    ("transports", "eml", "folder"),
    ("transports", "maildir", "folder"),
    ("transports", "smtp", "password_file"),
)


def _make_absolute(values: dict[str, Any], folder: Path) -> None:
    for source in _tables(values.get("sources")):
        _join(source, "path", folder)
    for *sections, key in _PATHS:
        table: Any = values
        for section in sections:
            table = table.get(section) if isinstance(table, dict) else None
        if isinstance(table, dict):
            _join(table, key, folder)
    database = values.setdefault("database", {})
    if isinstance(database, dict):
        url = database.setdefault("url", "sqlite:///newsletter.db")
        if isinstance(url, str) and url.startswith("sqlite:///") and len(url) > 10:
            database["url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"


def _tables(value: object) -> list[dict[str, Any]]:
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def _join(table: dict[str, Any], key: str, folder: Path) -> None:
    if isinstance(table.get(key), str) and table[key]:
        table[key] = str(folder / Path(table[key]).expanduser())


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        path = _path(problem["loc"])
        if problem["type"] == "extra_forbidden":
            yield f"{path}: no such setting{_meant(problem['loc'])}"
        else:
            yield f"{path}: {problem['msg'].removeprefix('Value error, ')}"


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for step in loc:
        if isinstance(step, int):
            path += f"[{step + 1}]"
        elif "-" not in step:  # a branch of a union, not a key
            path += f".{step}" if path else step
    return path


def _meant(loc: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = Config
    for step in loc[:-1]:
        if isinstance(step, str):
            model = _section_of(model, step)
    near = difflib.get_close_matches(str(loc[-1]), model.model_fields, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _section_of(model: type[BaseModel], key: str) -> type[BaseModel]:
    kind: Any = SourceSection if key == "sources" else model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else model
