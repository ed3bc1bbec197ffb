"""Steps from one schema to the next. Each is one file; the newest is `HEAD`.

Alembic is imported only when there is something to migrate: an ordinary run reads
the revision by SQL and compares it with `REVISIONS`.
"""

REVISIONS = ("1", "2")
"""Every revision this version of the program knows, oldest first."""

HEAD = REVISIONS[-1]

UNRELEASED = ("0001", "0002", "0003", "0004", "0005")
"""Revisions of databases made before the first release; none of them can be brought up to date."""
