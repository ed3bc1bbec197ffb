"""What readers do of their own accord, put together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from newsletter.app import parts
from newsletter.app.mailing import Mailing, Progress
from newsletter.app.reading import Reading
from newsletter.calendar import WEEKDAYS
from newsletter.choices import Choices
from newsletter.config import Config
from newsletter.delivery import Tally
from newsletter.errors import SendingPaused
from newsletter.notices import Notices
from newsletter.readerlinks import ReaderLinks
from newsletter.signups import Signups
from newsletter.storage import notices as letters
from newsletter.storage import standing
from newsletter.storage.database import Database
from newsletter.storage.people import Subscriber
from newsletter.subscriptions import Subscriptions


def _silent(_tally: Tally, _total: int) -> None:
    """Progress that is not shown."""


class Readers:
    """Readers' side of the program with one configuration.

    Args:
        config: the configuration.
        database: where everything is remembered.
        mailing: plans and sends.
        subscriptions: changes who gets editions.
        clock: the current instant, aware.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        mailing: Mailing,
        subscriptions: Subscriptions,
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._database = database
        self._mailing = mailing
        self._subscriptions = subscriptions
        self._clock = clock

    @cached_property
    def links(self) -> ReaderLinks:
        """Makes and reads the links that readers get."""
        with self._database.read() as tx:
            own = standing.secret(tx, "links")
        keys = [key.get_secret_value().encode() for key in self._config.web.secret_keys]
        # Links in mails from before any key was configured work for ever.
        return ReaderLinks(self._config.newsletter.base_url, (*keys, own))

    @cached_property
    def signups(self) -> Signups:
        """Who comes."""
        folder = self._config.theme.templates_dir
        return Signups(
            self._database,
            parts.rules(self._config),
            Notices(Path(folder) if folder else None),
            self.links,
            self._config.newsletter.name,
            self._clock,
        )

    @cached_property
    def choices(self) -> Choices:
        """Who chooses, and who goes."""
        rules = parts.rules(self._config)
        return Choices(self._database, self._subscriptions, rules, self._clock)

    @cached_property
    def reading(self) -> Reading:
        """What everybody may read."""
        return Reading(self._database)

    def welcome(self, person: Subscriber) -> bool:
        """Plans the latest papers for somebody who has just come; whether there are any.

        Raises:
            RenderError: no edition can be made.
            StorageError: it cannot be recorded.
        """
        return self._mailing.planning.welcome(person.id, person.cursor, self._clock())

    def due_words(self, person: Subscriber) -> str:
        """When somebody is due next, in their own zone, such as `Monday 07:30`."""
        if person.next_due_at is None:
            return ""
        zone = parts.rules(self._config).schedule(person.wishes).zone
        at = person.next_due_at.astimezone(ZoneInfo(zone))
        return f"{WEEKDAYS[at.weekday()]} {at:%H:%M}"

    def run_errands(self, stop: threading.Event, progress: Progress = _silent) -> int:
        """Queues the mails that were asked for and sends them; how many were asked for.

        Args:
            stop: set to end between two messages.
            progress: called while mails are sent, as in `Mailing.send`.

        Raises:
            NewsletterError: that cannot be done now. What was asked for is kept.
        """
        done = self.signups.work() if self.signups.has_work() else 0
        with self._database.read() as tx:
            waiting = letters.are_waiting(tx, self._clock())
        if waiting:
            self._send_notices(stop, progress)
        return done

    def _send_notices(self, stop: threading.Event, progress: Progress) -> None:
        """Sends the notices that wait, and no edition; nothing while all sending is stopped."""
        with suppress(SendingPaused):
            delivery = self._mailing.delivery(stop, progress, persistent=True)
            delivery.run(only_notices=True)
