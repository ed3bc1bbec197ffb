"""What the checks work on: one installation, and the facts that several checks need.

Facts are computed at their first use and once, so that no check depends on another having run.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from newsletter.app.clock import now
from newsletter.app.doctor.records.domain_names import is_special_use
from newsletter.app.doctor.resolver import Resolver
from newsletter.app.edition_factories import sender
from newsletter.app.inspection import deeper_problems
from newsletter.config.schema import Config
from newsletter.config.values import LOOPBACK
from newsletter.errors import NewsletterError
from newsletter.storage.database import Database
from newsletter.storage.database_file import sqlite_path
from newsletter.subscribers.address import Address


@dataclass(frozen=True, slots=True)
class Options:
    """The operator's command-line options.

    Attributes:
        offline: connect to this machine only, and query no name server.
        dkim_selector: the selector of the DKIM key; empty if it is not known.
        test_recipient: receives a test message; `None` sends none.
    """

    offline: bool = False
    dkim_selector: str = ""
    test_recipient: Address | None = None


@dataclass
class Context:
    """An installation to check. Close it afterwards.

    Attributes:
        config: its configuration.
        config_file: the file that the configuration was loaded from.
        options: the operator's options.
        clock: returns the current instant, aware.
        resolver: queries name servers.
        hostname: returns the full name of this machine.
        stop: set to abandon sending a test message.
    """

    config: Config
    config_file: Path
    options: Options = field(default_factory=Options)
    clock: Callable[[], datetime] = now
    resolver: Resolver = field(default_factory=Resolver)
    hostname: Callable[[], str] = socket.getfqdn
    stop: threading.Event = field(default_factory=threading.Event)
    _resources: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def close(self) -> None:
        """Closes the database, if a check opened it."""
        self._resources.close()

    @cached_property
    def database_mode(self) -> int:
        """The permission bits of the database file before it was opened; 0 if there was none."""
        path = sqlite_path(self.config.database.url)
        return path.stat().st_mode & 0o777 if path.is_file() else 0

    @cached_property
    def _opened(self) -> Database | NewsletterError | OSError:
        try:
            _ = self.database_mode  # opening makes the file private
            database = Database(self.config.database.url, create=False)
        except (NewsletterError, OSError) as error:
            return error
        return self._resources.enter_context(database)

    def open_database(self) -> Database:
        """Opens the database at the first call. A missing one is not created.

        Raises:
            DatabaseMissing: the database does not exist.
            StorageError: the database cannot be opened.
            OSError: the file cannot be opened.
        """
        if isinstance(self._opened, Exception):
            raise self._opened
        return self._opened

    @property
    def database(self) -> Database | None:
        """The open database; `None` if it cannot be opened, which its own check reports."""
        return None if isinstance(self._opened, Exception) else self._opened

    @cached_property
    def configuration_problems(self) -> list[str]:
        """Problems with the configuration beyond the types of its values."""
        return deeper_problems(self.config)

    @property
    def is_password_file_unreadable(self) -> bool:
        """Whether a password file is configured that cannot be read."""
        password_file = self.config.transports.smtp.password_file
        return bool(password_file) and not os.access(password_file, os.R_OK)

    @property
    def uses_smtp(self) -> bool:
        """Whether mail leaves by SMTP."""
        return self.config.delivery.transport == "smtp"

    @property
    def is_mail_server_local(self) -> bool:
        """Whether the mail server is this machine."""
        return self.config.transports.smtp.host in LOOPBACK

    @property
    def sender_domain(self) -> str:
        """The domain of the From header; empty if DNS is not to be queried for it."""
        name = sender(self.config).domain
        return "" if self.options.offline or is_special_use(name) else name

    @property
    def bounce_domain(self) -> str:
        """The domain of the envelope sender; empty if DNS is not to be queried for it."""
        return self.config.newsletter.bounce_domain or self.sender_domain
