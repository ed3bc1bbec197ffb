"""Personal links that can be ended, and the index that finds a subscriber's requests."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds `subscribers.link_epoch`, without copying the table, and the index."""
    op.add_column(
        "subscribers",
        sa.Column("link_epoch", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("ix_requests_subscriber_id", "requests", ["subscriber_id"])
