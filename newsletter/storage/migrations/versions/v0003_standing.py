"""The domain of an edition's Message-IDs, and why the last run ended before its work was done."""

import sqlalchemy as sa
from alembic import op

from newsletter.storage.schema import Utc

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns; what was frozen before keeps following the sender."""
    with op.batch_alter_table("editions", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "domain",
                sa.String(),
                nullable=True,
                comment="of its Message-IDs; none: the sender's",
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
