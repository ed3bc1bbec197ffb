"""Everything that must be right before mail goes out and arrives, looked at in order.

Nothing is sent, unless a test mail is asked for: of the mail server it is asked what it can
do, and whether it takes our login.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import ssl
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from newsletter import domains
from newsletter.app import parts
from newsletter.app.checks import deeper_problems
from newsletter.app.editions import owner_address, sender
from newsletter.app.mailing import Mailing
from newsletter.app.places import now
from newsletter.config import Config, SourceSection
from newsletter.domains import Answer, Finding, Reverse, Unanswered, Walk, failure, ok, warning
from newsletter.errors import ClockBehind, DatabaseMissing, NewsletterError
from newsletter.models import DeliveryState, SubscriberState
from newsletter.planning import refuse_old_clock
from newsletter.recipients import Address
from newsletter.resolver import Resolver
from newsletter.storage import health, people, standing
from newsletter.storage import sources as places
from newsletter.storage.database import Database, sqlite_path
from newsletter.storage.sources import SourceStatus
from newsletter.transports import SessionFailed, SmtpSettings
from newsletter.transports.opening import opened
from newsletter.transports.wire import BROKEN, Wire
from newsletter.values import LOOPBACK, domain, name_and_address

MEGABYTE = 1_000_000
_LOOKED_THROUGH = 200 * MEGABYTE
"""Bytes of the largest database that is looked through for damages."""
_ROOM = 200 * MEGABYTE
"""Bytes that should be free on its disk."""
_LARGEST_MAIL = 150_000
"""Bytes of the largest mail that we send, about."""
_SHORTEST_KEY = 32  # characters
_FIRST_YEAR = 2025
_SOON = timedelta(days=14)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_PATIENCE = 10.0  # seconds for the mail server's greeting
_THEME = "theme: "
_RUNS = "see that `newsletter serve` is running, or `newsletter run` in cron"
_PORTS = {
    (465, "starttls"): 'port 465 usually wants security = "tls"',
    (587, "tls"): 'port 587 usually wants security = "starttls"',
    (25, "tls"): 'port 25 usually wants security = "starttls"; many networks block it, try 587',
    (25, "starttls"): "many networks block port 25; try port 587",
}

Check = Callable[[], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator wants to know.

    Attributes:
        offline: nobody but this machine is asked.
        selector: the name of the DKIM key; empty when it is not known.
        send_to: gets a test mail; `None`: nobody.
    """

    offline: bool = False
    selector: str = ""
    send_to: Address | None = None


class Doctor:
    """Looks at an installation.

    Args:
        config: its configuration.
        file: where that is.
        clock: the current instant, aware.
        resolver: asks about domains.
        machine: this machine's full name.
        stop: set to break off a test mail.
    """

    def __init__(
        self,
        config: Config,
        file: Path,
        asked: Asked,
        *,
        clock: Callable[[], datetime] = now,
        resolver: Resolver | None = None,
        machine: Callable[[], str] = socket.getfqdn,
        stop: threading.Event | None = None,
    ) -> None:
        self._config = config
        self._file = file
        self._asked = asked
        self._clock = clock
        self._resolver = resolver or Resolver()
        self._machine = machine
        self._stop = stop or threading.Event()
        self._database: Database | None = None

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """What is found, each with the name of what was looked at, as it is found."""
        checks: tuple[tuple[str, Check], ...] = (
            ("config", self._configuration),
            ("database", self._storage),
            ("templates", self._templates),
            ("clock", self._time),
            ("sources", self._sources),
            ("subscribers", self._subscribers),
            (self._config.delivery.transport, self._transport),
            ("sender", self._sender),
            ("secrets", self._secrets),
            ("DNS", self._whether_to_ask),
            ("SPF", self._spf),
            ("DKIM", self._dkim),
            ("DMARC", self._dmarc),
            ("MX", self._mx),
            ("PTR", self._ptr),
            ("test", self._test_mail),
        )
        try:
            for name, check in checks:
                for finding in _in_words(check):
                    yield name, finding
        finally:
            if self._database:
                self._database.close()

    # --- this machine

    def _configuration(self) -> Iterator[Finding]:
        problems = [one for one in self._problems if not one.startswith(_THEME)]
        yield from (failure(one, f"mend it in {self._file}") for one in problems)
        if not problems:
            yield ok(f"{self._file} has no problem")
        yield from _open_to_others(self._file, secret=_holds_secret(self._file))
        passwords = self._config.transports.smtp.password_file
        if self._lacks_password_file:
            yield failure(f"{passwords} cannot be read", "check its name, owner and mode")
        elif passwords:
            yield from _open_to_others(Path(passwords), secret=True)

    @cached_property
    def _problems(self) -> list[str]:
        return deeper_problems(self._config)

    @property
    def _lacks_password_file(self) -> bool:
        passwords = self._config.transports.smtp.password_file
        return bool(passwords) and not os.access(passwords, os.R_OK)

    def _storage(self) -> Iterator[Finding]:
        path = sqlite_path(self._config.database.url)
        yield from _folder(path.parent)
        mode = path.stat().st_mode & 0o777 if path.is_file() else 0
        try:
            database = self._database = Database(self._config.database.url, create=False)
        except DatabaseMissing:
            yield warning(f"there is no database yet at {path}", "run `newsletter ingest`")
            return
        if mode & 0o077:
            yield warning(
                f"others could read {path} (mode {mode:o}) until now",
                "it is private again; see what changed its mode",
            )
        yield _content(database, path)

    def _templates(self) -> Iterator[Finding]:
        problems = [one.removeprefix(_THEME) for one in self._problems if one.startswith(_THEME)]
        hint = "mend it, or choose another under [theme]"
        yield from (failure(one, hint) for one in problems)
        if not problems:
            yield ok(f"a trial edition in the theme {self._config.theme.name} passes its checks")

    def _time(self) -> Iterator[Finding]:
        at, name = self._clock(), self._config.newsletter.time_zone
        try:
            zone = ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            yield failure(
                f"the time zone {name} cannot be loaded",
                "install tzdata (the package of the system, or the one of Python)",
            )
            return
        if at.year < _FIRST_YEAR:
            yield failure(f"the clock says {at:%Y-%m-%d %H:%M} UTC", "set it; let NTP keep it")
            return
        yield ok(
            f"it is {at:%Y-%m-%d %H:%M} UTC, {at.astimezone(zone):%H:%M} in {name} "
            f"(time zones {parts.rules(self._config).tz_version.removeprefix('# version ')})"
        )
        if self._database:
            yield from self._due(self._database, at, zone)

    def _due(self, database: Database, at: datetime, zone: ZoneInfo) -> Iterator[Finding]:
        with database.read() as tx:
            row, due = standing.get(tx), people.first_due(tx)
        if row.paused_at:
            yield warning(
                f"all sending is stopped since {row.paused_at:%Y-%m-%d %H:%M} UTC",
                "`newsletter continue` starts it",
            )
        try:
            refuse_old_clock(row, at)
        except ClockBehind as behind:
            yield failure(behind.what, behind.hint)
            return
        if due is None:
            return
        when = f"{due.astimezone(zone):%A %Y-%m-%d %H:%M} in {zone.key}"
        if due < at - _HOUR and not row.paused_at:
            yield warning(f"somebody was due on {when}", f"{_RUNS}; `newsletter status` says why")
        else:
            yield ok(f"the next is due on {when}")

    def _sources(self) -> Iterator[Finding]:
        if not self._config.sources:
            yield warning("no source is configured", "add a [[sources]] section")
        known = None
        if self._database:
            with self._database.read() as tx:
                known = {one.name: one for one in places.all_status(tx)}
        for section in self._config.sources:
            if section.path and not os.access(section.path, os.R_OK):
                yield failure(
                    f"{section.name}: {section.path} is not there, or cannot be read",
                    "make it, or mend its path under [[sources]]",
                )
            elif known is not None:
                yield _source(section, known.get(section.name), self._clock())

    def _subscribers(self) -> Iterator[Finding]:
        if self._database is None:
            return
        with self._database.read() as tx:
            counts = people.counts(tx)
        if counts.get(SubscriberState.ACTIVE):
            yield ok(", ".join(f"{many:,} {state}" for state, many in sorted(counts.items())))
        else:
            yield warning("nobody is subscribed", "`newsletter subscribers add ADDRESS`")

    # --- how mail leaves

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

    # --- who writes

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

    # --- its domain

    @property
    def _domain(self) -> str:
        """The domain to ask about; empty for none."""
        name = sender(self._config).domain
        return "" if self._asked.offline or domains.is_special(name) else name

    @property
    def _bounces(self) -> str:
        """The domain of the envelope's sender."""
        return self._config.newsletter.bounce_domain or self._domain

    def _whether_to_ask(self) -> Iterator[Finding]:
        if self._asked.offline:
            yield ok("not asked (--offline)")
        elif not self._domain and self._config.newsletter.sender:
            yield ok(f"not asked: {sender(self._config).domain} is for one network or for tests")
        elif not self._domain:
            yield ok("not asked: no sender is configured")

    def _spf(self) -> Iterator[Finding]:
        if not self._domain:
            return
        host = self._config.transports.smtp.host
        by_smtp = self._config.delivery.transport == "smtp"
        publish = domains.spf_to_publish(
            self._bounces, host if by_smtp else "", here=by_smtp and self._is_here
        )
        answer = self._resolver.txt(self._bounces)
        yield domains.spf(self._bounces, answer, self._referred(answer), publish)

    def _referred(self, first: Answer) -> dict[str, Answer]:
        """What an SPF record refers to, as far as a receiver would look."""
        found: dict[str, Answer] = {}
        waiting = [first]
        while waiting:
            answer = waiting.pop(0)
            if isinstance(answer, Unanswered):
                break
            records = domains.spf_records(answer)
            for name in (name for record in records for name in domains.read_spf(record).refers):
                new = name not in found and domains.may_be_asked(name)
                if new and len(found) < domains.MOST_LOOKUPS:
                    found[name] = self._resolver.txt(name)
                    waiting.append(found[name])
        return found

    def _dkim(self) -> Iterator[Finding]:
        if not self._domain:
            return
        if not self._asked.selector:
            yield domains.dkim_unseen(self._domain)
            return
        answer = self._resolver.txt(f"{self._asked.selector}._domainkey.{self._domain}")
        yield domains.dkim(self._domain, self._asked.selector, answer)

    def _dmarc(self) -> Iterator[Finding]:
        if not self._domain:
            return
        walk = self._walk(self._domain)
        yield domains.dmarc(walk, owner_address(self._config))
        if self._bounces != self._domain:
            yield domains.alignment(walk, self._walk(self._bounces))

    def _walk(self, start: str) -> Walk:
        walk = Walk(start)
        for name in domains.walk_names(start):
            answer = self._resolver.txt(f"_dmarc.{name}")
            walk = replace(walk, found=(*walk.found, (name, answer)))
            if walk.is_done:
                break
        return walk

    def _mx(self) -> Iterator[Finding]:
        if not self._domain:
            return
        reply_to = name_and_address(self._config.newsletter.reply_to)[1].rpartition("@")[2]
        takers: dict[str, list[str]] = {}
        takers.setdefault(domain(reply_to) or self._domain, []).append("replies")
        takers.setdefault(self._bounces, []).append("bounces")
        for name, what in takers.items():
            if not domains.is_special(name):
                answer = self._resolver.mx(name)
                hosts = answer if isinstance(answer, tuple) else ()
                asked = {host: self._resolver.addresses(host) for host in hosts[:3] if host}
                if not hosts:
                    asked[name] = self._resolver.addresses(name)
                yield domains.mail_exchange(name, answer, asked, " and ".join(what))

    def _ptr(self) -> Iterator[Finding]:
        if not self._domain or self._config.delivery.transport != "smtp":
            return
        if not self._is_here:
            host = self._config.transports.smtp.host
            yield ok(f"the name of the machine that sends is the business of {host}")
            return
        name = self._machine()
        addresses = self._resolver.addresses(name)
        listed = addresses if isinstance(addresses, tuple) else ()
        found = [self._reverse(one) for one in listed if domains.is_public(one)]
        yield from domains.reverse(name, addresses, found)

    def _reverse(self, address: str) -> Reverse:
        names = self._resolver.ptr(address)
        listed = names if isinstance(names, tuple) else ()
        return Reverse(
            address, names, {name: self._resolver.addresses(name) for name in listed[:3]}
        )

    # --- only when asked

    def _test_mail(self) -> Iterator[Finding]:
        to = self._asked.send_to
        if to is None:
            return
        if self._database is None:
            yield failure("no mail was sent: there is no database", "run `newsletter ingest` first")
            return
        row = Mailing(self._config, self._database, self._clock).send_test(to, self._stop)
        said = f"the mail to {to.display} is {row.state}: {row.reply or 'nothing was said'}"
        if row.state is DeliveryState.SENT:
            yield ok(said)
        else:
            yield failure(said, "mend what it says, then send another")


def _in_words(check: Check) -> Iterator[Finding]:
    """What a check finds; that it cannot go on is a finding too."""
    try:
        yield from check()
    except NewsletterError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        yield failure(what, error.hint or "mend that, then run this again")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield failure(f"{where}{error.strerror or error}", "check its owner and mode")


def _holds_secret(file: Path) -> bool:
    """Whether a password or a key stands in the configuration itself."""
    tables = tomllib.loads(file.read_text("utf-8"))
    smtp, web = tables.get("transports", {}).get("smtp", {}), tables.get("web", {})
    found = (smtp.get("password"), web.get("secret_keys"), web.get("metrics_token"))
    url = tables.get("database", {}).get("url", "")
    return any(found) or (url.startswith("postgresql") and "@" in url)


def _open_to_others(path: Path, *, secret: bool) -> Iterator[Finding]:
    """What anybody with an account on this machine may do to a file."""
    mode = path.stat().st_mode
    hint = f"run `chmod o-rwx {shlex.quote(str(path))}`"
    if mode & 0o002:
        yield warning(f"anybody on this machine may change {path}", hint)
    elif secret and mode & 0o004:
        yield warning(f"anybody on this machine may read {path}, which holds a secret", hint)


def _content(database: Database, path: Path) -> Finding:
    """Whether the database is in order."""
    size = path.stat().st_size
    with database.read() as tx:
        facts = [f"{path} opens", f"schema {health.revision(tx)}", f"{size / MEGABYTE:,.1f} MB"]
        if size > _LOOKED_THROUGH:
            return ok(", ".join([*facts, "too large to be looked through for damages"]))
        if damages := health.damages(tx):
            return failure(
                f"{path} is damaged: {damages[0]}", "restore a backup: `newsletter restore FILE`"
            )
    return ok(", ".join([*facts, "undamaged"]))


def _folder(folder: Path) -> Iterator[Finding]:
    """What is wrong with the database's folder."""
    if not folder.is_dir():
        yield failure(f"the folder {folder} is not there", "make it, or name another")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield failure(f"{folder} may not be written to", "check its owner and mode")
    mode = folder.stat().st_mode
    if mode & 0o002 and not mode & 0o1000:
        yield warning(
            f"anybody on this machine may replace what is in {folder}",
            f"run `chmod o-w {shlex.quote(str(folder))}`",
        )
    free = shutil.disk_usage(folder).free
    if free < _ROOM:
        yield warning(f"{free / MEGABYTE:,.0f} MB are free for the database", "make room")


def _may_write(folder: Path) -> bool:
    """Whether files can be put into a folder, which is made if it is missing."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _source(section: SourceSection, known: SourceStatus | None, at: datetime) -> Finding:
    """How a source fares."""
    if known and known.failing_since:
        judged = failure if at - known.failing_since > _DAY else warning
        since = f"{section.name} fails since {known.failing_since:%Y-%m-%d %H:%M} UTC"
        hint = f"try `newsletter ingest {shlex.quote(section.url or section.path)}`"
        return judged(f"{since}: {known.failure}", hint)
    if known is None or known.captured_at is None:
        return warning(f"{section.name}: nothing was captured yet", "run `newsletter ingest`")
    age = at - known.captured_at
    said = f"{section.name}: last captured {_ago(age)}"
    if section.url and age > max(2 * section.every, _DAY):
        return warning(said, _RUNS)
    return ok(said)


def _ago(age: timedelta) -> str:
    if age < _HOUR:
        return f"{max(0, age // timedelta(minutes=1))} min ago"
    return f"{age // _HOUR} h ago" if age < 2 * _DAY else f"{age.days} days ago"


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
