"""The tables, except those of `subscriber_tables`. Times are UTC; days are local to the page
they appear on.

log_head      one row: the position of the newest entry; its lock orders the writers
sources       where papers come from
validators    a server's validators for a page, to request only newer versions; and when it answered
blobs         captured bytes, compressed, once per content
snapshots     what was captured when, and its state
papers        one row per work; its id is the position at which it entered the log
paper_keys    the identity keys of papers; a key never moves to another paper
texts         every text a paper has had; rows never change
entries       the paper log
sightings     what each source says of each paper
source_days   the days for which a source listed papers
editions      frozen lists of new papers, with their rendered content
passed        entries that the operator passed over: no further edition contains them
secrets       keys that are created here and never leave the database
installation  one row: the state of the installation
notices       transactional mail
deliveries    one message to one subscriber or address: an edition's part, or a notice
sendings      how many messages were attempted, accepted and refused in each hour
breakers      domains, or all mail, to which sending has stopped because too much was refused

A migration also creates `paper_search`, the full-text index of announced papers.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from newsletter.storage.columns import Utc, metadata

log_head = Table(
    "log_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("position", Integer, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("opening_day", Date, comment="the day its first ingest announces"),
    Column("opening_snapshot", Integer, comment="or the snapshot, where days are not known"),
    Column("opened_at", Utc, comment="when its first ingest was complete"),
    Column("captured_at", Utc, comment="when it last answered, changed or not"),
    Column("failing_since", Utc),
    Column("failure", Text, comment="the error, while it fails"),
    Column("failed_at", Utc, comment="when it last could not be read"),
    Column(
        "restored",
        Boolean,
        nullable=False,
        server_default="0",
        comment="until a snapshot is released: its announcements since the backup are unknown",
    ),
    Column(
        "watched",
        Boolean,
        nullable=False,
        server_default="0",
        comment="it was in the configuration, so its absence there is reported",
    ),
)

validators = Table(
    "validators",
    metadata,
    Column("source_id", ForeignKey(sources.c.id), primary_key=True),
    Column("url", String, primary_key=True),
    Column("etag", Text),
    Column("last_modified", Text),
    Column("answered_at", Utc, comment="when it last answered, changed or not"),
    sqlite_with_rowid=False,
)

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("data", LargeBinary, nullable=False, comment="zlib"),
    sqlite_with_rowid=False,
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source_id", ForeignKey(sources.c.id), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("size", Integer, nullable=False, comment="bytes as captured"),
    Column("origin", Text, nullable=False, comment="path or URL"),
    Column("captured_at", Utc, nullable=False),
    Column("day", Date, comment="the day to read it for"),
    Column("dated_by", String, comment="how that day was determined"),
    Column("asked_format", String, comment="the format it was asked to be read as"),
    Column("state", String, nullable=False),
    Column("reason", Text, comment="why it is held"),
    Column("format", String),
    Column("papers", Integer, nullable=False, server_default="0"),
    Column("new", Integer, nullable=False, server_default="0"),
    Column("learnt", Integer, nullable=False, server_default="0"),
    Column("updated", Integer, nullable=False, server_default="0"),
    Column("relisted", Integer, nullable=False, server_default="0"),
    Column("withdrawn", Integer, nullable=False, server_default="0"),
    Column("notes", JSON, nullable=False, server_default="[]"),
    Column("opening", Boolean, nullable=False, comment="part of its source's first ingest"),
    Column(
        "attempts", Integer, nullable=False, server_default="0", comment="begun, but never ended"
    ),
    Index("ix_snapshots_source_id_id", "source_id", "id"),
    Index("ix_snapshots_source_id_sha256", "source_id", "sha256"),
    Index("ix_snapshots_state", "state"),
)

papers = Table(
    "papers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False, comment="its newest text"),
    Column("upvotes", Integer, comment="the newest figure"),
    Column("new_at", Integer, comment="its `new` entry; none if it was never announced"),
    Column("silent", Boolean, nullable=False, server_default="0", comment="not to be announced"),
    Column("withdrawn_at", Integer, comment="its `withdrawn` entry, while a source says so"),
)

paper_keys = Table(
    "paper_keys",
    metadata,
    Column("key", String, primary_key=True),
    Column("paper_id", ForeignKey(papers.c.id), nullable=False, index=True),
    sqlite_with_rowid=False,
)

texts = Table(
    "texts",
    metadata,
    Column("paper_id", ForeignKey(papers.c.id), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("record", JSON, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("paper_id", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("source_id", ForeignKey(sources.c.id), nullable=False),
    Column("snapshot_id", ForeignKey(snapshots.c.id), nullable=False),
    Column("day", Date, comment="the day it was listed for"),
    Column("day_label", String, comment="that day as written, where its year is not known"),
    Column("at", Utc, nullable=False),
    ForeignKeyConstraint(["paper_id", "version"], [texts.c.paper_id, texts.c.version]),
    Index("ix_entries_paper_id", "paper_id"),
    Index("ix_entries_kind_position", "kind", "position"),
    Index("ix_entries_kind_day", "kind", "day"),
    Index("ix_entries_snapshot_id", "snapshot_id"),
)

sightings = Table(
    "sightings",
    metadata,
    Column("source_id", ForeignKey(sources.c.id), primary_key=True),
    Column("paper_id", ForeignKey(papers.c.id), primary_key=True),
    Column("snapshot_id", Integer, nullable=False, comment="the newest that lists it"),
    Column("record", JSON, nullable=False, comment="its text, links and ids, as this source says"),
    Column("upvotes", Integer, comment="the newest figure"),
    Column("listed", Boolean, nullable=False, comment="not only as revised or withdrawn"),
    Column("first_day", Date, comment="the first day it was listed for"),
    Column("last_day", Date, comment="the last one"),
    Column("withdrawn", Boolean, nullable=False, comment="according to its latest listing"),
    Index("ix_sightings_withdrawn", "paper_id", sqlite_where=text("withdrawn")),
)

source_days = Table(
    "source_days",
    metadata,
    Column("source_id", ForeignKey(sources.c.id), primary_key=True),
    Column("day", Date, primary_key=True),
    sqlite_with_rowid=False,
)

editions = Table(
    "editions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("positions", JSON, nullable=False, comment="its entries, in reading order"),
    Column("state", String, nullable=False, comment="frozen, held or rejected"),
    Column("reason", Text),
    Column("language", String, nullable=False),
    Column("theme", String, nullable=False),
    Column("parts", JSON, nullable=False, comment="subject, html and text of each part"),
    Column("frozen_at", Utc, nullable=False),
    Column("planned_at", Utc, comment="when it was first planned for a subscriber"),
    Column("decided_at", Utc, comment="when the operator released or rejected it"),
    Column("domain", String, comment="of its Message-IDs; none: the sender's"),
    Column(
        "public",
        Boolean,
        nullable=False,
        server_default="0",
        comment="it was the first with one of its entries",
    ),
    Column("subject", String, nullable=False, server_default="", comment="of its first part"),
    Column("papers", Integer, nullable=False, server_default="0", comment="their number"),
    # Covers all that the archive lists, so that the long texts of editions are not read.
    Index(
        "ix_editions_listed",
        *("id", "key", "subject", "papers", "frozen_at", "state", "public", "planned_at"),
        sqlite_where=text("state = 'frozen' AND public = 1 AND planned_at IS NOT NULL"),
    ),
)

passed = Table(
    "passed",
    metadata,
    Column("position", ForeignKey(entries.c.position), primary_key=True, autoincrement=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("paused_at", Utc, comment="since when nothing is sent, if the operator stopped it"),
    Column("latest_at", Utc, comment="the newest instant at which anything was planned or sent"),
    Column("schedule_fingerprint", String, comment="what the due times were computed from"),
    Column(
        "restored",
        Boolean,
        nullable=False,
        server_default="0",
        comment="sources added from now on may have announced papers before",
    ),
    Column("alerted", JSON, nullable=False, server_default="[]", comment="known to the owner"),
    Column("stopped", Text, comment="why the last run ended before its work was done"),
    Column("stopped_at", Utc, comment="since when runs end early"),
    Column("week_reported_on", Date, comment="the Monday of the last weekly report"),
    Column("generation", Integer, nullable=False, server_default="0", comment="see `generations`"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("address", String, nullable=False),
    Column("normal", String, nullable=False, server_default="", comment="the address as compared"),
    Column("subscriber_id", Integer, comment="the subscriber it is about, if any"),
    Column("subject", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("alerts", JSON, comment="the alerts that a report to the owner is about"),
    Index("ix_notices_normal", "normal", "at"),
    Index("ix_notices_subscriber_id", "subscriber_id"),
    sqlite_autoincrement=True,
)

ENDED_OTHERWISE = "state NOT IN ('queued', 'sending', 'sent')"
"""A condition on deliveries. Few match, and the operator lists them, so it has an index."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("edition_id", ForeignKey(editions.c.id)),
    Column("part", Integer, nullable=False, comment="of the edition, from 1"),
    Column("subscriber_id", Integer, comment="may have been removed since"),
    Column("notice_id", ForeignKey(notices.c.id)),
    Column("state", String, nullable=False),
    Column("try_at", Utc, comment="while it waits to be sent"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("first_at", Utc, comment="of the first attempt"),
    Column("claimed_by", String, comment="the sender that claimed it"),
    Column("reply", Text, comment="the server's last reply"),
    Column("changed_at", Utc, nullable=False),
    Column("acknowledged", Boolean, nullable=False, server_default="0", comment="by the operator"),
    Index("uq_deliveries_person", "subscriber_id", "edition_id", "part", unique=True),
    Index("ix_deliveries_try_at", "try_at", sqlite_where=text("try_at IS NOT NULL")),
    Index(
        "ix_deliveries_notices",
        "try_at",
        sqlite_where=text("notice_id IS NOT NULL AND try_at IS NOT NULL"),
    ),
    Index("ix_deliveries_claimed_by", "claimed_by", sqlite_where=text("claimed_by IS NOT NULL")),
    Index("ix_deliveries_state", "state", sqlite_where=text(ENDED_OTHERWISE)),
    Index("ix_deliveries_notice_id", "notice_id", sqlite_where=text("notice_id IS NOT NULL")),
    sqlite_autoincrement=True,
)

sendings = Table(
    "sendings",
    metadata,
    Column("hour", Utc, primary_key=True),
    Column("count", Integer, nullable=False, comment="attempts"),
    Column("accepted", Integer, nullable=False, server_default="0"),
    Column("refused", Integer, nullable=False, server_default="0", comment="permanently"),
    sqlite_with_rowid=False,
)

breakers = Table(
    "breakers",
    metadata,
    Column("domain", String, primary_key=True, comment="in ASCII; empty: all mail"),
    Column("opened_at", Utc, nullable=False),
    Column("reason", Text, nullable=False),
    Column("probe_at", Utc, nullable=False, comment="when one delivery may be tried again"),
    sqlite_with_rowid=False,
)
