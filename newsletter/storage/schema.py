"""The tables. Times are UTC; days are local to the page they stand on.

log_head    one row: the position of the newest entry; its lock orders the writers
sources     places papers come from
validators  what a server said of a page's version, to ask only for newer ones
blobs       captured bytes, compressed, once per content
snapshots   what was captured when, and what became of it
papers      one row a work; its number is the position at which it entered the log
paper_keys  who holds which identity key; a key never changes hands
texts       every text a paper has had; rows never change
entries     the paper log
listings    what each source said last of each paper
source_days the days for which a source listed anything
editions    frozen lists of new papers with what was made of them
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Utc(TypeDecorator[datetime]):
    """An instant, kept as naive UTC; naive values are refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone: {value}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

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
    Column("captured_at", Utc, comment="last time it gave anything, changed or not"),
    Column("failing_since", Utc),
    Column("failure", Text, comment="what it says, while it fails"),
)

validators = Table(
    "validators",
    metadata,
    Column("source_id", ForeignKey(sources.c.id), primary_key=True),
    Column("url", String, primary_key=True),
    Column("etag", Text),
    Column("last_modified", Text),
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
    Column("day", Date, comment="a day to read it by"),
    Column("dated_by", String, comment="where that day is from"),
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
    Column("withdrawn", Boolean, nullable=False, server_default="0"),
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

listings = Table(
    "listings",
    metadata,
    Column("source_id", ForeignKey(sources.c.id), primary_key=True),
    Column("paper_id", ForeignKey(papers.c.id), primary_key=True),
    Column("snapshot_id", Integer, nullable=False, comment="the newest that listed it"),
    Column("last_day", Date),
    Column("title_said", String, nullable=False),
    Column("abstract_said", String, nullable=False),
    sqlite_with_rowid=False,
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
)
