"""Completes the answers to `newsletter init`: what follows from them, and what need not be said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import time as daytime

import tzlocal

from newsletter.app.initial_setup import Answers, Setup
from newsletter.config.schema import Config
from newsletter.config.values import name_and_address, zone
from newsletter.transports.mail_servers import USUAL_PORTS, provider_at, usual_security


def completed(setup: Setup, answers: Answers) -> Answers:
    """Returns the answers with what follows from them.

    A host implies SMTP and, at a known provider, port and security. Mail by SMTP is from the
    account that logs in, if its name is an address, else from the owner, unless the operator chose
    a sender. A new configuration gets this machine's time zone. Settings that an existing one has
    already are left out.
    """
    settings, config = dict(answers.settings), setup.current.config
    if "transports.smtp.host" in settings:
        settings.setdefault("delivery.transport", "smtp")
        settings |= _connection(settings)
    for secret in _SECRETS:
        if settings.get(secret):
            settings = {**dict.fromkeys(_SECRETS), **settings}
    if "newsletter.sender" not in settings and (sender := _sender(config, settings)):
        settings["newsletter.sender"] = sender
    if setup.is_new:
        settings.setdefault("newsletter.time_zone", guessed_zone())
    needed = {name: value for name, value in settings.items() if _is_needed(setup, name, value)}
    return replace(answers, settings=needed)


_SECRETS = tuple(f"transports.smtp.{key}" for key in ("password", "password_file", "token_command"))
"""The settings of which only one can be given."""


def _connection(settings: Mapping[str, str | int | None]) -> dict[str, str | int]:
    """Returns port and security of a server as given, else as usual there."""
    host = str(settings["transports.smtp.host"])
    port, security = (settings.get(f"transports.smtp.{key}") for key in ("port", "security"))
    provider = provider_at(host)
    if provider and not port and security in (None, provider.security):
        port, security = provider.port, provider.security
    elif security and not port:
        port = USUAL_PORTS[str(security)]
    elif port and not security:
        security = usual_security(int(port), host)
    found = {"port": port, "security": security}
    return {f"transports.smtp.{key}": value for key, value in found.items() if value}


def _sender(config: Config, settings: Mapping[str, str | int | None]) -> str:
    """Returns the sender of mail by SMTP; empty if the configured one is to stay."""
    section, smtp = config.newsletter, config.transports.smtp
    kind = settings.get("delivery.transport", config.delivery.transport)
    derived = ("", *(_mailbox(section.name, one) for one in (section.owner, smtp.username)))
    if kind != "smtp" or section.sender not in derived:
        return ""
    name = str(settings.get("newsletter.name") or section.name)
    owner = str(settings.get("newsletter.owner") or section.owner)
    user = str(settings.get("transports.smtp.username", smtp.username) or "")
    return _mailbox(name, user) or _mailbox(name, owner)


def _mailbox(name: str, address: str) -> str:
    """Returns an address with a name before it; empty if it is no address."""
    _, address = name_and_address(address)
    name = re.sub(r'["<>]', "", name)
    if "@" not in address:
        return ""
    if not name.strip():
        return address
    return f'"{name}" <{address}>' if "," in name else f"{name} <{address}>"


def guessed_zone() -> str:
    """Returns the time zone of this machine; UTC if it has no known name."""
    try:
        found = zone(tzlocal.get_localzone_name() or "UTC")
    except (ValueError, LookupError, OSError):
        return "UTC"
    return "UTC" if found == "Etc/UTC" else found


def _is_needed(setup: Setup, name: str, value: str | int | None) -> bool:
    """Returns whether a setting has to be written: the configuration has another value so far."""
    if setup.is_new or value is None:
        return value != ""
    current: object = setup.current.config
    for part in name.split("."):
        current = getattr(current, part)
    return value != (f"{current:%H:%M}" if isinstance(current, daytime) else current)
