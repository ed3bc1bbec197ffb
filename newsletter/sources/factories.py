"""Builds the source for a configured section, or for a location on the command line.

Does not access the database: what is stored about a source is an argument.
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
from newsletter.masks import masked_url
from newsletter.sources import Captured, Source
from newsletter.sources.files import RESTED, FileSource, FolderSource, is_folder
from newsletter.sources.stdin import STANDARD_INPUT, StdinSource, standard_input

# `fetch` is imported for the first URL: most runs have none, and the import would double the time
# of an ingest.
if TYPE_CHECKING:
    from newsletter.sources.fetch import Fetcher
    from newsletter.sources.url import Validators

FetcherFor = Callable[[], "Fetcher"]
"""Returns the fetcher, which is created on first use."""


@contextmanager
def fetching() -> Iterator[FetcherFor]:
    """Provides a fetcher that is created for the first URL, because most runs have none."""
    with ExitStack() as stack:

        @cache
        def fetcher() -> Fetcher:
            from newsletter.sources import fetch

            return stack.enter_context(fetch.Fetcher())

        yield fetcher


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What the database knows about a source that is fetched.

    Attributes:
        validators: ETag and Last-Modified by URL.
        answered: when each URL was last fetched successfully.
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
    """Returns the source that a section of the configuration describes.

    Args:
        section: the section.
        fetcher: returns the fetcher.
        clock: returns the current instant, in the time zone of the source's days.
        known: what the database knows about the source.
        rested: seconds for which a file of a folder must not have changed.
        wait: waits for some seconds until the newest files have rested; by default they are left
            for the next run.
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
    """Returns the source for a file, a folder, a URL or `-` on the command line."""
    if place == STANDARD_INPUT:
        return StdinSource(standard_input(), lambda: clock().astimezone(UTC))
    if re.match(r"https?://", place, re.IGNORECASE):
        from newsletter.sources.url import UrlSource

        return UrlSource(place, fetcher(), clock)
    if not place or re.match(r"[a-z][a-z0-9+.-]*://", place, re.IGNORECASE):
        return _Refused(place)
    path = Path(place)
    return FolderSource(path) if is_folder(path) else FileSource(path)


class _Refused:
    """An empty location, or a URL whose scheme is not supported."""

    def __init__(self, place: str) -> None:
        self._place = place

    def captures(self) -> Iterator[Captured]:
        """Yields the error."""
        yield SourceMissing(
            "not a URL or path that can be read",
            where=masked_url(self._place),
            hint="use http://, https:// or a path",
        )
