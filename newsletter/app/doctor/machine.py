"""What can be seen on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from newsletter.app import parts
from newsletter.app.checks import deeper_problems
from newsletter.app.places import now
from newsletter.config.schema import Config, SourceSection
from newsletter.domains import Finding, failure, ok, warning
from newsletter.errors import ClockBehind, DatabaseMissing
from newsletter.models import SubscriberState
from newsletter.planning import refuse_old_clock
from newsletter.recipients import Address
from newsletter.resolver import Resolver
from newsletter.storage import health, people, standing
from newsletter.storage import sources as places
from newsletter.storage.database import Database, sqlite_path
from newsletter.storage.sources import SourceStatus

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
MEGABYTE = 1_000_000


_LOOKED_THROUGH = 200 * MEGABYTE
"""Bytes of the largest database that is looked through for damages."""


_ROOM = 200 * MEGABYTE
"""Bytes that should be free on its disk."""


_FIRST_YEAR = 2025


_THEME = "theme: "


_RUNS = "see that `newsletter serve` is running, or `newsletter run` in cron"


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


class Machine:
    """Looks at this machine: configuration, database, templates, clock, sources, people.

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
