"""The first schema: sources, snapshots, the paper log and editions."""

import sqlalchemy as sa
from alembic import op

from newsletter.storage.schema import Utc

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables, and the one row from which positions come."""
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="zlib"),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blobs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "editions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("positions", sa.JSON(), nullable=False, comment="its entries, in reading order"),
        sa.Column("state", sa.String(), nullable=False, comment="frozen, held or rejected"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("theme", sa.String(), nullable=False),
        sa.Column(
            "parts", sa.JSON(), nullable=False, comment="subject, html and text of each part"
        ),
        sa.Column("frozen_at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_editions")),
        sa.UniqueConstraint("key", name=op.f("uq_editions_key")),
    )
    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_log_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_head")),
    )
    op.create_table(
        "papers",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="its newest text"),
        sa.Column("upvotes", sa.Integer(), nullable=True, comment="the newest figure"),
        sa.Column("withdrawn", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_papers")),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "opening_day", sa.Date(), nullable=True, comment="the day its first ingest announces"
        ),
        sa.Column(
            "opening_snapshot",
            sa.Integer(),
            nullable=True,
            comment="or the snapshot, where days are not known",
        ),
        sa.Column("opened_at", Utc(), nullable=True, comment="when its first ingest was complete"),
        sa.Column(
            "captured_at",
            Utc(),
            nullable=True,
            comment="last time it gave anything, changed or not",
        ),
        sa.Column("failing_since", Utc(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True, comment="what it says, while it fails"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
    )
    op.create_table(
        "listings",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("paper_id", sa.Integer(), nullable=False),
        sa.Column("snapshot_id", sa.Integer(), nullable=False, comment="the newest that listed it"),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("title_said", sa.String(), nullable=False),
        sa.Column("abstract_said", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["paper_id"], ["papers.id"], name=op.f("fk_listings_paper_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_listings_source_id")),
        sa.PrimaryKeyConstraint("source_id", "paper_id", name=op.f("pk_listings")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "paper_keys",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("paper_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["paper_id"], ["papers.id"], name=op.f("fk_paper_keys_paper_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_paper_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_paper_keys_paper_id"), "paper_keys", ["paper_id"], unique=False)
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False, comment="bytes as captured"),
        sa.Column("origin", sa.Text(), nullable=False, comment="path or URL"),
        sa.Column("captured_at", Utc(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True, comment="a day to read it by"),
        sa.Column("dated_by", sa.String(), nullable=True, comment="where that day is from"),
        sa.Column(
            "asked_format",
            sa.String(),
            nullable=True,
            comment="the format it was asked to be read as",
        ),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it is held"),
        sa.Column("format", sa.String(), nullable=True),
        sa.Column("papers", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new", sa.Integer(), server_default="0", nullable=False),
        sa.Column("learnt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("relisted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("withdrawn", sa.Integer(), server_default="0", nullable=False),
        sa.Column("notes", sa.JSON(), server_default="[]", nullable=False),
        sa.Column(
            "opening", sa.Boolean(), nullable=False, comment="part of its source's first ingest"
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_snapshots_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
    )
    op.create_index("ix_snapshots_source_id_id", "snapshots", ["source_id", "id"], unique=False)
    op.create_index(
        "ix_snapshots_source_id_sha256", "snapshots", ["source_id", "sha256"], unique=False
    )
    op.create_index("ix_snapshots_state", "snapshots", ["state"], unique=False)
    op.create_table(
        "source_days",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_source_days_source_id")
        ),
        sa.PrimaryKeyConstraint("source_id", "day", name=op.f("pk_source_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "texts",
        sa.Column("paper_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["paper_id"], ["papers.id"], name=op.f("fk_texts_paper_id")),
        sa.PrimaryKeyConstraint("paper_id", "version", name=op.f("pk_texts")),
    )
    op.create_table(
        "validators",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_validators_source_id")
        ),
        sa.PrimaryKeyConstraint("source_id", "url", name=op.f("pk_validators")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entries",
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("paper_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True, comment="the day it was listed for"),
        sa.Column(
            "day_label",
            sa.String(),
            nullable=True,
            comment="that day as written, where its year is not known",
        ),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["paper_id", "version"],
            ["texts.paper_id", "texts.version"],
            name=op.f("fk_entries_paper_id_version"),
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_entries_snapshot_id")
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_entries_source_id")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_entries")),
    )
    op.create_index("ix_entries_kind_day", "entries", ["kind", "day"], unique=False)
    op.create_index("ix_entries_kind_position", "entries", ["kind", "position"], unique=False)
    op.create_index("ix_entries_paper_id", "entries", ["paper_id"], unique=False)
    op.create_index("ix_entries_snapshot_id", "entries", ["snapshot_id"], unique=False)

    op.execute("INSERT INTO log_head (id, position) VALUES (1, 0)")
