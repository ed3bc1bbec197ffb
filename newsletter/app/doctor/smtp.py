"""The mail server: connection, TLS certificate, size limit, SMTPUTF8 and login."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from newsletter.app import factories
from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, failure, ok, warning
from newsletter.storage import health
from newsletter.transports.base import SessionFailed
from newsletter.transports.mail_servers import port_hint
from newsletter.transports.opening import opened
from newsletter.transports.wire import BROKEN, SmtpSettings, Wire

_MAX_MESSAGE_SIZE = 150_000
"""Approximate size of the largest message that is sent, in bytes."""

_CERTIFICATE_WARNING = timedelta(days=14)
"""How long before a certificate expires to warn."""

_CONNECT_TIMEOUT = 10.0
"""Seconds to wait for the mail server."""


def check(context: Context) -> Iterator[Finding]:
    """Connects to the mail server and logs in. Starts no mail transaction."""
    section = context.config.transports.smtp
    if not context.uses_smtp or not section.host:  # the configuration check reports the latter
        return
    where = f"{section.host}:{section.port}"
    if context.options.offline and not context.is_mail_server_local:
        yield ok(f"{where} is not contacted (--offline)")
        return
    if unknown := _unknown_host(section.host, section.port):
        yield unknown
        return
    # First without a login, so that a failure is due to the network, TLS or the server.
    settings = SmtpSettings(section.host, section.port, section.security, timeout=_CONNECT_TIMEOUT)
    try:
        wire = opened(settings, None, time.monotonic)
    except SessionFailed as error:
        usual = port_hint(section.port, section.security)
        hint = "; ".join(filter(None, (error.hint, usual))) or "ask who runs the server"
        yield failure(f"{where}: {error.what}", hint)
        return
    offers_login = wire.has_extn("auth")
    try:
        yield _tls(wire, where, context.clock())
        yield from _size_limit(wire)
        yield from _smtputf8(context, offered=wire.has_extn("smtputf8"))
    finally:
        with contextlib.suppress(*BROKEN):
            wire.quit()
        wire.close()
    yield from _login(context, offered=offers_login)


def _unknown_host(host: str, port: int) -> Finding | None:
    """Resolves a host name as a connection would. Returns a failure if that is impossible."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return failure(
                f"{host} could not be looked up: {error.strerror}",
                "check this machine's network and its name server",
            )
        return failure(f"there is no host {host}", "fix host under [transports.smtp]")
    except UnicodeError:
        return failure(f"{host} is no name of a host", "fix host under [transports.smtp]")
    return None


def _tls(wire: Wire, where: str, at: datetime) -> Finding:
    """Reports the TLS version and when the server's certificate expires."""
    if not isinstance(wire.sock, ssl.SSLSocket):
        return ok(f"{where} answers, without TLS on this machine itself")
    certificate = wire.sock.getpeercert() or {}
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    facts = (
        f"{where} answers with {wire.sock.version()}, "
        f"its certificate is valid until {expires:%Y-%m-%d}"
    )
    if expires - at < _CERTIFICATE_WARNING:
        return warning(
            f"{facts} only",
            "have who runs it renew the certificate: after that day nothing is sent",
        )
    return ok(facts)


def _size_limit(wire: Wire) -> Iterator[Finding]:
    limit = str(wire.esmtp_features.get("size", ""))
    if re.fullmatch(r"[0-9]{1,18}", limit) and 0 < int(limit) < _MAX_MESSAGE_SIZE:
        yield warning(
            f"the server takes {int(limit):,} bytes a mail; "
            f"editions may have {_MAX_MESSAGE_SIZE:,}",
            "have its limit raised, or lower excerpts under [theme]",
        )


def _smtputf8(context: Context, *, offered: bool) -> Iterator[Finding]:
    if context.database is None or offered:
        return
    with context.database.read() as tx:
        count = health.count_needing_smtputf8(tx)
    if count:
        yield warning(
            f"the server takes no addresses beyond ASCII, and {count:,} subscribed with one",
            "send through a server with SMTPUTF8, or ask them for another address",
        )


def _login(context: Context, *, offered: bool) -> Iterator[Finding]:
    section = context.config.transports.smtp
    if not (section.username or section.token_command):
        if offered and not context.is_mail_server_local:
            yield warning(
                "the server offers a login, and none is configured",
                "set username and password_file under [transports.smtp] if it wants one",
            )
        return
    # The configuration check reports these.
    if factories.sending_problems(context.config) or context.is_password_file_unreadable:
        return
    session = factories.transport(context.config, context.stop).session()
    try:
        session.open()
    except SessionFailed as error:
        yield failure(f"the login as {section.username} fails: {error.what}", error.hint)
    else:
        yield ok(f"the login as {section.username} works")
    finally:
        session.close()
