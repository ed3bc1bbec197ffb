"""Automatic backups: their names, which of them are deleted, and whether one fits. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import PurePath

FOLDER = "backups"
"""The folder beside the database that they are in."""

_LEAST_FREE = 1 << 20
"""Bytes that stay free for sending, besides a tenth of the database's size."""


def file_name(database: str, day: date) -> str:
    """Returns the name of a day's backup, such as `newsletter-2026-11-29.db`."""
    path = PurePath(database)
    return f"{path.stem}-{day.isoformat()}{path.suffix}"


def day_of(database: str, name: str) -> date | None:
    """Returns the day of a backup, or `None` if the file is something else."""
    found = re.search(r"\d{4}-\d\d-\d\d", name.removeprefix(f"{PurePath(database).stem}-"))
    try:
        day = date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None
    return day if day and name == file_name(database, day) else None


def newest(database: str, names: Iterable[str]) -> date | None:
    """Returns the day of the newest of these backups, or `None` if there is none."""
    return max((day for name in names if (day := day_of(database, name))), default=None)


def expired(database: str, names: Iterable[str], today: date, keep: int) -> list[str]:
    """Returns the backups to delete: all but the newest `keep`.

    Today's always stays. Those with a later day were made while the clock was wrong: they go
    first. Other files never go.
    """
    days = {name: day for name in names if (day := day_of(database, name))}
    by_age = sorted(days, key=lambda name: (days[name] > today, today - days[name]))
    return by_age[max(keep, 1) :]


def is_left_over(database: str, name: str) -> bool:
    """Whether a file or folder is what is left of a backup whose process died while it copied."""
    hidden = re.fullmatch(r"\.(.+)\.[0-9a-f]+\.part(-journal)?", name)
    return bool(hidden and day_of(database, hidden[1]))


def fits(size: int, free: int) -> bool:
    """Whether a copy of a database of `size` bytes leaves enough room for sending."""
    return free >= size + size // 10 + _LEAST_FREE
