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
        advice: how to get that, in lines.
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
        "Gmail needs an app password instead of your own: turn on 2-Step Verification, then\n"
        "create one at https://myaccount.google.com/apppasswords.",
        ("gmail.com", "googlemail.com"),
    ),
    Provider(
        "Fastmail",
        "smtp.fastmail.com",
        465,
        "tls",
        "app password",
        "Fastmail needs an app password instead of your own: create one that allows SMTP under\n"
        "Settings, Privacy & Security.",
        ("fastmail.com", "fastmail.fm"),
    ),
    Provider(
        "iCloud",
        "smtp.mail.me.com",
        587,
        "starttls",
        "app password",
        "iCloud needs an app-specific password instead of your own: create one at\n"
        "https://account.apple.com under Sign-In and Security.",
        ("icloud.com", "me.com", "mac.com"),
    ),
    Provider(
        "Outlook.com",
        "smtp-mail.outlook.com",
        587,
        "starttls",
        "token",
        "Outlook.com accepts no passwords from programs, only access tokens (XOAUTH2). A tool\n"
        "such as oama or mutt_oauth2.py asks for your consent once, then prints a token each time.",
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


def usual_security(port: int, host: str) -> str:
    """Returns how connections to a port are usually secured."""
    if port in (465, 587):
        return "tls" if port == 465 else "starttls"
    return "none" if host in LOOPBACK else "starttls" if port == 25 else "tls"


def port_hint(port: int, security: str) -> str:
    """Returns what is unusual about a port and how its connections are secured, or ""."""
    return _PORT_HINTS.get((port, security), "")


def login_advice(stage: str, what: str, host: str, port: int, security: str) -> str:
    """Returns what to try when a connection to a mail server fails, in lines.

    Args:
        stage: where it failed: "auth", or another one.
        what: what is wrong.
        host: the server.
        port: its port.
        security: how the connection is encrypted.
    """
    if stage == "auth":
        known = provider_at(host)
        return known.advice if known else _LOGIN_ADVICE
    if "certificate" in what:
        return _CERTIFICATE_ADVICE
    if host in LOOPBACK:
        return "Check that a mail server runs on this machine and uses that port and encryption."
    hint = port_hint(port, security)
    return f"{hint[:1].upper()}{hint[1:]}." if hint else _CONNECTION_ADVICE


_LOGIN_ADVICE = (
    "Check the user name and the password. Many providers accept only an app password, which you\n"
    "create in their settings. To log in with a token (XOAUTH2), press Ctrl-C and run\n"
    "`newsletter init --smtp-token-command COMMAND`."
)
_CERTIFICATE_ADVICE = (
    "Check the name of the server. If it is right, this machine has to trust its certificate."
)
_CONNECTION_ADVICE = (
    "Check the name, the port and the encryption. Many networks and hosting providers block mail\n"
    "ports: try 587 with STARTTLS instead of 465 with TLS, or another network."
)

USUAL_PORTS = {"tls": 465, "starttls": 587, "none": 25}
"""The usual port of each kind of security."""

_PORT_HINTS = {
    (465, "starttls"): 'port 465 usually wants security = "tls"',
    (587, "tls"): 'port 587 usually wants security = "starttls"',
    (25, "tls"): 'port 25 usually wants security = "starttls"; many networks block it, try 587',
    (25, "starttls"): "many networks block port 25; try port 587",
}
