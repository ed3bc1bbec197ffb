"""Captures fetched from an address, which may contain `{date}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from newsletter.calendar import day_in
from newsletter.errors import FetchError, SourceError
from newsletter.models import Capture
from newsletter.sources.fetch import Fetcher

DATE = "{date}"


class UrlSource:
    """A page, feed or API answer behind an address.

    Args:
        url: the address. With `{date}` it is fetched for yesterday and for today:
            a day's list still grows after the day's first capture.
        fetcher: what fetches it.
        clock: the current instant, in the zone whose days count.
        allow_private: whether it may lead to a private address.
    """

    def __init__(
        self,
        url: str,
        fetcher: Fetcher,
        clock: Callable[[], datetime],
        *,
        allow_private: bool = False,
    ) -> None:
        self._url = url
        self._fetcher = fetcher
        self._clock = clock
        self._allow_private = allow_private

    def captures(self) -> Iterator[Capture | SourceError]:
        """What each address answered, or why it did not."""
        for url in self._urls():
            try:
                fetched = self._fetcher.get(url, allow_private=self._allow_private)
            except FetchError as error:
                yield error
                continue
            yield Capture(
                fetched.data,
                url,
                self._clock(),
                day_in(url),
                fetched.etag,
                fetched.last_modified,
            )

    def _urls(self) -> list[str]:
        if DATE not in self._url:
            return [self._url]
        today = self._clock().date()
        return [self._url.replace(DATE, str(day)) for day in (today - timedelta(days=1), today)]
