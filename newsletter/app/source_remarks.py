"""What to tell the operator about sources that are new in the configuration or gone from it. Pure.

A source is known by its name, so a renamed one looks like one that is gone and one that is new.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher

RECENT = timedelta(days=30)
"""How long after its last capture a source that was removed is worth mentioning."""


@dataclass(frozen=True, slots=True)
class KnownSource:
    """What the database knows of a source.

    Attributes:
        name: its name.
        captured_at: when it last answered.
        first_snapshot: id of its first snapshot, or `None` if it was never captured.
        last_snapshot: id of its last one.
        origin: the path or URL of its last one.
        watched: whether the configuration ever had it. Others were only named on the command
            line, so that their absence means nothing.
    """

    name: str
    captured_at: datetime | None = None
    first_snapshot: int | None = None
    last_snapshot: int | None = None
    origin: str = ""
    watched: bool = True


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark about a source.

    Attributes:
        source: the source that is new or gone.
        text: the remark: what is the case, and what to do.
        rename_to: the configured source that it may have become, if it is gone.
    """

    source: str
    text: str
    rename_to: str | None = None


def source_remarks(
    configured: Mapping[str, str], known: Sequence[KnownSource], at: datetime
) -> list[Remark]:
    """Returns the remarks, those about sources that are gone first.

    Args:
        configured: the path or URL of each configured source.
        known: the sources in the database.
        at: the current instant.
    """
    captured = {one.name: one for one in known if one.first_snapshot is not None}
    begins = [name for name in configured if name not in captured]
    gone = [one for one in captured.values() if one.watched and one.name not in configured]
    renamed = _renamed(gone, configured, captured, at)
    remarks = [
        _gone(one, renamed.get(one.name), begins)
        for one in gone
        if one.name in renamed or _is_recent(one, at)
    ]
    return remarks + [Remark(name, _begins(name)) for name in begins]


def _is_recent(source: KnownSource, at: datetime) -> bool:
    return source.captured_at is None or at - source.captured_at <= RECENT


def _renamed(
    gone: Sequence[KnownSource],
    configured: Mapping[str, str],
    captured: Mapping[str, KnownSource],
    at: datetime,
) -> dict[str, str]:
    """Returns the likeliest new name of each source that is gone, each name at most once."""
    pairs = sorted(
        (
            (_likeness(one, name, configured[name]), one.name, name)
            for one in gone
            for name in configured
            if _may_follow(one, captured.get(name), at)
        ),
        reverse=True,
    )
    found: dict[str, str] = {}
    for _, old, new in pairs:
        if old not in found and new not in found.values():
            found[old] = new
    return found


def _may_follow(gone: KnownSource, other: KnownSource | None, at: datetime) -> bool:
    """Whether a configured source may be the one that is gone: it began after that one ended."""
    if other is None:
        return True
    began, ended = other.first_snapshot or 0, gone.last_snapshot or 0
    return began > ended and _is_recent(gone, at)


def _likeness(gone: KnownSource, name: str, place: str) -> tuple[bool, float]:
    """How much speaks for a rename: first the place that is read, then the name."""
    pattern = r"\d{4}-\d\d-\d\d".join(map(re.escape, place.split("{date}")))
    same_place = re.fullmatch(rf"{pattern}(/[^/]*)?", gone.origin) is not None
    return same_place, SequenceMatcher(None, gone.name, name).ratio()


def _gone(source: KnownSource, new: str | None, begins: Collection[str]) -> Remark:
    text = f"{source.name} was captured before, but is not in the configuration"
    if new:
        when = "begins there without its history" if new in begins else "began there since"
        command = f"newsletter sources rename {shlex.quote(source.name)} {shlex.quote(new)}"
        text += f", while {new} {when}; if this is the same source under a new name, `{command}`"
        text += " continues it, so that no paper is missed"
    return Remark(source.name, text, new)


def _begins(name: str) -> str:
    return f"{name} is new: its first capture announces only the papers of its latest day"
