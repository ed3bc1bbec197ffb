"""Output about sources: JSON rows and readable lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from newsletter.app.source_checks import SourceCheck
from newsletter.app.status import Status
from newsletter.config.schema import Config
from newsletter.masks import masked_url
from newsletter.papers.source_rename import Renamed
from newsletter.text.counted import plural
from newsletter.text.dates import iso, utc

if TYPE_CHECKING:  # it imports every format
    from newsletter.app.source_setup import NewSource

RESTART = "If `newsletter serve` is running, restart it: it reads the configuration at its start."


def source_rows(config: Config, found: Status) -> Iterator[dict[str, Any]]:
    """Yields a JSON row for each source."""
    places = _places(config)
    for source in found.sources:
        yield {
            "source": source.name,
            "configured": source.name in places,
            "location": places.get(source.name),
            "captured_at": iso(source.captured_at),
            "snapshots": source.snapshots,
        }


def source_lines(config: Config, found: Status) -> Iterator[str]:
    """Yields a line for each source, and the remarks about it."""
    places = _places(config)
    for source in found.sources:
        at = source.captured_at
        captured = f"last captured {utc(at)}" if at else "never captured"
        yield f"{source.name}: {places.get(source.name, 'not in the configuration')} · {captured}"
        yield from (f"    note: {one.text}" for one in found.remarks if one.source == source.name)


def _places(config: Config) -> dict[str, str]:
    """Returns where each configured source is, without the secrets of its URL."""
    return {section.name: masked_url(section.url or section.path) for section in config.sources}


def renamed_row(renamed: Renamed) -> dict[str, Any]:
    """Returns the result of a rename as a JSON row."""
    return {
        "source": renamed.new,
        "renamed_from": renamed.old,
        "configured": renamed.configured,
        "merged": renamed.merged,
        "captures": renamed.moved.captures,
        "again": renamed.moved.again,
        "pruned": renamed.moved.pruned,
    }


def renamed_lines(renamed: Renamed) -> Iterator[str]:
    """Yields what was renamed, and what remains to be done, as readable lines."""
    old, new, moved = renamed.old, renamed.new, renamed.moved
    if not renamed.was_captured:
        yield f"Renamed {old} to {new} in the configuration; nothing has been captured from it yet."
        yield "If the database is elsewhere at the moment, run this command again when it is back."
        return
    yield f"Renamed {old} to {new}: its captures continue where those of {old} ended."
    if moved.captures:
        yield (
            f"{plural(moved.captures, 'capture')} already made as {new} now belong to it. "
            "None of the papers announced from them is announced again."
        )
    if moved.again:
        yield (
            f"The next `newsletter ingest` or `newsletter run` reads {moved.again} of them again "
            f"and announces the papers that had only been learnt from them and that {old} "
            "had never listed."
        )
    if moved.pruned:
        yield f"{moved.pruned} of them cannot be read again, because their bytes were pruned."
    if not renamed.configured:
        yield f"{new} is not in the configuration yet: change the name in its [[sources]] section."
    yield RESTART


def check_row(check: SourceCheck) -> dict[str, Any]:
    """Returns what a source has as a JSON row."""
    return {
        "source": check.source,
        "ok": check.error is None,
        "format": check.format,
        "papers": check.papers,
        "day": str(check.day) if check.day else None,
        "titles": check.titles,
        "notes": check.notes,
        "doubts": check.doubts,
        "error": str(check.error) if check.error else None,
    }


def check_lines(check: SourceCheck) -> Iterator[str]:
    """Yields what a source has, as readable lines; nothing if it could not be read."""
    if check.error:
        return
    day = f" of {check.day}" if check.day else ""
    form = f", read as {check.format}" if check.format else ""
    yield f"{check.source}: {plural(check.papers, 'paper')}{day}{form}"
    yield from (f"    {title}" for title in check.titles)
    if check.papers > len(check.titles):
        yield f"    and {check.papers - len(check.titles)} more"
    yield from (f"    note: {note}" for note in check.notes)
    yield from (f"    doubt: {doubt}" for doubt in check.doubts)


def added_row(source: NewSource, check: SourceCheck | None) -> dict[str, Any]:
    """Returns a source that was added as a JSON row, with what it has unless it was not read."""
    section = source.section
    row = check_row(check or SourceCheck(section.name))
    return row | {
        "ok": row["ok"] if check else None,
        "papers": row["papers"] if check else None,
        "format": row["format"] or section.format or None,
        "location": masked_url(section.url or section.path),
        "every": int(section.every.total_seconds()),
        "dates": source.dates,
    }


def added_lines(source: NewSource, check: SourceCheck | None) -> Iterator[str]:
    """Yields what a source has, and that it was added, as readable lines."""
    section = source.section
    if check:
        yield from check_lines(check)
    yield source.dates
    where = masked_url(section.url or section.path)
    yield f"Added {section.name} to the configuration: {where}"
    yield RESTART
