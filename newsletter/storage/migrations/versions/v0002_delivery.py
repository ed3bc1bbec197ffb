"""Delivery: subscribers with their cursors, deliveries, notices, suppressions and secrets."""

import secrets

import sqlalchemy as sa
from alembic import op

from newsletter.storage.schema import Utc

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY_BYTES = 32


def upgrade() -> None:
    """Makes the tables, the one row of `standing`, and keys that nobody else has."""
    with op.batch_alter_table("sources", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("failed_at", Utc(), nullable=True, comment="last time it could not be read")
        )
        batch_op.add_column(
            sa.Column(
                "restored",
                sa.Boolean(),
                nullable=False,
                server_default="0",
                comment="what it announced since the backup is not known, "
                "until a snapshot is released",
            )
        )
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "sendings",
        sa.Column("hour", Utc(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", name=op.f("pk_sendings")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "standing",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "paused_at",
            Utc(),
            nullable=True,
            comment="since when nothing is sent, if the operator stopped it",
        ),
        sa.Column(
            "latest_at",
            Utc(),
            nullable=True,
            comment="the newest instant at which anything was planned or sent",
        ),
        sa.Column(
            "clockwork", sa.String(), nullable=True, comment="what the due times were computed from"
        ),
        sa.Column(
            "restored",
            sa.Boolean(),
            nullable=False,
            server_default="0",
            comment="sources met from now on may have announced something before",
        ),
        sa.Column(
            "told", sa.JSON(), server_default="[]", nullable=False, comment="what the owner knows"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_standing")),
    )
    op.create_table(
        "subscribers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False, comment="as written"),
        sa.Column("normal", sa.String(), nullable=False, comment="as compared"),
        sa.Column("domain", sa.String(), nullable=False, comment="in ASCII"),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cadence", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=True, comment="none: the newsletter's"),
        sa.Column("send_at", sa.String(), nullable=True, comment="HH:MM; none: the newsletter's"),
        sa.Column("topics", sa.JSON(), nullable=False, comment="none: everything"),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("next_due_at", Utc(), nullable=True, comment="none unless active"),
        sa.Column(
            "last_due_on", sa.Date(), nullable=True, comment="the last local date that is done with"
        ),
        sa.Column(
            "merged",
            sa.Boolean(),
            nullable=False,
            server_default="0",
            comment="that date became one with the next: not a second time",
        ),
        sa.Column("added_at", Utc(), nullable=False),
        sa.Column("changed_at", Utc(), nullable=False, comment="when the state became what it is"),
        sa.Column("refusals", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "refused_edition",
            sa.Integer(),
            nullable=True,
            comment="the last one counted in `refusals`",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscribers")),
        sa.UniqueConstraint("normal", name=op.f("uq_subscribers_normal")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("subscribers", schema=None) as batch_op:
        batch_op.create_index("ix_subscribers_next_due_at", ["next_due_at"], unique=False)
        batch_op.create_index("ix_subscribers_state_cursor", ["state", "cursor"], unique=False)

    op.create_table(
        "suppressions",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_suppressions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Integer(), nullable=True),
        sa.Column("part", sa.Integer(), nullable=False, comment="of the edition, from 1"),
        sa.Column("subscriber_id", sa.Integer(), nullable=True, comment="may be gone by now"),
        sa.Column("notice_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("try_at", Utc(), nullable=True, comment="while it waits to be sent"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_at", Utc(), nullable=True, comment="of the first attempt"),
        sa.Column("claimed_by", sa.String(), nullable=True, comment="the sender that has it"),
        sa.Column("reply", sa.Text(), nullable=True, comment="what the server said last"),
        sa.Column("changed_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["editions.id"], name=op.f("fk_deliveries_edition_id")
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notices.id"], name=op.f("fk_deliveries_notice_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_deliveries_claimed_by",
            ["claimed_by"],
            unique=False,
            sqlite_where=sa.text("claimed_by IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_deliveries_state",
            ["state"],
            unique=False,
            sqlite_where=sa.text("state NOT IN ('queued', 'sending', 'sent')"),
        )
        batch_op.create_index(
            "ix_deliveries_notice_id",
            ["notice_id"],
            unique=False,
            sqlite_where=sa.text("notice_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_deliveries_try_at",
            ["try_at"],
            unique=False,
            sqlite_where=sa.text("try_at IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_deliveries_person", ["subscriber_id", "edition_id", "part"], unique=True
        )

    op.create_table(
        "passed",
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["position"], ["entries.position"], name=op.f("fk_passed_position")
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_passed")),
    )
    with op.batch_alter_table("editions", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "planned_at", Utc(), nullable=True, comment="when the first person was to get it"
            )
        )
        batch_op.add_column(
            sa.Column(
                "decided_at",
                Utc(),
                nullable=True,
                comment="when the operator released or rejected it",
            )
        )

    op.execute("INSERT INTO standing (id) VALUES (1)")
    table = sa.table("secrets", sa.column("name"), sa.column("value"))
    op.bulk_insert(
        table,
        [{"name": name, "value": secrets.token_bytes(KEY_BYTES)} for name in ("own", "links")],
    )
