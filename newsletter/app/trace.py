"""The history of one subscriber or one paper, from the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from newsletter.app.status import Status, StatusReader
from newsletter.delivery.records import DeliveryRecords
from newsletter.errors import UsageError
from newsletter.masks import masked_url
from newsletter.messages import tokens
from newsletter.models import EntryKind, Paper
from newsletter.papers.identity import keys_of
from newsletter.storage import deliveries, log, subscribers, trace
from newsletter.storage.database import Database
from newsletter.storage.deliveries import Filter
from newsletter.storage.subscribers import Subscriber
from newsletter.subscribers.address import Address, parse_address
from newsletter.text import urls
from newsletter.text.counted import plural
from newsletter.text.dates import iso, utc


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One event of the history.

    Attributes:
        at: when it happened; `None` if it describes the present.
        what: the kind of the event, for scripts.
        words: a sentence for the operator; several reasons are on one line each.
        details: further facts, for scripts.
    """

    at: datetime | None
    what: str
    words: str
    details: dict[str, object] = field(default_factory=dict)


class Trace:
    """Reads the history of one subscriber or one paper. Changes nothing.

    Args:
        database: the installation's database.
        records: provides the Message-IDs of deliveries.
        status: provides the idle reasons.
    """

    def __init__(self, database: Database, records: DeliveryRecords, status: StatusReader) -> None:
        self._database = database
        self._records = records
        self._status = status

    def of(self, asked: str) -> list[TraceEvent]:
        """Returns the history of a subscriber's address, or of a paper by its id, URL or title.

        Raises:
            UsageError: there is no such subscriber or paper.
        """
        status = self._status.read()
        own_key = self._database.keys.own
        with self._database.read() as tx:
            if not asked.strip() or asked != asked.encode("utf-8", "replace").decode():
                raise UsageError("give an address or a paper", hint="see `newsletter why --help`")
            try:
                address = parse_address(asked)
            except ValueError:
                return list(_of_paper(tx, asked))
            suppression = tokens.suppression_hash(own_key, address.normal)
            return list(_of_reader(tx, self._records, address, suppression, status))


def _of_reader(
    tx: Connection, records: DeliveryRecords, address: Address, suppression: bytes, status: Status
) -> Iterator[TraceEvent]:
    reason = subscribers.suppressed(tx, [suppression]).get(suppression)
    found = subscribers.find(tx, address.normal)
    mails = [_mail(row, records) for row in deliveries.listed(tx, Filter(address=address.normal))]
    if found is None and reason is None and not mails:
        raise UsageError(
            f"there is no record of {address.display}",
            hint="`newsletter subscribers list` shows the subscribers",
        )
    if found:
        yield TraceEvent(found.added_at, "added", f"{found.address} was added.")
    yield from mails
    if found:
        yield TraceEvent(found.changed_at, str(found.state), f"Has been {found.state} since then.")
    if reason:
        yield TraceEvent(
            None, "suppressed", f"Must not be written to: {reason}.", {"reason": reason}
        )
    if found and found.next_due_at:
        yield from _to_come(tx, found, found.next_due_at, status)


def _to_come(
    tx: Connection, found: Subscriber, due_at: datetime, status: Status
) -> Iterator[TraceEvent]:
    waiting = log.waiting(tx, found.cursor)
    due = utc(due_at)
    papers = plural(waiting, "new paper is", "new papers are")
    words = f"Due next at {due} ({found.preferences.cadence}); {papers} waiting."
    details: dict[str, object] = {
        "due": iso(due_at),
        "cadence": found.preferences.cadence,
        "papers": waiting,
    }
    yield TraceEvent(None, "due", words, details)
    reasons: dict[str, object] = {
        "silence": status.idle_reason,
        "reasons": list(status.idle_reasons),
    }
    yield TraceEvent(None, "silence", "\n".join(status.idle_reasons), reasons)


def _mail(row: deliveries.DeliveryRow, records: DeliveryRecords) -> TraceEvent:
    what = f"a {row.edition} mail" if row.notice else f"edition {row.edition[:12]}"
    part = f", part {row.part} of {row.parts}" if row.parts > 1 else ""
    said = f": {row.reply}" if row.reply else ""
    tries = f" after {plural(row.attempts, 'attempt')}" if row.attempts > 1 else ""
    return TraceEvent(
        row.changed_at,
        "delivery",
        f"{what[0].upper()}{what[1:]}{part} is {row.state}{tries}{said}",
        {
            "edition": row.edition,
            "part": row.part,
            "state": row.state,
            "attempts": row.attempts,
            "reply": row.reply,
            "message_id": records.message_id(row),
        },
    )


def _of_paper(tx: Connection, asked: str) -> Iterator[TraceEvent]:
    paper = _paper(tx, asked)
    for mention in trace.mentions(tx, paper):
        day = f" for {mention.day}" if mention.day else ""
        yield TraceEvent(
            mention.at,
            str(mention.kind),
            f"“{mention.title}” is {mention.kind}{day}: {mention.source}, "
            f"snapshot {mention.snapshot} ({masked_url(mention.origin)})",
            {
                "title": mention.title,
                "position": mention.position,
                "source": mention.source,
                "snapshot": mention.snapshot,
            },
        )
        if mention.kind is EntryKind.NEW:
            yield from _where_announced(tx, mention.position)
        if mention.passed:
            yield TraceEvent(None, "passed", "The operator skipped it: it is not sent any more.")


def _where_announced(tx: Connection, position: int) -> Iterator[TraceEvent]:
    for part in trace.editions_with(tx, position):
        mails = ", ".join(f"{many:,} {state}" for state, many in sorted(part.counts.items()))
        reason = f" ({part.reason})" if part.state == "held" else ""
        yield TraceEvent(
            part.at,
            "edition",
            f"In edition {part.edition}, {part.state}{reason}: {mails or 'planned for no one'}",
            {"id": part.edition, "edition": part.key, "state": part.state, "counts": part.counts},
        )
    left = trace.still_to_come(tx, position)
    yield TraceEvent(
        None,
        "to come",
        f"Not sent yet to {plural(left, 'active subscriber')}.",
        {"n": left},
    )


def _paper(tx: Connection, asked: str) -> int:
    """Returns the number of the paper that has one of the keys derived from `asked`."""
    as_paper = Paper(
        title=asked,
        arxiv_id=urls.arxiv_id(asked),
        doi=urls.doi(asked),
        url=asked if "://" in asked else None,
    )
    keys = (asked, *keys_of(as_paper))
    owners = log.owners(tx, keys)
    for key in keys:
        if key in owners:
            return owners[key]
    raise UsageError(
        f"no known paper matches “{asked}”", hint="give its arXiv id, DOI, URL or title"
    )
