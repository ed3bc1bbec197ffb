"""The way mail takes, up to the server's door. Sends nothing unless asked."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from newsletter import domains
from newsletter.app import App, parts
from newsletter.app.doctor.machine import Machine
from newsletter.app.editions import owner_address, sender
from newsletter.config.values import LOOPBACK
from newsletter.domains import Finding, failure, ok, warning
from newsletter.models import DeliveryState
from newsletter.storage import health
from newsletter.transports import SessionFailed, SmtpSettings
from newsletter.transports.opening import opened
from newsletter.transports.wire import BROKEN, Wire

_LARGEST_MAIL = 150_000
"""Bytes of the largest mail that we send, about."""


_SHORTEST_KEY = 32  # characters


_SOON = timedelta(days=14)


_PATIENCE = 10.0  # seconds for the mail server's greeting


_PORTS = {
    (465, "starttls"): 'port 465 usually wants security = "tls"',
    (587, "tls"): 'port 587 usually wants security = "starttls"',
    (25, "tls"): 'port 25 usually wants security = "starttls"; many networks block it, try 587',
    (25, "starttls"): "many networks block port 25; try port 587",
}


def _may_write(folder: Path) -> bool:
    """Whether files can be put into a folder, which is made if it is missing."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _unknown_host(host: str, port: int) -> Finding | None:
    """Why a host cannot be found, asked as a connection to it asks."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return failure(
                f"{host} could not be looked up: {error.strerror}",
                "check this machine's network and its name server",
            )
        return failure(f"there is no host {host}", "mend host under [transports.smtp]")
    except UnicodeError:
        return failure(f"{host} is no name of a host", "mend host under [transports.smtp]")
    return None


class Mail(Machine):
    """And at the way mail takes: transport, server, sender, secrets."""

    def _transport(self) -> Iterator[Finding]:
        kind = self._config.delivery.transport
        if kind == "smtp":
            yield from self._smtp()
        elif kind == "null":
            yield warning(
                "nothing leaves: mails are discarded", 'choose transport = "smtp" to send them'
            )
        else:
            folder = Path(getattr(self._config.transports, kind).folder)
            if _may_write(folder):
                yield ok(f"mails become files in {folder}; nothing leaves this machine")
            else:
                yield failure(
                    f"{folder} may not be written to", "check its owner and mode, or name another"
                )

    @property
    def _is_here(self) -> bool:
        """Whether the mail server is this machine."""
        return self._config.transports.smtp.host in LOOPBACK

    def _smtp(self) -> Iterator[Finding]:
        section = self._config.transports.smtp
        where = f"{section.host}:{section.port}"
        if not section.host:
            return  # the configuration's problems have it
        if self._asked.offline and not self._is_here:
            yield ok(f"{where} is not asked (--offline)")
            return
        if unknown := _unknown_host(section.host, section.port):
            yield unknown
            return
        # Without a login: what is wrong then is the network, TLS or the server.
        settings = SmtpSettings(section.host, section.port, section.security, timeout=_PATIENCE)
        try:
            wire = opened(settings, None, time.monotonic)
        except SessionFailed as error:
            usual = _PORTS.get((section.port, section.security), "")
            hint = "; ".join(filter(None, (error.hint, usual))) or "ask who runs the server"
            yield failure(f"{where}: {error.what}", hint)
            return
        offered = wire.has_extn("auth")
        try:
            yield from self._greeted(wire, where)
        finally:
            with contextlib.suppress(*BROKEN):
                wire.quit()
            wire.close()
        yield from self._login(offered=offered)

    def _greeted(self, wire: Wire, where: str) -> Iterator[Finding]:
        if isinstance(wire.sock, ssl.SSLSocket):
            certificate = wire.sock.getpeercert() or {}
            ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
            until = datetime.fromtimestamp(ends, UTC)
            facts = f"{where} answers with {wire.sock.version()}, its certificate is valid until"
            if until - self._clock() < _SOON:
                yield warning(
                    f"{facts} {until:%Y-%m-%d} only",
                    "have who runs it renew the certificate: after that day nothing is sent",
                )
            else:
                yield ok(f"{facts} {until:%Y-%m-%d}")
        else:
            yield ok(f"{where} answers, without TLS on this machine itself")
        said = str(wire.esmtp_features.get("size", ""))
        if re.fullmatch(r"[0-9]{1,18}", said) and 0 < int(said) < _LARGEST_MAIL:
            yield warning(
                f"the server takes {int(said):,} bytes a mail; editions may have {_LARGEST_MAIL:,}",
                "have its limit raised, or lower excerpts under [theme]",
            )
        yield from self._beyond_ascii(offered=wire.has_extn("smtputf8"))

    def _beyond_ascii(self, *, offered: bool) -> Iterator[Finding]:
        if self._database is None or offered:
            return
        with self._database.read() as tx:
            many = health.count_needing_smtputf8(tx)
        if many:
            yield warning(
                f"the server takes no addresses beyond ASCII, and {many:,} subscribed with one",
                "send through a server with SMTPUTF8, or ask them for another address",
            )

    def _login(self, *, offered: bool) -> Iterator[Finding]:
        section = self._config.transports.smtp
        if not (section.username or section.token_command):
            if offered and not self._is_here:
                yield warning(
                    "the server offers a login, and none is configured",
                    "set username and password_file under [transports.smtp] if it wants one",
                )
            return
        if parts.sending_problems(self._config) or self._lacks_password_file:
            return  # said already
        session = parts.transport(self._config, self._stop).session()
        try:
            session.open()
        except SessionFailed as error:
            yield failure(f"the login as {section.username} fails: {error.what}", error.hint)
        else:
            yield ok(f"the login as {section.username} works")
        finally:
            session.close()

    def _sender(self) -> Iterator[Finding]:
        section = self._config.newsletter
        by_smtp = self._config.delivery.transport == "smtp"
        if not section.sender and not by_smtp:  # with SMTP the configuration's problems have it
            yield warning(
                f"mail comes from {sender(self._config).address.addr_spec}, which is nobody's",
                'set sender = "Name <address>" under [newsletter]',
            )
        if section.sender:
            yield self._from(by_smtp=by_smtp)
        if not section.owner:
            yield warning("nobody gets reports", "set owner under [newsletter] to your address")
        yield from self._way_out()
        if not section.postal_address:
            yield warning(
                "no postal address stands in the mails, which some laws want",
                "set postal_address under [newsletter]",
            )

    def _from(self, *, by_smtp: bool) -> Finding:
        name, far = sender(self._config).domain, by_smtp and not self._is_here
        if far and domains.is_example(name):
            return warning(f"nobody takes mail from {name}", "set sender to an address of yours")
        return ok(f"mail comes from {self._config.newsletter.sender}")

    def _way_out(self) -> Iterator[Finding]:
        section = self._config.newsletter
        if section.base_url.startswith("http:"):
            yield warning(
                f"Unsubscribe leads to {section.base_url}, which only this machine reaches",
                "set base_url under [newsletter] to an https:// address",
            )
        elif section.base_url:
            yield ok(f"Unsubscribe leads to {section.base_url}")
        elif section.owner:
            yield ok(f"Unsubscribe writes to {owner_address(self._config)}")
        elif self._config.delivery.transport != "smtp":
            yield warning("Unsubscribe leads nowhere", "set owner or base_url under [newsletter]")

    def _secrets(self) -> Iterator[Finding]:
        keys = [key.get_secret_value() for key in self._config.web.secret_keys]
        if any(len(key) < _SHORTEST_KEY for key in keys):
            yield warning(
                f"a key of secret_keys is shorter than {_SHORTEST_KEY} characters",
                "put a new one first, such as `openssl rand -hex 32` prints; keep the old one "
                "behind it as long as its links should work",
            )
        elif keys:
            yield ok("links are signed with the first of secret_keys")
        else:
            yield ok("links are signed with a key of the database")

    def _web(self) -> Iterator[Finding]:
        base, web = self._config.newsletter.base_url, self._config.web
        if not base:
            yield ok("no base_url: the pages are for this machine only, nobody can subscribe there")
        elif base.startswith("https:") and web.host in LOOPBACK and not web.trusted_hops:
            yield warning(
                f"{base} leads through a web server here, which counts as the only visitor",
                "set trusted_hops = 1 under [web], and let it add X-Forwarded-For",
            )
        else:
            yield ok(f"`newsletter serve` answers for {base} on {web.host}:{web.port}")

    @property
    def _domain(self) -> str:
        """The domain to ask about; empty for none."""
        name = sender(self._config).domain
        return "" if self._asked.offline or domains.is_special(name) else name

    def _test_mail(self) -> Iterator[Finding]:
        to = self._asked.send_to
        if to is None:
            return
        if self._database is None:
            yield failure("no mail was sent: there is no database", "run `newsletter ingest` first")
            return
        row = App(self._config, self._database, self._clock).test_mail.send(to, self._stop)
        said = f"the mail to {to.display} is {row.state}: {row.reply or 'nothing was said'}"
        if row.state is DeliveryState.SENT:
            yield ok(said)
        else:
            yield failure(said, "mend what it says, then send another")
