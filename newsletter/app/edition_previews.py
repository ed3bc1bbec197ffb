"""Which edition a preview shows: the next one, the one sent last, or the sample."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from newsletter.app.edition_factories import builder
from newsletter.app.inspection import sample_entries
from newsletter.config.schema import Config
from newsletter.editions.build import Edition
from newsletter.editions.compose import in_order
from newsletter.editions.paper_block import title_of
from newsletter.models import DeliveryState
from newsletter.planning.planner import Planner
from newsletter.storage import editions, log
from newsletter.storage.database import Database
from newsletter.storage.subscribers import Subscriber

_SENT = (DeliveryState.SENT,)
_WAITING = (DeliveryState.QUEUED, DeliveryState.DEFERRED)


class EditionPreviews:
    """Finds or builds the editions to preview. Changes nothing.

    Args:
        database: the newsletter's database.
        planner: builds the next edition.
    """

    def __init__(self, database: Database, planner: Planner) -> None:
        self._database = database
        self._planner = planner

    def next(self, subscriber: Subscriber | None = None) -> Edition | None:
        """Returns the next edition, of one subscriber if given; `None` if nothing is new.

        It is the one that is already planned for the subscriber, if any.

        Raises:
            RenderError: it cannot be rendered.
        """
        if subscriber is None:
            return self._planner.next_edition()
        planned = self._stored(_WAITING, subscriber)
        return planned or self._planner.next_edition(subscriber.cursor)

    def last(self, subscriber: Subscriber | None = None) -> Edition | None:
        """Returns the edition sent last, to one subscriber if given, as it was sent."""
        return self._stored(_SENT, subscriber)

    def _stored(
        self, states: Sequence[DeliveryState], subscriber: Subscriber | None
    ) -> Edition | None:
        with self._database.read() as tx:
            number = editions.latest_in(tx, states, subscriber.id if subscriber else None)
            return _edition(tx, number) if number else None


def sample_edition(config: Config) -> Edition:
    """Builds the edition of the bundled sample, as configured. Needs no database.

    Raises:
        RenderError: it cannot be rendered.
    """
    return builder(config).build(sample_entries())


def _edition(tx: Connection, number: int) -> Edition:
    row, content = editions.get(tx, number), editions.content(tx, number)
    entries = in_order(log.entries_at(tx, row.positions))
    titles = tuple(title_of(entry.paper) for entry in entries)
    return Edition(row.key, tuple(entries), titles, content.parts)
