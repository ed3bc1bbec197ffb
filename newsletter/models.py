"""The words of the project as frozen values. Nothing here acts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Paper:
    """One work as one capture describes it. Everything but the title is optional.

    Text is clean (no control characters, white space collapsed) and still holds
    the TeX it came with. Ids carry no version; `None` and `()` mean "not said".
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
    """Day whose list it stands in."""
    day_label: str | None = None
    """That day as written, where the year is not known ("11 March")."""
    untitled: bool = False
    """The title is only a stand-in made from its id: nothing may be concluded from it."""
    revision: bool = False
    """The capture says that this is a new version of an older paper."""

    def record(self) -> dict[str, Any]:
        """What is kept of the paper's text, as JSON values; empty fields are left out.

        Votes and listing days belong to the moment, not to the text: see `_MOMENTARY`.
        """
        kept = {}
        for field in _KEPT:
            value = getattr(self, field)
            if value:
                kept[field] = value.isoformat() if isinstance(value, date) else value
        return kept

    @classmethod
    def from_record(cls, record: Mapping[str, Any], **momentary: Any) -> Paper:
        """The paper that `record` describes, with its votes and listing day beside it."""
        values = dict(record)
        for field in ("authors", "categories"):
            values[field] = tuple(values.get(field, ()))
        if published := values.get("published_on"):
            values["published_on"] = date.fromisoformat(published)
        return cls(**values, **momentary)


_MOMENTARY = {"upvotes", "listed_on", "day_label", "revision"}
_KEPT = tuple(f.name for f in dataclasses.fields(Paper) if f.name not in _MOMENTARY)


class DatedBy(StrEnum):
    """Where the day comes from by which a capture is read."""

    NAME = "its name"  # a file name or address with a date in it
    FILE_TIME = "the file's time"  # only for folders that are watched
    CAPTURE_TIME = "the time of capture"  # only for pages fetched just now


@dataclass(frozen=True, slots=True)
class Capture:
    """Bytes captured from a source at one instant, before anyone looked at them."""

    data: bytes
    origin: str
    """The path or URL they came from."""
    captured_at: datetime
    day: date | None = None
    """A day to read them by: pages say theirs without a year, or not at all."""
    dated_by: DatedBy | None = None
    """Where that day is from."""
    etag: str | None = None
    last_modified: str | None = None

    @property
    def at(self) -> datetime:
        """When its source answered."""
        return self.captured_at


@dataclass(frozen=True, slots=True)
class NotModified:
    """A source's word that nothing changed since its last capture."""

    origin: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one format read in a capture."""

    format: str
    papers: tuple[Paper, ...]
    notes: tuple[str, ...] = ()
    """What the operator may want to know; nothing is wrong."""
    doubts: tuple[str, ...] = ()
    """What a person should look at before anything is announced."""


class EntryKind(StrEnum):
    """Why a paper stands in the log."""

    NEW = "new"  # announced: nobody has seen it before
    LEARNT = "learnt"  # known from now on, never announced
    UPDATED = "updated"  # its title or abstract changed
    RELISTED = "relisted"  # listed again after an absence
    WITHDRAWN = "withdrawn"  # its authors took it back


class SnapshotState(StrEnum):
    """What became of a snapshot."""

    CAPTURED = "captured"  # its bytes are safe, nothing else has happened
    ACCEPTED = "accepted"  # its papers are in the log
    HELD = "held"  # it looked wrong and waits for the operator
    REJECTED = "rejected"  # the operator does not want it


class SubscriberState(StrEnum):
    """Whether somebody gets editions."""

    PENDING = "pending"  # asked for it and has not confirmed
    ACTIVE = "active"  # gets them
    PAUSED = "paused"  # wants none for a while; nothing is skipped
    UNSUBSCRIBED = "unsubscribed"  # left
    SUPPRESSED = "suppressed"  # must not be written to: no such mailbox, or a complaint


class EditionState(StrEnum):
    """What became of an edition."""

    FROZEN = "frozen"  # goes to whom it is planned for
    HELD = "held"  # it looked wrong and waits for the operator
    REJECTED = "rejected"  # the operator does not want it


class DeliveryState(StrEnum):
    """What became of one mail to one person."""

    QUEUED = "queued"  # planned
    SENDING = "sending"  # a sender that lives has it
    SENT = "sent"  # the next server took it
    DEFERRED = "deferred"  # not now; tried again later
    REFUSED = "refused"  # never, says the server
    EXPIRED = "expired"  # tried for as long as is sensible
    CANCELLED = "cancelled"  # the person left before it went
    UNKNOWN = "unknown"  # its sender died, or no answer came: it may have arrived


@dataclass(frozen=True, slots=True)
class Counts:
    """How many papers of one snapshot were what."""

    papers: int = 0
    new: int = 0
    learnt: int = 0
    updated: int = 0
    relisted: int = 0
    withdrawn: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the paper log, with the paper's text as it was then and the newest votes."""

    position: int
    kind: EntryKind
    paper: Paper
    source: str
    format: str


UNSUBSCRIBE = "\x1aunsubscribe\x1a"
"""Stands for the recipient's unsubscribe link until a message is made. Text from outside
has no control characters, so it cannot hold one."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An edition ready to be put into messages. `UNSUBSCRIBE` still stands for the link."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a description says, as two fingerprints; what it does not say has none.

    `papers.changes.said_by` makes them.
    """

    title: str
    abstract: str = ""

    def changed_by(self, later: Said) -> bool:
        """Whether `later` says something else; what it leaves out is no change."""
        return any(
            one and other and one != other
            for one, other in ((self.title, later.title), (self.abstract, later.abstract))
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a paper when a capture of one source arrives.

    Attributes:
        paper: its newest text.
        version: the number of that text.
        withdrawn: whether a `withdrawn` entry exists.
        said: what this source said of it last; `None` if it never listed it.
        last_day: the newest day for which this source listed it.
        in_previous: whether this source's previous snapshot listed it.
        later: whether a later snapshot of this source listed it (an old one is released).
    """

    paper: Paper
    version: int
    withdrawn: bool = False
    said: Said | None = None
    last_day: date | None = None
    in_previous: bool = True
    later: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What one row of a capture does to what is known.

    Attributes:
        paper: the paper's number, negative for one nobody has seen.
        row: the row as captured.
        said: what it says.
        claims: keys the paper holds from now on.
        kind: the entry to append, if any.
        text: the paper's new text, when it differs from the newest one.
        version: the number of the text the entry points to.
        stale: the source said newer things since; only keys are learnt from it.
    """

    paper: int
    row: Paper
    said: Said
    claims: tuple[str, ...]
    kind: EntryKind | None
    text: Paper | None
    version: int
    stale: bool = False
