"""The schema of the first release."""

from newsletter.storage.migrations.baseline.search import create_search
from newsletter.storage.migrations.baseline.tables import create_tables, fill_tables

revision = "1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, their single rows and the search index."""
    create_tables()
    fill_tables()
    create_search()
