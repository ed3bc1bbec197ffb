"""Completes the answers to `newsletter init`: what follows from them, and what need not be said."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import time as daytime

import tzlocal

from newsletter.app.initial_setup import Answers, Setup
from newsletter.config.values import name_and_address, zone
from newsletter.transports.mail_servers import provider_at


def completed(setup: Setup, answers: Answers) -> Answers:
    """Returns the answers with what follows from them.

    A host implies SMTP and, at a known provider, port and security. Mail by SMTP is from the owner
    unless a sender is given. A new configuration gets this machine's time zone. Settings that an
    existing one has already are left out.
    """
    settings, config = dict(answers.settings), setup.found.config
    if "transports.smtp.host" in settings:
        settings.setdefault("delivery.transport", "smtp")
        provider = provider_at(str(settings["transports.smtp.host"]))
        if provider and "transports.smtp.port" not in settings:
            settings["transports.smtp.port"] = provider.port
            settings.setdefault("transports.smtp.security", provider.security)
    name = str(settings.get("newsletter.name") or config.newsletter.name)
    owner = str(settings.get("newsletter.owner") or config.newsletter.owner)
    if settings.get("delivery.transport") == "smtp" and owner and not config.newsletter.sender:
        settings.setdefault("newsletter.sender", mailbox(name, owner))
    if setup.is_new:
        settings.setdefault("newsletter.time_zone", guessed_zone())
    needed = {name: value for name, value in settings.items() if _is_needed(setup, name, value)}
    return replace(answers, settings=needed)


def mailbox(name: str, owner: str) -> str:
    """Returns the owner's address with a name before it."""
    _, address = name_and_address(owner)
    name = re.sub(r'["<>]', "", name)
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
    current: object = setup.found.config
    for part in name.split("."):
        current = getattr(current, part)
    return value != (f"{current:%H:%M}" if isinstance(current, daytime) else current)
