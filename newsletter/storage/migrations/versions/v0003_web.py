"""What the pages for readers need; the domain of Message-IDs; why the last run ended early."""

import sqlalchemy as sa
from alembic import op

from newsletter.storage.schema import Utc

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns and the table of requests; what was frozen keeps following the sender."""
    with op.batch_alter_table("editions", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "domain",
                sa.String(),
                nullable=True,
                comment="of its Message-IDs; none: the sender's",
            )
        )
        batch_op.add_column(
            sa.Column(
                "public",
                sa.Boolean(),
                nullable=False,
                server_default="0",
                comment="it was the first with one of its entries",
            )
        )
        batch_op.add_column(
            sa.Column(
                "subject",
                sa.String(),
                nullable=False,
                server_default="",
                comment="of its first part",
            )
        )
        batch_op.add_column(
            sa.Column(
                "papers",
                sa.Integer(),
                nullable=False,
                server_default="0",
                comment="how many it has",
            )
        )
    with op.batch_alter_table("standing", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "stopped",
                sa.Text(),
                nullable=True,
                comment="why the last run ended before its work was done",
            )
        )
        batch_op.add_column(
            sa.Column("stopped_at", Utc(), nullable=True, comment="since when it does")
        )
        batch_op.add_column(
            sa.Column(
                "week_told_on",
                sa.Date(),
                nullable=True,
                comment="the Monday of the last weekly report",
            )
        )
    with op.batch_alter_table("subscribers", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "paused_until", sa.Date(), nullable=True, comment="the local date a pause ends"
            )
        )
        batch_op.add_column(
            sa.Column("consented_at", Utc(), nullable=True, comment="when they confirmed")
        )
        batch_op.add_column(
            sa.Column(
                "consent_text", sa.String(), nullable=True, comment="the version of what they read"
            )
        )
        batch_op.add_column(
            sa.Column(
                "consent_network", sa.String(), nullable=True, comment="from where, cut short"
            )
        )
        batch_op.add_column(
            sa.Column(
                "left_because", sa.Text(), nullable=True, comment="what they said, if they did"
            )
        )
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False, comment="subscribe, settings or change"),
        sa.Column(
            "address", sa.String(), nullable=False, comment="as written; empty when of no more use"
        ),
        sa.Column(
            "subscriber_id", sa.Integer(), nullable=True, comment="whose, once that is known"
        ),
        sa.Column("time_zone", sa.String(), nullable=True, comment="of the visitor's browser"),
        sa.Column("network", sa.String(), nullable=False, comment="from where, cut short"),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("handled_at", Utc(), nullable=True, comment="when it was looked at"),
        sa.Column("confirmed_at", Utc(), nullable=True, comment="when its link was used"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index(
            "ix_requests_waiting", ["id"], unique=False, sqlite_where=sa.text("handled_at IS NULL")
        )
        batch_op.create_index("ix_requests_at", ["at"], unique=False)
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_deliveries_notices",
            ["try_at"],
            unique=False,
            sqlite_where=sa.text("notice_id IS NOT NULL AND try_at IS NOT NULL"),
        )
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "normal",
                sa.String(),
                nullable=False,
                server_default="",
                comment="the address as compared",
            )
        )
        batch_op.add_column(
            sa.Column(
                "subscriber_id",
                sa.Integer(),
                nullable=True,
                comment="whom it is about, if that is a subscriber",
            )
        )
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.create_index("ix_notices_normal", ["normal", "at"], unique=False)
        batch_op.create_index("ix_notices_subscriber_id", ["subscriber_id"], unique=False)
    op.execute("UPDATE notices SET normal = lower(address)")
    with op.batch_alter_table("editions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_editions_listed",
            ["id", "key", "subject", "papers", "frozen_at", "state", "public", "planned_at"],
            unique=False,
            sqlite_where=sa.text("state = 'frozen' AND public = 1 AND planned_at IS NOT NULL"),
        )
    op.execute(
        "UPDATE editions SET public = planned_at IS NOT NULL, "
        "papers = json_array_length(positions), "
        "subject = coalesce(json_extract(parts, '$[0].subject'), '')"
    )
