"""Makes the source that reads a configured section, or what is named on the command line.

Asks no database: what is on record of a source is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.config.schema import SourceSection
from newsletter.errors import SourceMissing
from newsletter.sources import Captured, Source
from newsletter.sources.files import RESTED, FileSource, FolderSource, is_folder
from newsletter.sources.stdin import STANDARD_INPUT, StdinSource, standard_input

# Fetching is imported when the first address comes: most runs have none, and half the
# time of an ingest would be spent on it.
if TYPE_CHECKING:
    from newsletter.sources.fetch import Fetcher
    from newsletter.sources.url import Validators

FetcherFor = Callable[[], "Fetcher"]
"""What fetches, made at its first use."""


def now() -> datetime:
    """The current instant."""
    return datetime.now(UTC)


@contextmanager
def fetching() -> Iterator[FetcherFor]:
    """Something to fetch with, made when the first address comes: most runs have none."""
    with ExitStack() as stack:

        @cache
        def fetcher() -> Fetcher:
            from newsletter.sources import fetch

            return stack.enter_context(fetch.Fetcher())

        yield fetcher


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What is on record of a source that is fetched.

    Attributes:
        validators: ETag and Last-Modified, by address.
        answered: when each address answered last.
    """

    validators: Validators = field(default_factory=dict)
    answered: Mapping[str, datetime] = field(default_factory=dict)


def configured(
    section: SourceSection,
    fetcher: FetcherFor,
    clock: Callable[[], datetime],
    known: SourceRecord,
    *,
    rested: float = RESTED,
    wait: Callable[[float], None] | None = None,
) -> Source:
    """The source that a section of the configuration describes.

    Args:
        known: what is on record of it.
        rested: files of a folder count when they have not changed for so many seconds.
        wait: waits until then; without it, younger files are left for the next time.
    """
    if section.url:
        from newsletter.sources.url import UrlSource

        return UrlSource(
            section.url,
            fetcher(),
            clock,
            allow_private=section.allow_private,
            validators=known.validators,
            answered=known.answered,
        )
    path = Path(section.path)
    if is_folder(path):
        return FolderSource(path, rested=rested, wait=wait, dated=True)
    return FileSource(path)


def named(place: str, fetcher: FetcherFor, clock: Callable[[], datetime]) -> Source:
    """A file, a folder, an address or standard input named on the command line."""
    if place == STANDARD_INPUT:
        return StdinSource(standard_input(), now)
    if re.match(r"https?://", place, re.IGNORECASE):
        from newsletter.sources.url import UrlSource

        return UrlSource(place, fetcher(), clock)
    if not place or re.match(r"[a-z][a-z0-9+.-]*://", place, re.IGNORECASE):
        return _Refused(place)
    path = Path(place)
    return FolderSource(path) if is_folder(path) else FileSource(path)


class _Refused:
    """An address of a kind we do not read."""

    def __init__(self, place: str) -> None:
        self._place = place

    def captures(self) -> Iterator[Captured]:
        """Why not."""
        yield SourceMissing(
            "not an address we read", where=self._place, hint="use http://, https:// or a path"
        )
