"""Parses and validates settings: durations, time zones, mailboxes, URLs, colours. Pure.

Each function returns the value or raises `ValueError` that says what to write instead.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import time, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import idna
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from newsletter.text import colour
from newsletter.text.clean import clean, is_plain

_DURATION = re.compile(r"(\d{1,6}) ?(s|min|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_MAILBOX = re.compile(
    r"(?:(?:\"(?P<quoted>[^\"<>]*)\"|(?P<name>[^<>\",]*))\s*<(?=.*>$))?(?P<address>[^<>\s,]+)>?"
)
# A lab's internal network and a trial setup use domains that the Internet does not have.
SPECIAL_USE_DOMAIN_NAMES[:] = ["arpa", "onion"]
LOOPBACK = ("localhost", "127.0.0.1", "::1")

SELECTOR = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
"""The names that a DKIM key can be published under."""


def duration(value: object) -> timedelta:
    """Parses a number and a unit, such as `3h`."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise ValueError('write a number and a unit, such as "30m", "3h" or "2d"')
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def time_of_day(value: object) -> time:
    """Parses a time of day such as `07:30`."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", value) if isinstance(value, str) else None
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise ValueError('write a time of day, such as "07:30"')
    return time(int(match[1]), int(match[2]))


def several(value: str) -> list[str]:
    """Splits a list in one string, as in an environment variable: `a, b`."""
    return [part for one in value.split(",") if (part := one.strip())]


def zone(value: str) -> str:
    """Accepts the name of a time zone that exists."""
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError) as exc:
        raise ValueError('no such time zone; write one like "Europe/Berlin" or "UTC"') from exc
    return value


def database_url(value: str) -> str:
    """Accepts the URL of a SQLite file."""
    refuse_postgresql(value)
    if not re.match(r"sqlite:///.", value):
        raise ValueError('write the URL of a SQLite file, such as "sqlite:///newsletter.db"')
    return value


def refuse_postgresql(value: str) -> None:
    """Rejects the URL of a PostgreSQL database."""
    if re.match(r"postgres(ql)?(\+\w+)?:", value.strip(), re.IGNORECASE):
        raise ValueError(
            "PostgreSQL is not supported yet: use a SQLite file, "
            'such as url = "sqlite:///newsletter.db" under [database]'
        )


def mailbox(value: str) -> str:
    """Accepts `Name <address>`, a plain address, or an empty string."""
    if not value:
        return value
    _, address = name_and_address(value)
    try:
        validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as exc:
        raise ValueError('write "Name <address>", or an address such as you@example.org') from exc
    if len(address.rpartition("@")[0].encode()) > 64:
        raise ValueError("the part before the @ is over 64 bytes long")
    return value


def name_and_address(value: str) -> tuple[str, str]:
    """Splits a value that `mailbox` accepts into name and address; either may be empty."""
    match = _MAILBOX.fullmatch(value.strip())
    return (clean(match["quoted"] or match["name"] or ""), match["address"]) if match else ("", "")


def domain(value: str) -> str:
    """Converts a domain to ASCII and lower case; an empty string is accepted."""
    if not value:
        return value
    try:
        return idna.encode(value, uts46=True).decode().lower()
    except idna.IDNAError as exc:
        raise ValueError('write a domain, such as "example.org"') from exc


def host(value: str) -> str:
    """Accepts the name or the IP address of a machine, or an empty string."""
    if value and not re.fullmatch(r"[\w.-]+", value):
        try:
            ip_address(value)
        except ValueError as exc:
            raise ValueError(
                'write a name or an IP address, such as "mail.example.org", without port'
            ) from exc
    return value


def named_domain(value: str) -> str:
    """Converts a domain to ASCII and lower case."""
    if not value:
        raise ValueError('write a domain, such as "example.org"')
    return domain(value)


def theme_name(value: str) -> str:
    """Accepts the name of a theme, which is that of its folder."""
    if not re.fullmatch(r"[\w-]+", value):
        raise ValueError('write the name of a theme: letters, digits, "-" and "_"')
    return value


def one_line(value: str) -> str:
    """Accepts text for a header: no control characters, no surrounding white space."""
    if value != clean(value):
        raise ValueError("write it on one line, without control characters and outer spaces")
    return value


def base_url(value: str) -> str:
    """Accepts an https URL, an http URL of this machine, or an empty string.

    Removes a trailing slash.
    """
    if not value:
        return value
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as exc:
        raise ValueError("not an address") from exc
    loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
    if not (parts.scheme == "https" or loopback) or not parts.hostname:
        raise ValueError("write an https:// address (http:// only for this machine itself)")
    if parts.query or parts.fragment or "@" in parts.netloc or not is_plain(value):
        raise ValueError("write it without user name, query, fragment and spaces")
    if not value.isascii():
        raise ValueError('write it in ASCII, its domain such as "xn--bcher-kva.example"')
    return parts._replace(scheme=parts.scheme.lower()).geturl().rstrip("/")


def request_url(value: str) -> str:
    """Accepts an http or https URL that requests can be sent to, or an empty string."""
    if not value:
        return value
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as exc:
        raise ValueError("not an address") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write an http:// or https:// address")
    if "@" in parts.netloc:
        raise ValueError("write it without user name and password; a token can be in the query")
    if not value.isascii() or not is_plain(value) or " " in value:
        raise ValueError("write it in ASCII, without spaces")
    return value


def command_line(value: str) -> str:
    """Accepts a command line whose words can be told apart, or an empty string."""
    try:
        words = shlex.split(value)
    except ValueError as exc:
        raise ValueError("a quotation mark in it is not closed") from exc
    if value and not words:
        raise ValueError("write a command and its arguments")
    if "\0" in value:
        raise ValueError("write it without control characters")
    return value


def readable_on(page: str) -> Callable[[str], str]:
    """Returns a validator for colours that are readable on the page colour `page`."""

    def checked(value: str) -> str:
        if value and not colour.is_colour(value):
            raise ValueError('write a colour such as "#1d4fb8"')
        if value and colour.contrast(value, page) < colour.AA:
            raise ValueError(f"cannot be read on {page}; {colour.readable(value, page)} can")
        return value

    return checked
