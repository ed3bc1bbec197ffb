"""The schema of the configuration: every section and key, its default and its limits.

All sections are accepted whether or not anything uses them. Pure: neither reads files nor
parses TOML (see `file` and `parse`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from newsletter.config import values
from newsletter.text import colour

Duration = Annotated[timedelta, BeforeValidator(values.duration)]
TimeOfDay = Annotated[time, BeforeValidator(values.time_of_day)]
OneLine = Annotated[str, AfterValidator(values.one_line)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Mailbox = Annotated[str, Field(max_length=320), AfterValidator(values.mailbox)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NewsletterSection(_Section):
    """The newsletter's name, sender and addresses, and its schedule."""

    name: OneLine = Field("Daily Papers", min_length=1, max_length=78)
    sender: Mailbox = ""
    notice_sender: Mailbox = ""
    reply_to: Mailbox = ""
    owner: Mailbox = ""
    base_url: Annotated[str, AfterValidator(values.base_url)] = Field("", max_length=300)
    time_zone: Annotated[str, AfterValidator(values.zone)] = "UTC"
    send_at: TimeOfDay = time(7, 30)
    skip_dates: tuple[date, ...] = ()
    language: Literal["en"] = "en"
    postal_address: OneLine = ""
    weekly_report: bool = False
    alert_command: SecretStr = SecretStr("")
    alert_url: SecretStr = SecretStr("")
    ping_url: SecretStr = SecretStr("")
    bounce_domain: Annotated[str, AfterValidator(values.domain)] = ""

    @field_validator("alert_command")
    @classmethod
    def _runs(cls, value: SecretStr) -> SecretStr:
        values.command_line(value.get_secret_value())
        return value

    @field_validator("alert_url", "ping_url")
    @classmethod
    def _takes_requests(cls, value: SecretStr) -> SecretStr:
        values.request_url(value.get_secret_value())
        return value


class DatabaseSection(_Section):
    """The database of this installation."""

    url: str = "sqlite:///newsletter.db"
    backups: int = Field(7, ge=0, le=3650)

    @field_validator("url")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        return values.database_url(value)


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


class DeliverySection(_Section):
    """How editions are sent."""

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
        # A machine that always wakes up late would postpone a daily edition for ever.
        if value >= timedelta(days=1):
            raise ValueError('write less than a day, such as "6h"')
        return value


class SmtpSection(_Section):
    """A mail server."""

    host: Annotated[str, AfterValidator(values.host)] = Field("", max_length=253)
    port: int = Field(465, ge=1, le=65535)
    security: Literal["tls", "starttls", "none"] = "tls"
    username: OneLine = ""
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


class DkimSection(_Section):
    """The signatures of mails."""

    domain: Annotated[str, AfterValidator(values.domain)] = ""
    selector: str = Field("news", max_length=63)
    key_file: str = ""
    ed25519_selector: str = Field("news-ed", max_length=63)
    ed25519_key_file: str = Field("", validate_default=True)

    @field_validator("selector", "ed25519_selector")
    @classmethod
    def _is_dns_name(cls, value: str) -> str:
        if not re.fullmatch(values.SELECTOR, value):
            raise ValueError("write letters, digits, hyphens and dots, such as news2027")
        return value

    @field_validator("ed25519_key_file")
    @classmethod
    def _beside_rsa(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("key_file"):
            raise ValueError("large providers verify RSA only: give key_file as well")
        if value and info.data.get("selector") == info.data.get("ed25519_selector"):
            raise ValueError("the two keys need different selectors")
        return value


class FolderSection(_Section):
    """A transport that writes files."""

    folder: str = "outbox"


class TransportsSection(_Section):
    """The settings of each transport."""

    smtp: SmtpSection = SmtpSection()
    eml: FolderSection = FolderSection()
    maildir: FolderSection = FolderSection()


class ThemeSection(_Section):
    """The theme and its settings."""

    name: Annotated[str, AfterValidator(values.theme_name)] = "default"
    templates_dir: str = ""
    accent: Annotated[str, AfterValidator(values.readable_on(colour.PAGE_LIGHT))] = "#1d4fb8"
    accent_dark: Annotated[str, AfterValidator(values.readable_on(colour.PAGE_DARK))] = ""
    excerpts: int = Field(12, ge=0, le=500)

    @property
    def dark(self) -> str:
        """The accent on a dark page: the configured one, or a shade of the light one."""
        default = self.accent == ThemeSection.model_fields["accent"].default
        return self.accent_dark or (
            "#8fb4ff" if default else colour.readable(self.accent, colour.PAGE_DARK)
        )


class WebSection(_Section):
    """The web server and its pages."""

    host: Annotated[str, AfterValidator(values.host)] = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    secret_keys: tuple[SecretStr, ...] = ()
    metrics_token: SecretStr = SecretStr("")
    trusted_hops: int = Field(0, ge=0, le=8)


class Config(_Section):
    """The whole configuration; paths are absolute."""

    newsletter: NewsletterSection = NewsletterSection()
    database: DatabaseSection = DatabaseSection()
    sources: tuple[SourceSection, ...] = ()
    delivery: DeliverySection = DeliverySection()
    transports: TransportsSection = TransportsSection()
    dkim: DkimSection = DkimSection()
    theme: ThemeSection = ThemeSection()
    web: WebSection = WebSection()

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
        if info.field_name == "database" and isinstance(value, str):
            values.refuse_postgresql(value)
        if info.field_name != "sources" and not isinstance(value, (Mapping, _Section)):
            raise ValueError(f"write it as a section, [{info.field_name}]")
        return value
