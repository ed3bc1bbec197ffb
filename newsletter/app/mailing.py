"""Planning, delivery and the owner's reports, put together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection

from newsletter import tokens
from newsletter.app import editions, parts
from newsletter.app.owner import Owner
from newsletter.config import Config
from newsletter.delivery import LIMITED, Copies, Delivery, RunStop, Tally
from newsletter.delivery.copies import copy_name
from newsletter.editing import Editor
from newsletter.errors import SendingPaused, SendingStopped, StorageError, UsageError
from newsletter.models import DeliveryState, EditionState
from newsletter.notices import TEST, Notices
from newsletter.planning import Planned, Planning, refuse_old_clock
from newsletter.recipients import Address
from newsletter.storage import deliveries, outbox, people, sources, standing
from newsletter.storage import editions as kept
from newsletter.storage import notices as letters
from newsletter.storage.database import Database
from newsletter.storage.deliveries import Delivery as Mail
from newsletter.storage.deliveries import Filter
from newsletter.storage.editions import EditionRow

Progress = Callable[[Tally, int], None]


@dataclass(slots=True)
class Ran:
    """What a run did."""

    planned: Planned = field(default_factory=Planned)
    tally: Tally = field(default_factory=Tally)
    stopped: str = ""


class Mailing:
    """Plans and sends with one configuration.

    Args:
        config: the configuration.
        database: where everything is remembered.
        clock: the current instant, aware.
    """

    def __init__(self, config: Config, database: Database, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._database = database
        self._clock = clock

    @cached_property
    def editor(self) -> Editor:
        """Makes editions."""
        return editions.editor(self._config)

    @cached_property
    def planning(self) -> Planning:
        """Plans them."""
        return Planning(
            self._database,
            lambda: self.editor,
            editions.look(self._config),
            parts.rules(self._config),
            self._sender_domain if self._config.newsletter.sender else None,
        )

    def delivery(
        self, stop: threading.Event, progress: Progress, *, persistent: bool = False
    ) -> Delivery:
        """Sends them.

        Args:
            stop: set by the caller to end between two messages.
            persistent: wait for a database that is locked or has no room, however long that
                takes; otherwise the run gives up after a few tries.

        Raises:
            ConfigError: something that the transport needs is not configured.
        """
        run_stop = RunStop.of(stop)  # the run's sessions wait less once it has stopped itself
        transport = parts.transport(self._config, run_stop)
        copies = Copies(self._database, parts.origin(self._config), transport.encoded)
        limits = parts.limits(self._config)
        if persistent:
            limits = replace(limits, commit_tries=None)
        return Delivery(self._database, transport, copies, limits, self._clock, run_stop, progress)

    def plan(self, *, due_now: bool) -> Planned:
        """Plans for who is due, or for everybody. May be broken off anywhere.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
            RenderError: no edition can be made.
        """
        at = self._clock()
        self.refuse_to_work(at)
        self.planning.reschedule(at)
        return self.planning.plan(at, everybody=due_now, failing=bool(self._failing()))

    def plan_due(self, at: datetime) -> Planned:
        """Plans for who is due, if anybody is.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
            RenderError: no edition can be made.
        """
        with self._database.read() as tx:
            first = people.first_due(tx)
        if first is None or first > at:
            return Planned()
        return self.planning.plan(at, failing=bool(self._failing()))

    def has_work(self, at: datetime) -> bool:
        """Whether mail waits that may go now, or a dead sender has left some."""
        with self._database.read() as tx:
            first = outbox.next_try(tx)
            return (first is not None and first <= at) or bool(outbox.senders(tx))

    def next_instant(self) -> datetime | None:
        """When anybody is due, or a mail is tried again."""
        with self._database.read() as tx:
            found = (people.first_due(tx), outbox.next_try(tx))
        return min(filter(None, found), default=None)

    def send(
        self,
        planned: Planned,
        stop: threading.Event,
        progress: Progress,
        fault: str = "",
        *,
        persistent: bool = False,
    ) -> Ran:
        """Sends what waits, then tells the owner if something needs them.

        Args:
            fault: what kept editions from being planned, if anything.
            persistent: see `delivery`.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
            ConfigError: something that the transport needs is not configured.
        """
        delivery = self.delivery(stop, progress, persistent=persistent)
        ran = Ran(planned, delivery.run(fault=fault))
        ran.stopped = ran.tally.stopped
        try:
            if not stop.is_set() and not ran.stopped and self.report(self._clock()):
                notices = delivery.run(only_notices=True, fault=fault)
                ran.tally.notices += notices.notices
                ran.stopped = notices.stopped
        except (SendingPaused, StorageError) as error:
            ran.stopped = str(error)  # what was sent before is still said
        ran.stopped = ran.stopped or fault
        return ran

    def note_stopped(self, why: str) -> None:
        """Remembers why nothing goes out, as far as it can be written down."""
        with suppress(StorageError):
            with self._database.read() as tx:
                known = standing.get(tx).stopped
            if known != why:
                with self._database.write() as tx:
                    standing.note_stopped(tx, why, self._clock())

    def refuse_to_work(self, at: datetime) -> None:
        """Says so when nothing may be planned or sent.

        Raises:
            SendingPaused: the operator stopped all sending.
            ClockBehind: the clock is earlier than the newest record.
        """
        with self._database.read() as tx:
            row = standing.get(tx)
        if row.paused_at:
            raise SendingPaused("all sending is stopped", hint="`newsletter continue` starts it")
        refuse_old_clock(row, at)

    def send_test(self, address: Address, stop: threading.Event) -> Mail:
        """Sends a test mail the way everything goes; what became of it.

        Raises:
            UsageError: the address must not be written to.
            SendingPaused: the operator stopped all sending.
            SendingStopped: the mail server will not have it, or is not there.
            ConfigError: something that the transport needs is not configured.
        """
        delivery = self.delivery(stop, lambda _tally, _total: None)
        at = self._clock()
        self.refuse_to_work(at)
        subject, text = self._notices.words(
            TEST,
            name=self._config.newsletter.name,
            at=f"{at:%Y-%m-%d %H:%M} UTC",
            through=self._through(),
        )
        with self._database.write() as tx:
            mark = tokens.mark(self._own_key, address.normal)
            if reason := people.suppressed(tx, [mark]).get(mark):
                raise UsageError(f"must not be written to: {reason}", where=address.display)
            number = letters.add(tx, TEST, address.display, subject, text, at)
        tally = delivery.run(only_notices=True)
        with self._database.read() as tx:
            sent = deliveries.get(tx, number)
        if not sent.attempts:
            why = tally.stopped or (LIMITED if tally.limited else "it was interrupted")
            with self._database.write() as tx:  # nobody waits for a test that comes tomorrow
                letters.cancel(tx, number, why, self._clock())
            raise SendingStopped(why)
        return sent

    def report(self, at: datetime) -> bool:
        """Queues a mail to the owner if there is something they do not know; whether there is."""
        return self.owner.report(at)

    @cached_property
    def owner(self) -> Owner:
        """What the owner is told."""
        return Owner(self._config, self._database, self._notices)

    def deliveries(self, wanted: Filter) -> Iterator[Mail]:
        """The deliveries that are wanted, in the order they were planned."""
        with self._database.read() as tx:
            yield from deliveries.listed(tx, wanted)

    def message_id(self, row: Mail) -> str:
        """A delivery's Message-ID: the same however often it is sent."""
        name = copy_name(self._own_key, row.edition, row.part, row.subscriber or row.notice)
        return f"<{name}@{row.domain or self._sender_domain}>"

    def editions(self, state: EditionState | None) -> list[EditionRow]:
        """All editions, oldest first."""
        with self._database.read() as tx:
            return kept.listed(tx, state)

    def release(self, number: int) -> EditionRow:
        """Lets a held edition go.

        Raises:
            UsageError: there is none, it is not held, or it could not be made.
        """
        return self.planning.release(number, self._clock())

    def reject(self, number: int, *, pass_over: bool) -> EditionRow:
        """Drops a held edition; its papers wait, or are passed over.

        Raises:
            UsageError: there is none, or it is not held.
        """
        return self.planning.reject(number, self._clock(), pass_over=pass_over)

    @cached_property
    def _sender_domain(self) -> str:
        return editions.sender(self._config).domain

    @cached_property
    def _own_key(self) -> bytes:
        with self._database.read() as tx:
            return standing.secret(tx, "own")

    def retry(self, wanted: Filter) -> int:
        """Queues what ended otherwise than sent, and is wanted, once more; how many."""
        now = self._clock()
        return self._in_chunks(lambda tx, after: deliveries.retry(tx, wanted, now, after))

    def settle(self, wanted: Filter, *, sent: bool) -> int:
        """Says what became of what is `unknown` and wanted; how many."""
        state = DeliveryState.SENT if sent else DeliveryState.EXPIRED
        reply = "settled by the operator: it " + ("arrived" if sent else "was lost")
        now = self._clock()
        return self._in_chunks(
            lambda tx, after: deliveries.settle(tx, wanted, state, reply, now, after)
        )

    def _in_chunks(self, change: Callable[[Connection, int], tuple[int, int]]) -> int:
        """Changes deliveries, a transaction for each chunk; how many."""
        total, after = 0, 0
        while True:
            with self._database.write() as tx:
                many, after = change(tx, after)
            if not many:
                return total
            total += many

    @cached_property
    def _notices(self) -> Notices:
        folder = self._config.theme.templates_dir
        return Notices(Path(folder) if folder else None)

    def _failing(self) -> list[tuple[str, str]]:
        """The configured sources that fail, and what they say."""
        names = {section.name for section in self._config.sources}
        with self._database.read() as tx:
            return [
                (one.name, one.failure or "")
                for one in sources.all_status(tx)
                if one.failing_since and one.name in names
            ]

    def _through(self) -> str:
        kind = self._config.delivery.transport
        if kind == "smtp":
            return f"{self._config.transports.smtp.host}:{self._config.transports.smtp.port}"
        return f"the transport {kind}"
