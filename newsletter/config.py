"""The configuration: every key, its meaning and its limits. Pure: reads no file.

All sections are accepted whether or not anything uses them yet. Every problem is
reported at once, with the key's path and, for a misspelt key, what was meant.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

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
)

from newsletter import colour, values
from newsletter.errors import ConfigError

ENVIRONMENT = "NEWSLETTER__"
"""`NEWSLETTER__TRANSPORTS__SMTP__PASSWORD` sets `transports.smtp.password`."""

Duration = Annotated[timedelta, BeforeValidator(values.duration)]
TimeOfDay = Annotated[time, BeforeValidator(values.time_of_day)]
OneLine = Annotated[str, AfterValidator(values.one_line)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Mailbox = Annotated[str, Field(max_length=320), AfterValidator(values.mailbox)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Newsletter(_Section):
    """Who writes to whom, when, and under which name."""

    name: OneLine = Field("Daily Papers", min_length=1, max_length=78)
    sender: Mailbox = ""
    reply_to: Mailbox = ""
    owner: Mailbox = ""
    base_url: Annotated[str, AfterValidator(values.base_url)] = Field("", max_length=300)
    time_zone: Annotated[str, AfterValidator(values.zone)] = "UTC"
    send_at: TimeOfDay = time(7, 30)
    skip_dates: tuple[date, ...] = ()
    language: Literal["en"] = "en"
    postal_address: OneLine = ""
    weekly_report: bool = False
    bounce_domain: Annotated[str, AfterValidator(values.domain)] = ""


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
    path: str = Field("", validate_default=True)
    every: Duration = timedelta(hours=3)
    format: str = ""
    allow_private: bool = False

    @field_validator("url")
    @classmethod
    def _fetchable(cls, value: str) -> str:
        if value and not re.match(r"https?://[^/]", value):
            raise ValueError("write an http:// or https:// address")
        return value

    @field_validator("path")
    @classmethod
    def _one_place(cls, value: str, info: ValidationInfo) -> str:
        if "url" in info.data and bool(info.data["url"]) == bool(value):
            raise ValueError("give either url or path")
        return value


class Delivery(_Section):
    """How editions leave."""

    transport: Literal["smtp", "eml", "maildir", "null"] = "eml"
    sessions: int = Field(4, ge=1, le=256)
    max_per_second: Rate | None = None
    max_per_day: int | None = Field(None, gt=0)
    unknown: Literal["hold", "resend"] = "hold"
    give_up_after: Duration = timedelta(days=3)
    catch_up: Duration = timedelta(hours=6)
    per_domain: dict[Annotated[str, AfterValidator(values.named_domain)], Rate] = Field(
        default_factory=dict
    )

    @field_validator("give_up_after")
    @classmethod
    def _at_most_a_year(cls, value: timedelta) -> timedelta:
        if value > timedelta(days=366):
            raise ValueError('write at most a year, such as "3d"')
        return value

    @field_validator("catch_up")
    @classmethod
    def _shorter_than_a_day(cls, value: timedelta) -> timedelta:
        # A machine that always wakes late would put a daily edition off for ever.
        if value >= timedelta(days=1):
            raise ValueError('write less than a day, such as "6h"')
        return value


class Smtp(_Section):
    """A mail server."""

    host: str = Field("", max_length=253)
    port: int = Field(465, ge=1, le=65535)
    security: Literal["tls", "starttls", "none"] = "tls"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = ""
    token_command: str = Field("", validate_default=True)

    @field_validator("security")
    @classmethod
    def _never_in_clear(cls, value: str, info: ValidationInfo) -> str:
        if value == "none" and info.data.get("host") not in values.LOOPBACK:
            raise ValueError('"none" is for this machine itself only')
        return value

    @field_validator("token_command")
    @classmethod
    def _one_secret(cls, value: str, info: ValidationInfo) -> str:
        password = info.data.get("password", SecretStr("")).get_secret_value()
        if sum(map(bool, (password, info.data.get("password_file"), value))) > 1:
            raise ValueError("give only one of password, password_file and token_command")
        return value


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
    accent: Annotated[str, AfterValidator(values.readable_on(colour.PAGE_LIGHT))] = "#1d4fb8"
    accent_dark: Annotated[str, AfterValidator(values.readable_on(colour.PAGE_DARK))] = ""
    excerpts: int = Field(12, ge=0, le=500)

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
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # also numbers too long, tables too deep
        raise ConfigError([str(exc)], where=where, hint="mend the line, then check again") from exc
    problems = [
        problem
        for path, value in _overrides(environment)
        if (problem := _override(tables, path, value))
    ]
    problems += _make_absolute(tables, folder)
    try:
        config = Config.model_validate(tables)
    except ValidationError as exc:
        problems += _problems(exc)
    if problems:
        hint = "`newsletter config check` lists them"
        raise ConfigError(problems, where=where, hint=hint) from None
    return config


_LISTS = (("newsletter", "skip_dates"), ("web", "secret_keys"))
"""Settings that are lists; a variable has one between commas."""


def _overrides(environment: Mapping[str, str]) -> Iterator[tuple[list[str], str]]:
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT):
            yield name.removeprefix(ENVIRONMENT).lower().split("__"), value


def _override(tables: dict[str, Any], path: Sequence[str], value: str) -> str | None:
    """Sets one value, or says why the variable fits nothing."""
    section: Any = tables
    for key in path[:-1]:
        section = section.setdefault(key, {}) if isinstance(section, dict) else None
    if not isinstance(section, dict) or len(path) < 2 or isinstance(section.get(path[-1]), dict):
        return f"{ENVIRONMENT}{'__'.join(path).upper()}: no setting can be reached by this name"
    section[path[-1]] = values.several(value) if tuple(path) in _LISTS else value
    return None


_PATHS = (
    ("theme", "templates_dir"),
    ("transports", "eml", "folder"),
    ("transports", "maildir", "folder"),
    ("transports", "smtp", "password_file"),
)
_DEFAULTS = {
    ("transports", "eml", "folder"): "outbox",
    ("transports", "maildir", "folder"): "maildir",
}


def _make_absolute(tables: dict[str, Any], folder: Path) -> list[str]:
    """Makes all paths start at `folder`; what cannot be resolved."""
    places: list[tuple[str, dict[str, Any], str]] = [
        (f"sources[{number}].path", table, "path")
        for number, table in enumerate(_tables(tables.get("sources")), 1)
    ]
    for path in _PATHS:
        table: Any = tables
        for key in path[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            if path in _DEFAULTS:
                table.setdefault(path[-1], _DEFAULTS[path])
            places.append((".".join(path), table, path[-1]))
    database = tables.setdefault("database", {})
    if isinstance(database, dict):
        url = database.setdefault("url", "sqlite:///newsletter.db")
        if isinstance(url, str) and url.startswith("sqlite:///") and len(url) > 10:
            if "?" in url or "\0" in url:
                return ["database.url: write it as sqlite:///file, without options"]
            database["url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
    return [problem for name, table, key in places if (problem := _join(name, table, key, folder))]


def _tables(value: object) -> list[dict[str, Any]]:
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def _join(name: str, table: dict[str, Any], key: str, folder: Path) -> str | None:
    if isinstance(table.get(key), str) and table[key]:
        if "\0" in table[key]:
            return f"{name}: no file has such a name"
        try:
            table[key] = str(folder / Path(table[key]).expanduser())
        except RuntimeError:
            return f"{name}: there is no such user for “~”"
    return None


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
        else:
            path += f".{step}" if path else step
    return path


def _meant(loc: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = Config
    for step in loc[:-1]:
        if isinstance(step, str):
            model = _section_of(model, step)
    asked = str(loc[-1]).lower().replace("-", "_")
    near = difflib.get_close_matches(asked, model.model_fields, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _section_of(model: type[BaseModel], key: str) -> type[BaseModel]:
    kind: Any = SourceSection if key == "sources" else model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else model
