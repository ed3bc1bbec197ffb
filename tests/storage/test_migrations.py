"""A migration that has landed is never edited: databases made by it are in use."""

from __future__ import annotations

import hashlib
from pathlib import Path

import newsletter.storage.migrations as migrations

LANDED: dict[str, str] = {
    "baseline/__init__.py": ("99510670f1e8967a5196aca0ea5bba1258d24c6cc63a1f7f6628a7bdc884bf57"),
    "baseline/search.py": ("10c2d6c5157ff78cfb0fc87ab8005eade3b8f8908189b4630531ff4f19400914"),
    "baseline/tables.py": ("9dd4990523accc3a2f5eef6ff7dcb08464579c768761421bd4f7751a308a34dd"),
    "versions/v0001_baseline.py": (
        "a91433d1c5870dc8af01f644b28cb4ffa3ccb0f71294de08533849f49c8e9a0b"
    ),
}
"""The hash of each file, as it landed. Add a line for a new migration; change none."""


def test_landed_migrations_are_as_they_landed() -> None:
    """Every migration and everything of ours that it consists of."""
    folder = Path(migrations.__file__).parent
    files = {*(folder / "versions").glob("v*.py"), *(folder / "baseline").glob("*.py")}
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert found == LANDED
