"""When each address answered last: by that a dated source knows for which days it owes a list.

Of what was captured before, the newest capture of an address says it. One whose list was the
same on the next day has none from that day; it is asked once more.
"""

import sqlalchemy as sa
from alembic import op

from newsletter.storage.schema import Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KNOWN = """
INSERT INTO validators (source_id, url, answered_at)
SELECT source_id, origin, max(captured_at) FROM snapshots
WHERE origin LIKE '%://%' GROUP BY source_id, origin
ON CONFLICT (source_id, url) DO UPDATE SET answered_at = excluded.answered_at
"""


def upgrade() -> None:
    """Adds the column, and fills it from the captures."""
    op.add_column(
        "validators",
        sa.Column(
            "answered_at",
            Utc(),
            nullable=True,
            comment="last time it answered, changed or not",
        ),
    )
    op.execute(_KNOWN)
