"""Detects changes in a folder of captures, without reading its files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from newsletter.sources.files import RESTED

Signature = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and modification time in nanoseconds of each file."""


def rests(found: Signature, at: datetime) -> bool:
    """Returns whether no file had changed for `RESTED` seconds before an instant."""
    ages = (at.timestamp() - changed / 1e9 for _, _, changed in found)
    return not any(0 <= age < RESTED for age in ages)


def signature(folder: Path) -> Signature:
    """Returns the signature of a folder; empty if it cannot be read."""
    found = []
    try:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                about = path.stat()
                found.append((path.name, about.st_size, about.st_mtime_ns))
    except OSError:
        return ()
    return tuple(found)
