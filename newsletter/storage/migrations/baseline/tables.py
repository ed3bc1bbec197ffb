"""The tables of the first release, and their single rows; what they mean says `storage.schema`."""

import secrets

import sqlalchemy as sa
from alembic import op

KEY_BYTES = 32


def create_tables() -> None:
    """Creates the tables in the order of their references."""
    _source_tables()
    _snapshot_tables()
    _paper_tables()
    _entries_table()
    _sighting_tables()
    _edition_tables()
    _installation_tables()
    _subscriber_tables()
    _notice_tables()
    _deliveries_table()
    _outcome_tables()


def fill_tables() -> None:
    """Inserts the single rows, and keys that are this database's alone."""
    op.execute("INSERT INTO log_head (id, position) VALUES (1, 0)")
    op.execute("INSERT INTO installation (id) VALUES (1)")
    table = sa.table("secrets", sa.column("name"), sa.column("value"))
    keys = [{"name": name, "value": secrets.token_bytes(KEY_BYTES)} for name in ("own", "links")]
    op.bulk_insert(table, keys)


def _source_tables() -> None:
    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="single"), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("opening_day", sa.Date),
        sa.Column("opening_snapshot", sa.Integer),
        sa.Column("opened_at", sa.DateTime),
        sa.Column("captured_at", sa.DateTime),
        sa.Column("failing_since", sa.DateTime),
        sa.Column("failure", sa.Text),
        sa.Column("failed_at", sa.DateTime),
        sa.Column("restored", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("watched", sa.Boolean, nullable=False, server_default="0"),
    )
    op.create_table(
        "validators",
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
        sa.Column("url", sa.String, primary_key=True),
        sa.Column("etag", sa.Text),
        sa.Column("last_modified", sa.Text),
        sa.Column("answered_at", sa.DateTime),
        sqlite_with_rowid=False,
    )


def _snapshot_tables() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("captured_at", sa.DateTime, nullable=False),
        sa.Column("day", sa.Date),
        sa.Column("dated_by", sa.String),
        sa.Column("asked_format", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("format", sa.String),
        sa.Column("papers", sa.Integer, nullable=False, server_default="0"),
        sa.Column("new", sa.Integer, nullable=False, server_default="0"),
        sa.Column("learnt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("updated", sa.Integer, nullable=False, server_default="0"),
        sa.Column("relisted", sa.Integer, nullable=False, server_default="0"),
        sa.Column("withdrawn", sa.Integer, nullable=False, server_default="0"),
        sa.Column("notes", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("opening", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("ix_snapshots_source_id_id", "snapshots", ["source_id", "id"])
    op.create_index("ix_snapshots_source_id_sha256", "snapshots", ["source_id", "sha256"])
    op.create_index("ix_snapshots_state", "snapshots", ["state"])


def _paper_tables() -> None:
    op.create_table(
        "papers",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("upvotes", sa.Integer),
        sa.Column("new_at", sa.Integer),
        sa.Column("silent", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("withdrawn_at", sa.Integer),
    )
    op.create_table(
        "paper_keys",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("paper_id", sa.Integer, sa.ForeignKey("papers.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_paper_keys_paper_id", "paper_keys", ["paper_id"])
    op.create_table(
        "texts",
        sa.Column("paper_id", sa.Integer, sa.ForeignKey("papers.id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("record", sa.JSON, nullable=False),
    )


def _entries_table() -> None:
    op.create_table(
        "entries",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("paper_id", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False),
        sa.Column("snapshot_id", sa.Integer, sa.ForeignKey("snapshots.id"), nullable=False),
        sa.Column("day", sa.Date),
        sa.Column("day_label", sa.String),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.ForeignKeyConstraint(["paper_id", "version"], ["texts.paper_id", "texts.version"]),
    )
    op.create_index("ix_entries_kind_day", "entries", ["kind", "day"])
    op.create_index("ix_entries_kind_position", "entries", ["kind", "position"])
    op.create_index("ix_entries_paper_id", "entries", ["paper_id"])
    op.create_index("ix_entries_snapshot_id", "entries", ["snapshot_id"])


def _sighting_tables() -> None:
    op.create_table(
        "sightings",
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
        sa.Column("paper_id", sa.Integer, sa.ForeignKey("papers.id"), primary_key=True),
        sa.Column("snapshot_id", sa.Integer, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("upvotes", sa.Integer),
        sa.Column("listed", sa.Boolean, nullable=False),
        sa.Column("first_day", sa.Date),
        sa.Column("last_day", sa.Date),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
    )
    op.create_index(
        "ix_sightings_withdrawn", "sightings", ["paper_id"], sqlite_where=sa.text("withdrawn")
    )
    op.create_table(
        "source_days",
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sqlite_with_rowid=False,
    )


def _edition_tables() -> None:
    op.create_table(
        "editions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("positions", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("theme", sa.String, nullable=False),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("frozen_at", sa.DateTime, nullable=False),
        sa.Column("planned_at", sa.DateTime),
        sa.Column("decided_at", sa.DateTime),
        sa.Column("domain", sa.String),
        sa.Column("public", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("subject", sa.String, nullable=False, server_default=""),
        sa.Column("papers", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index(
        "ix_editions_listed",
        "editions",
        ["id", "key", "subject", "papers", "frozen_at", "state", "public", "planned_at"],
        sqlite_where=sa.text("state = 'frozen' AND public = 1 AND planned_at IS NOT NULL"),
    )
    op.create_table(
        "passed",
        sa.Column(
            "position",
            sa.Integer,
            sa.ForeignKey("entries.position"),
            primary_key=True,
            autoincrement=False,
        ),
    )


def _installation_tables() -> None:
    op.create_table(
        "secrets",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="single"), primary_key=True),
        sa.Column("paused_at", sa.DateTime),
        sa.Column("latest_at", sa.DateTime),
        sa.Column("schedule_fingerprint", sa.String),
        sa.Column("restored", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("alerted", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("stopped", sa.Text),
        sa.Column("stopped_at", sa.DateTime),
        sa.Column("week_reported_on", sa.Date),
        sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    )


def _subscriber_tables() -> None:
    op.create_table(
        "subscribers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("normal", sa.String, nullable=False, unique=True),
        sa.Column("domain", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("cadence", sa.String, nullable=False),
        sa.Column("time_zone", sa.String),
        sa.Column("send_at", sa.String),
        sa.Column("topics", sa.JSON, nullable=False),
        sa.Column("cursor", sa.Integer, nullable=False),
        sa.Column("next_due_at", sa.DateTime),
        sa.Column("last_due_on", sa.Date),
        sa.Column("merged", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("refusals", sa.Integer, nullable=False, server_default="0"),
        sa.Column("refused_edition", sa.Integer),
        sa.Column("paused_until", sa.Date),
        sa.Column("consented_at", sa.DateTime),
        sa.Column("consent_text", sa.String),
        sa.Column("consent_network", sa.String),
        sa.Column("left_because", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_subscribers_next_due_at", "subscribers", ["next_due_at"])
    op.create_index("ix_subscribers_state_cursor", "subscribers", ["state", "cursor"])
    op.create_table(
        "suppressions",
        sa.Column("hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sqlite_with_rowid=False,
    )


def _notice_tables() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("normal", sa.String, nullable=False, server_default=""),
        sa.Column("subscriber_id", sa.Integer),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("alerts", sa.JSON),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notices_normal", "notices", ["normal", "at"])
    op.create_index("ix_notices_subscriber_id", "notices", ["subscriber_id"])
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("subscriber_id", sa.Integer),
        sa.Column("time_zone", sa.String),
        sa.Column("network", sa.String, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("handled_at", sa.DateTime),
        sa.Column("confirmed_at", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_requests_at", "requests", ["at"])
    op.create_index(
        "ix_requests_waiting", "requests", ["id"], sqlite_where=sa.text("handled_at IS NULL")
    )


def _deliveries_table() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("edition_id", sa.Integer, sa.ForeignKey("editions.id")),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("subscriber_id", sa.Integer),
        sa.Column("notice_id", sa.Integer, sa.ForeignKey("notices.id")),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("try_at", sa.DateTime),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("first_at", sa.DateTime),
        sa.Column("claimed_by", sa.String),
        sa.Column("reply", sa.Text),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("acknowledged", sa.Boolean, nullable=False, server_default="0"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_claimed_by",
        "deliveries",
        ["claimed_by"],
        sqlite_where=sa.text("claimed_by IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_notice_id",
        "deliveries",
        ["notice_id"],
        sqlite_where=sa.text("notice_id IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_notices",
        "deliveries",
        ["try_at"],
        sqlite_where=sa.text("notice_id IS NOT NULL AND try_at IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_state",
        "deliveries",
        ["state"],
        sqlite_where=sa.text("state NOT IN ('queued', 'sending', 'sent')"),
    )
    op.create_index(
        "ix_deliveries_try_at", "deliveries", ["try_at"], sqlite_where=sa.text("try_at IS NOT NULL")
    )
    op.create_index(
        "uq_deliveries_person", "deliveries", ["subscriber_id", "edition_id", "part"], unique=True
    )


def _outcome_tables() -> None:
    op.create_table(
        "sendings",
        sa.Column("hour", sa.DateTime, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("accepted", sa.Integer, nullable=False, server_default="0"),
        sa.Column("refused", sa.Integer, nullable=False, server_default="0"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "breakers",
        sa.Column("domain", sa.String, primary_key=True),
        sa.Column("opened_at", sa.DateTime, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("probe_at", sa.DateTime, nullable=False),
        sqlite_with_rowid=False,
    )
