"""Captures fetched from an address, which may contain `{date}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from newsletter.calendar import day_in
from newsletter.errors import FetchError, SourceError
from newsletter.models import Capture, DatedBy, NotModified
from newsletter.sources.fetch import Fetcher

DATE = "{date}"

Validators = Mapping[str, tuple[str | None, str | None]]
"""ETag and Last-Modified of an address, as its server said them last."""


class UrlSource:
    """A page, feed or API answer behind an address.

    Args:
        url: the address. With `{date}` it is fetched for yesterday and for today:
            a day's list still grows after the day's first capture.
        fetcher: what fetches it.
        clock: the current instant, in the zone whose days count.
        allow_private: whether it may lead to a private address.
        validators: of its addresses, so that only what changed is sent.
    """

    def __init__(
        self,
        url: str,
        fetcher: Fetcher,
        clock: Callable[[], datetime],
        *,
        allow_private: bool = False,
        validators: Validators | None = None,
    ) -> None:
        self._url = url
        self._fetcher = fetcher
        self._clock = clock
        self._allow_private = allow_private
        self._validators = validators or {}

    def captures(self) -> Iterator[Capture | NotModified | SourceError]:
        """What each address answered, or why it did not."""
        for url in self._urls():
            try:
                yield self._fetched(url)
            except FetchError as error:
                error.origin = url
                yield error

    def _fetched(self, url: str) -> Capture | NotModified:
        etag, last_modified = self._validators.get(url, (None, None))
        fetched = self._fetcher.get(
            url, etag=etag, last_modified=last_modified, allow_private=self._allow_private
        )
        now = self._clock()
        if fetched.not_modified:
            return NotModified(url, now)
        named = day_in(url)
        return Capture(
            fetched.data,
            url,
            now,
            named or now.date(),
            DatedBy.NAME if named else DatedBy.CAPTURE_TIME,
            fetched.etag,
            fetched.last_modified,
        )

    def _urls(self) -> list[str]:
        if DATE not in self._url:
            return [self._url]
        today = self._clock().date()
        return [self._url.replace(DATE, str(day)) for day in (today - timedelta(days=1), today)]
