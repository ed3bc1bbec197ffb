"""A folder of captures as it looks from outside, so that a change to it is noticed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from newsletter.sources.files import RESTED

Signature = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and time of change in nanoseconds of each file."""


def rests(found: Signature, at: datetime) -> bool:
    """Whether every file had been left alone for a while."""
    ages = (at.timestamp() - changed / 1e9 for _, _, changed in found)
    return not any(0 <= age < RESTED for age in ages)


def signature(folder: Path) -> Signature:
    """What lies in a folder, as far as it can be told from outside."""
    found = []
    try:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                about = path.stat()
                found.append((path.name, about.st_size, about.st_mtime_ns))
    except OSError:
        return ()
    return tuple(found)
