"""A released migration is never edited, because databases made by it are in use."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import newsletter.storage.migrations as migrations
from newsletter.storage import subscribers
from newsletter.storage.database import Database
from tests.support.databases import file_of_revision

LANDED: dict[str, str] = {
    "baseline/__init__.py": ("99510670f1e8967a5196aca0ea5bba1258d24c6cc63a1f7f6628a7bdc884bf57"),
    "baseline/search.py": ("10c2d6c5157ff78cfb0fc87ab8005eade3b8f8908189b4630531ff4f19400914"),
    "baseline/tables.py": ("9dd4990523accc3a2f5eef6ff7dcb08464579c768761421bd4f7751a308a34dd"),
    "versions/v0001_baseline.py": (
        "a91433d1c5870dc8af01f644b28cb4ffa3ccb0f71294de08533849f49c8e9a0b"
    ),
    "versions/v0002_links_that_end.py": (
        "ed06269585a3c8805bce9d561dd5e85c4b312526149a5d715d0e8b97e1d243a7"
    ),
}
"""The hash of each file as released. Add a line for a new migration; change none."""


def test_released_migrations_are_unchanged() -> None:
    """Covers every migration and every module of ours that it consists of."""
    folder = Path(migrations.__file__).parent
    files = {*(folder / "versions").glob("v*.py"), *(folder / "baseline").glob("*.py")}
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert found == LANDED


def test_links_of_existing_subscribers_can_be_ended(tmp_path: Path) -> None:
    """The subscribers keep their rows, and ids are still never reused."""
    file = file_of_revision(tmp_path / "old.db", "1")
    with closing(sqlite3.connect(file)) as old:
        for name in ("ada", "bob"):
            old.execute(
                "INSERT INTO subscribers (address, normal, domain, state, cadence, topics, cursor, "
                "added_at, changed_at) VALUES (?1, ?1, 'example.org', 'active', 'daily', '[]', 0, "
                "'2026-11-20 06:00:00.000000', '2026-11-20 06:00:00.000000')",
                (f"{name}@example.org",),
            )
        old.execute("DELETE FROM subscribers WHERE id = 2")
        old.commit()
    with Database(f"sqlite:///{file}") as database, database.write() as tx:
        (ada,) = subscribers.listed(tx)
        assert (ada.id, ada.address, ada.link_epoch) == (1, "ada@example.org", 0)
        tx.exec_driver_sql(
            "INSERT INTO subscribers (address, normal, domain, state, cadence, topics, cursor, "
            "added_at, changed_at) SELECT 'cy', 'cy', domain, state, cadence, topics, cursor, "
            "added_at, changed_at FROM subscribers"
        )
        assert [one.id for one in subscribers.listed(tx)] == [1, 3]
