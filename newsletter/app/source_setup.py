"""Adds sources to the configuration file, and removes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from newsletter import formats
from newsletter.config.edit import ConfigDraft, draft
from newsletter.config.problems import in_words
from newsletter.config.schema import SourceSection
from newsletter.config.toml_sources import with_sources, without_source
from newsletter.config.values import duration
from newsletter.errors import SnapshotUnreadable, SourceError, SourceKnown, UsageError
from newsletter.formats import opml
from newsletter.masks import masked
from newsletter.sources import presets
from newsletter.sources.files import read

_URL = re.compile(r"https?://[^/]", re.IGNORECASE)
_DATES = "Each paper keeps the date that its source gives."


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source that is to be added.

    Attributes:
        section: its settings; the path is absolute.
        keys: the keys and values to write.
        dates: what the dates of its papers mean, as one sentence.
    """

    section: SourceSection
    keys: dict[str, str]
    dates: str


def new_source(
    found: ConfigDraft,
    place: str,
    arguments: Sequence[str],
    *,
    name: str | None,
    every: str | None,
    format: str | None,
) -> NewSource:
    """Returns the source that a preset, a URL, a file or a folder stands for.

    Args:
        found: the configuration that it is to be added to.
        place: the name of a preset, a URL or a path.
        arguments: arguments of the preset.
        name: the name of the source; by default, one that is free.
        every: how often it is read, such as `3h`.
        format: the format it is read as instead of recognising it.

    Raises:
        UsageError: there is no such place, or an option is invalid.
        SourceKnown: it is configured already.
    """
    if format:
        formats.named(format)
    known = {section.name for section in found.config.sources}
    if name in known:
        raise UsageError(f"there is a source {name} already", hint="choose another --name")
    keys, dates = _place(found, place, arguments)
    keys["name"] = name if name is not None else _free(keys["name"], known)
    given = {"every": every, "format": format}
    keys |= {key: value for key, value in given.items() if value is not None}
    try:
        section = SourceSection.model_validate(
            keys | ({"path": str(Path(place).absolute())} if "path" in keys else {})
        )
    except ValidationError as exc:
        raise UsageError("; ".join(in_words(exc))) from exc
    for other in found.config.sources:
        if (other.url, other.path) == (section.url, section.path):
            raise SourceKnown(f"it is configured already, as the source {other.name}")
    return NewSource(section, keys, dates)


def add(config_path: str | None, source: NewSource) -> None:
    """Writes a source into the configuration file.

    Raises:
        ConfigError: the configuration is invalid, before or after the change.
        OutputError: it cannot be written, or was changed meanwhile.
    """
    found = draft(config_path)
    found.replace(with_sources(found.text, [source.keys]))


def remove(config_path: str | None, name: str) -> SourceSection:
    """Removes a source from the configuration file, and returns what it was.

    Raises:
        ConfigError: the configuration is invalid, or the source cannot be removed from it.
        UsageError: there is no such source in it.
        OutputError: it cannot be written, or was changed meanwhile.
    """
    found = draft(config_path)
    (section,) = named(found.config.sources, [name])
    found.replace(without_source(found.text, name))
    return section


def import_sources(config_path: str | None, opml_file: Path, *, dry_run: bool) -> list[str]:
    """Adds the feeds of an OPML file. Returns the names of those added.

    URLs that are configured already or are not http(s) are left out.

    Args:
        config_path: the configuration.
        opml_file: the file.
        dry_run: only return what would be added.

    Raises:
        SourceError: the file cannot be read.
        SnapshotUnreadable: the file is not OPML.
        ConfigError: the configuration is invalid, before or after the change.
        OutputError: it cannot be written, or was changed meanwhile.
    """
    capture = read(opml_file)
    if isinstance(capture, SourceError):
        raise capture
    try:
        feeds = opml.sources(capture.data)
    except SnapshotUnreadable as error:
        error.where = error.where or str(opml_file)
        raise
    found = draft(config_path)
    urls = {section.url for section in found.config.sources}
    names = {section.name for section in found.config.sources}
    tables = []
    for name, url in feeds:
        if url not in urls and _URL.match(url):
            free = _free(name, names)
            names.add(free)
            tables.append({"name": free, "url": url})
    if tables and not dry_run:
        found.replace(with_sources(found.text, tables))
    return [table["name"] for table in tables]


def named(sections: Iterable[SourceSection], names: Sequence[str]) -> list[SourceSection]:
    """Returns the configured sources with these names, or all if there are no names.

    Raises:
        UsageError: there is no source with that name.
    """
    found = {section.name: section for section in sections}
    for name in names:
        if name not in found:
            raise UsageError(
                f"there is no source {name} in the configuration",
                hint=f"it has {', '.join(found) or 'none'}",
            )
    return [found[name] for name in names or found]


def _place(found: ConfigDraft, place: str, arguments: Sequence[str]) -> tuple[dict[str, str], str]:
    """Returns the keys of a place, and what its dates mean."""
    if chosen := presets.chosen(place, arguments):
        usual = SourceSection.model_fields["every"].default
        every = {"every": chosen.every} if duration(chosen.every) != usual else {}
        return {"name": chosen.name, "url": chosen.url, **every}, chosen.dates
    if arguments:
        raise UsageError(
            f"“{masked(place)}” is not a preset, so nothing can follow it",
            hint=f"presets are {', '.join(presets.PRESETS)}",
        )
    if _URL.match(place):
        return {"name": _host(place), "url": place}, _DATES
    path = Path(place).absolute()
    if not place or not path.exists():
        raise UsageError(
            f"there is no preset, file or folder “{masked(place)}”",
            hint=f"name a URL, a path, or one of {', '.join(presets.PRESETS)}",
        )
    folder = found.folder
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return {"name": path.name or "files", "path": str(shown)}, _DATES


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "feed").removeprefix("www.")
    except ValueError:
        return "feed"


def _free(name: str, taken: Iterable[str]) -> str:
    return next(candidate for candidate in _numbered(name) if candidate not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} {number}" for number in count(2))
