"""Builds what planning and sending need from the configuration."""

from __future__ import annotations

import threading
import zoneinfo
from importlib.metadata import version
from pathlib import Path

from newsletter.app import dkim_keys
from newsletter.app.edition_factories import notice_sender, sender
from newsletter.config.schema import Config
from newsletter.delivery.personalise import Origin
from newsletter.delivery.recorder import Limits
from newsletter.errors import ConfigError
from newsletter.planning.rules import Rules
from newsletter.transports.base import Settings, Transport
from newsletter.transports.table import TRANSPORTS
from newsletter.transports.wire import SmtpSettings


def rules(config: Config) -> Rules:
    """Returns the scheduling rules."""
    section = config.newsletter
    return Rules(
        time_zone=section.time_zone,
        send_at=section.send_at,
        skip_dates=frozenset(section.skip_dates),
        catch_up=config.delivery.catch_up,
        tz_version=_tz_version(),
    )


def limits(config: Config) -> Limits:
    """Returns the limits of a delivery run."""
    section = config.delivery
    return Limits(
        sessions=section.sessions,
        max_per_second=section.max_per_second,
        max_per_day=section.max_per_day,
        per_domain=section.per_domain,
        give_up_after=section.give_up_after,
        unknown=section.unknown,
    )


def origin(config: Config) -> Origin:
    """Returns the origin of messages: senders, base URL, bounce domain and keys.

    Raises:
        ConfigError: a key that signs messages cannot be used.
    """
    keys = config.web.secret_keys
    return Origin(
        sender=sender(config),
        base_url=config.newsletter.base_url,
        bounce_domain=config.newsletter.bounce_domain,
        link_key=keys[0].get_secret_value().encode() if keys else None,
        notice_sender=notice_sender(config),
        signer=dkim_keys.signer(config),
    )


def transport(config: Config, stop: threading.Event | None) -> Transport:
    """Returns the configured transport.

    Raises:
        ConfigError: a setting that it needs is missing.
    """
    problems = sending_problems(config)
    if problems:
        raise ConfigError(problems, hint="`newsletter config check` lists what is wrong")
    kind = config.delivery.transport
    settings = Settings(
        smtp=_smtp(config) if kind == "smtp" else None,
        folder=Path(getattr(config.transports, kind).folder)
        if kind in ("eml", "maildir")
        else None,
        stop=stop,
    )
    return TRANSPORTS[kind](settings)


def through(config: Config) -> str:
    """Returns the name of the server or transport that sends the mail."""
    kind = config.delivery.transport
    if kind == "smtp":
        return f"{config.transports.smtp.host}:{config.transports.smtp.port}"
    return f"the transport {kind}"


def sending_problems(config: Config) -> list[str]:
    """Returns what is missing before the configured transport can send mail."""
    problems = dkim_keys.problems(config)
    if config.delivery.transport != "smtp":
        return problems
    if not config.newsletter.sender:
        problems.append("newsletter.sender: mail by SMTP needs the address it comes from")
    if not config.newsletter.owner and not config.newsletter.base_url:
        problems.append(
            "newsletter.owner: mail needs a way to unsubscribe: set this address, or base_url"
        )
    if not config.transports.smtp.host:
        problems.append("transports.smtp.host: mail by SMTP needs a server")
    try:
        smtp_password(config)
    except ConfigError as error:
        problems += error.problems
    return problems


def _smtp(config: Config) -> SmtpSettings:
    section = config.transports.smtp
    return SmtpSettings(
        host=section.host,
        port=section.port,
        security=section.security,
        username=section.username,
        password=smtp_password(config),
        token_command=section.token_command,
    )


def smtp_password(config: Config) -> str:
    """Returns the password of the mail server; empty if there is none.

    Raises:
        ConfigError: the file that has it cannot be read.
    """
    section = config.transports.smtp
    if not section.password_file:
        return section.password.get_secret_value()
    try:
        return Path(section.password_file).read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        what = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise ConfigError(
            [f"transports.smtp.password_file: cannot be read ({what})"],
            where=section.password_file,
            hint="check its owner and mode",
        ) from exc


def _tz_version() -> str:
    """Returns the version of the time zone database that Python reads."""
    for folder in zoneinfo.TZPATH:
        for name in ("tzdata.zi", "+VERSION"):
            path = Path(folder) / name
            if path.is_file():
                with path.open(encoding="utf-8") as file:
                    return file.readline().strip()
    return version("tzdata")
