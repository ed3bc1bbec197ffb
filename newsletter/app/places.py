"""Places that papers come from, as the concrete sources that read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.config.schema import SourceSection
from newsletter.errors import SourceMissing
from newsletter.reports import Captured
from newsletter.sources import Source
from newsletter.sources.files import RESTED, FileSource, FolderSource, is_folder
from newsletter.sources.stdin import STANDARD_INPUT, StdinSource, standard_input
from newsletter.storage import sources
from newsletter.storage.database import Database

# Fetching is imported when the first address comes: most runs have none, and half the
# time of an ingest would be spent on it.
if TYPE_CHECKING:
    from newsletter.sources.fetch import Fetcher

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


def configured(
    section: SourceSection,
    fetcher: FetcherFor,
    clock: Callable[[], datetime],
    database: Database,
    *,
    rested: float = RESTED,
    wait: Callable[[float], None] | None = None,
) -> tuple[Source, bool]:
    """The source a section of the configuration describes, and whether it is a folder.

    Files of a folder count when they have not changed for `rested` seconds; with `wait` it
    is waited until then.
    """
    if section.url:
        from newsletter.sources.url import UrlSource

        with database.read() as tx:
            validators = sources.validators_of(tx, section.name)
            answered = sources.answers_of(tx, section.name)
        place = UrlSource(
            section.url,
            fetcher(),
            clock,
            allow_private=section.allow_private,
            validators=validators,
            answered=answered,
        )
        return place, False
    path = Path(section.path)
    if is_folder(path):
        return FolderSource(path, rested=rested, wait=wait, dated=True), True
    return FileSource(path), False


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
