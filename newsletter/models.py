"""The terms of the project as immutable values and enums. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper as one capture describes it. Everything but the title is optional.

    Text is clean (no control characters, white space collapsed) but keeps its TeX.
    Ids have no version; `None` and `()` mean "not given".
    """

    title: str
    abstract: str | None = None
    authors: tuple[str, ...] = ()
    arxiv_id: str | None = None
    doi: str | None = None
    openreview_id: str | None = None
    url: str | None = None
    """Its page at the source."""
    pdf_url: str | None = None
    code_url: str | None = None
    project_url: str | None = None
    organisation: str | None = None
    submitter: str | None = None
    categories: tuple[str, ...] = ()
    published_on: date | None = None
    """Day of the first version, not the day it was listed."""
    upvotes: int | None = None
    listed_on: date | None = None
    """The day whose list contains it."""
    day_label: str | None = None
    """That day as written, if the year is not known ("11 March")."""
    untitled: bool = False
    """The title is a placeholder made from the id: it must not be used to identify the paper."""
    revision: bool = False
    """The capture says that this is a new version of an older paper."""

    def record(self) -> dict[str, Any]:
        """Returns the stored fields of the paper as JSON values, without empty ones.

        Votes and listing days change, so they are left out: see `_MOMENTARY`.
        """
        kept = {}
        for field in _KEPT:
            value = getattr(self, field)
            if value:
                kept[field] = value.isoformat() if isinstance(value, date) else value
        return kept

    @classmethod
    def from_record(cls, record: Mapping[str, Any], **momentary: Any) -> Paper:
        """Builds the paper that `record` describes, with the `momentary` fields added."""
        values = dict(record)
        for field in ("authors", "categories"):
            values[field] = tuple(values.get(field, ()))
        if published := values.get("published_on"):
            values["published_on"] = date.fromisoformat(published)
        return cls(**values, **momentary)


_MOMENTARY = {"upvotes", "listed_on", "day_label", "revision"}
_KEPT = tuple(f.name for f in dataclasses.fields(Paper) if f.name not in _MOMENTARY)


class DatedBy(StrEnum):
    """Where a capture's day comes from."""

    NAME = "its name"  # a file name or address with a date in it
    FILE_TIME = "the file's time"  # only for folders that are watched
    CAPTURE_TIME = "the time of capture"  # only for pages that were just fetched


@dataclass(frozen=True, slots=True)
class Capture:
    """Bytes captured from a source at one time, not yet processed."""

    data: bytes
    origin: str
    """The path or URL they came from."""
    captured_at: datetime
    day: date | None = None
    """The day assumed when parsing them: pages give theirs without a year, or not at all."""
    dated_by: DatedBy | None = None
    """Where that day comes from."""
    etag: str | None = None
    last_modified: str | None = None

    @property
    def at(self) -> datetime:
        """When the source answered."""
        return self.captured_at


@dataclass(frozen=True, slots=True)
class NotModified:
    """A source's response that nothing has changed since its last capture."""

    origin: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The papers read from a capture as one format."""

    format: str
    papers: tuple[Paper, ...]
    notes: tuple[str, ...] = ()
    """Remarks for the operator; nothing is wrong."""
    doubts: tuple[str, ...] = ()
    """What the operator should review before anything is announced."""


class EntryKind(StrEnum):
    """Why a paper is in the log."""

    NEW = "new"  # announced: not known before
    LEARNT = "learnt"  # backfilled: its source knows it and does not announce it
    UPDATED = "updated"  # its title or abstract changed
    RELISTED = "relisted"  # listed again after an absence
    WITHDRAWN = "withdrawn"  # withdrawn by its authors


class SnapshotState(StrEnum):
    """The state of a snapshot."""

    CAPTURED = "captured"  # its bytes are stored, but not processed yet
    ACCEPTED = "accepted"  # its papers are in the log
    HELD = "held"  # it looks wrong and is held for review
    REJECTED = "rejected"  # the operator rejected it


class SubscriberState(StrEnum):
    """The state of a subscriber: whether they receive editions."""

    PENDING = "pending"  # signed up but has not confirmed
    ACTIVE = "active"  # receives editions
    PAUSED = "paused"  # receives none for a while; nothing is skipped
    UNSUBSCRIBED = "unsubscribed"  # has unsubscribed
    SUPPRESSED = "suppressed"  # must not be sent to: no such mailbox, or a complaint


class EditionState(StrEnum):
    """The state of an edition."""

    FROZEN = "frozen"  # final: may be planned and sent
    HELD = "held"  # it looks wrong and is held for review
    REJECTED = "rejected"  # the operator rejected it


class DeliveryState(StrEnum):
    """The state of a delivery."""

    QUEUED = "queued"  # planned
    SENDING = "sending"  # claimed by a sender that is alive
    SENT = "sent"  # accepted by the next server
    DEFERRED = "deferred"  # failed temporarily; tried again later
    REFUSED = "refused"  # rejected permanently by the server
    EXPIRED = "expired"  # given up after retrying for as long as configured
    CANCELLED = "cancelled"  # the subscriber unsubscribed or paused before it was sent
    UNKNOWN = "unknown"  # its sender died, or no reply came: it may have arrived


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open circuit of the breaker: nothing is sent there except one probe an hour.

    Attributes:
        domain: a recipient domain, in ASCII; empty for all mail.
        reason: why it is open, with the server's last reply.
        opened_at: when it opened.
        probe_at: when one delivery may be tried next.
    """

    domain: str
    reason: str
    opened_at: datetime
    probe_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """The papers of one snapshot, counted by kind of entry."""

    papers: int = 0
    new: int = 0
    learnt: int = 0
    updated: int = 0
    relisted: int = 0
    withdrawn: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the paper log, with the paper's text as logged and its newest votes."""

    position: int
    kind: EntryKind
    paper: Paper
    source: str
    format: str


UNSUBSCRIBE = "\x1aunsubscribe\x1a"
"""Placeholder for the subscriber's unsubscribe link until a message is built. Text from outside
has no control characters, so it cannot contain one."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An edition ready to be put into messages, with `UNSUBSCRIBE` in place of the link."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one source says about a paper.

    Attributes:
        record: the fields it gave, as in `Paper.record`; a field that it later omits is kept.
        listed: whether it ever listed the paper. Reporting a revision or a withdrawal of an
            older paper does not count.
        withdrawn: whether it last reported the paper as withdrawn.
        last_day: the newest day for which it listed the paper.
        in_previous: whether its previous snapshot has the paper.
        later: whether a later snapshot has it, as when an older, held one is released.
    """

    record: Mapping[str, Any]
    listed: bool = True
    withdrawn: bool = False
    last_day: date | None = None
    in_previous: bool = True
    later: bool = False


@dataclass(frozen=True, slots=True)
class KnownPaper:
    """What is known about a paper when a capture of one source arrives.

    Attributes:
        paper: its newest text.
        version: the number of that text.
        announced: whether a `new` entry exists.
        silent: whether the operator decided that it is never announced.
        withdrawn: whether any source last reported it as withdrawn.
        sighting: what this source says about it; `None` if it has not mentioned it yet.
    """

    paper: Paper
    version: int
    announced: bool = False
    silent: bool = False
    withdrawn: bool = False
    sighting: Sighting | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What one row of a capture changes.

    Attributes:
        paper: the paper's number, negative for one that was not known.
        row: the row as captured.
        claims: the keys that belong to the paper from now on.
        kind: the entry to append, if any.
        text: the paper's new text, when it differs from the newest one.
        version: the number of the text the entry points to.
        record: what the source now says about it, as in `Sighting.record`.
        listed: whether the source has listed it, now or before.
        withdrawn: whether its source last reported it as withdrawn.
        reinstated: whether it was withdrawn before and no longer is.
        silent: whether the operator decided that it is never announced.
        stale: whether the source has said newer things; then only keys and listings are recorded.
    """

    paper: int
    row: Paper
    claims: tuple[str, ...]
    kind: EntryKind | None
    text: Paper | None
    version: int
    record: Mapping[str, Any]
    listed: bool
    withdrawn: bool = False
    reinstated: bool = False
    silent: bool = False
    stale: bool = False
