"""The mail servers of large providers, what a login there needs, and the usual ports. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from newsletter.config.values import LOOPBACK


@dataclass(frozen=True, slots=True)
class Provider:
    """A mail provider.

    Attributes:
        name: what people call it.
        host: its mail server.
        port: the port of that.
        security: how the connection is encrypted.
        login: whether a program logs in with an app password or with an access token.
        advice: how to get that, as a sentence.
        domains: the domains of its addresses.
    """

    name: str
    host: str
    port: int
    security: Literal["tls", "starttls"]
    login: Literal["app password", "token"]
    advice: str
    domains: tuple[str, ...]


PROVIDERS = (
    Provider(
        "Gmail",
        "smtp.gmail.com",
        465,
        "tls",
        "app password",
        "Gmail needs an app password instead of your own: turn on 2-Step Verification, then create "
        "one at https://myaccount.google.com/apppasswords.",
        ("gmail.com", "googlemail.com"),
    ),
    Provider(
        "Fastmail",
        "smtp.fastmail.com",
        465,
        "tls",
        "app password",
        "Fastmail needs an app password instead of your own: create one under Settings, Privacy & "
        "Security, that allows SMTP.",
        ("fastmail.com", "fastmail.fm"),
    ),
    Provider(
        "iCloud",
        "smtp.mail.me.com",
        587,
        "starttls",
        "app password",
        "iCloud needs an app-specific password instead of your own: create one at "
        "https://account.apple.com under Sign-In and Security.",
        ("icloud.com", "me.com", "mac.com"),
    ),
    Provider(
        "Outlook.com",
        "smtp-mail.outlook.com",
        587,
        "starttls",
        "token",
        "Outlook.com accepts no passwords from programs, only access tokens (XOAUTH2). A tool such "
        "as oama or mutt_oauth2.py asks for your consent once and then prints a token each time.",
        ("outlook.com", "hotmail.com", "live.com", "msn.com"),
    ),
)
"""The providers, in the order in which they are offered."""


def provider_of(address: str) -> Provider | None:
    """Returns the provider of an email address, if it is a known one."""
    domain = address.rpartition("@")[2].lower()
    return next((one for one in PROVIDERS if domain in one.domains), None)


def provider_at(host: str) -> Provider | None:
    """Returns the provider that has this mail server, if it is a known one."""
    return next((one for one in PROVIDERS if one.host == host.lower()), None)


def port_hint(port: int, security: str) -> str:
    """Returns what is unusual about a port and how its connections are secured, or ""."""
    return _PORT_HINTS.get((port, security), "")


def login_advice(stage: str, host: str, port: int, security: str) -> str:
    """Returns what to try when a connection to a mail server fails, as a sentence.

    Args:
        stage: where it failed: "auth", or another one.
        host: the server.
        port: its port.
        security: how the connection is encrypted.
    """
    if stage == "auth":
        known = provider_at(host)
        return known.advice if known else _LOGIN_ADVICE
    if host in LOOPBACK:
        return "Check that a mail server on this machine listens on that port, with that security."
    hint = port_hint(port, security)
    return f"{hint[:1].upper()}{hint[1:]}." if hint else _CONNECTION_ADVICE


_LOGIN_ADVICE = (
    "Check the user name and the password. Many providers accept only an app password, which is "
    "created in their settings; a login by token (XOAUTH2) needs --smtp-token-command."
)
_CONNECTION_ADVICE = (
    "Check the name, the port and the security. Many networks and hosting providers block mail "
    "ports: try 587 with starttls instead of 465 with tls, or another network."
)

USUAL_PORTS = {"tls": 465, "starttls": 587, "none": 25}
"""The usual port of each kind of security."""

_PORT_HINTS = {
    (465, "starttls"): 'port 465 usually wants security = "tls"',
    (587, "tls"): 'port 587 usually wants security = "starttls"',
    (25, "tls"): 'port 25 usually wants security = "starttls"; many networks block it, try 587',
    (25, "starttls"): "many networks block port 25; try port 587",
}
