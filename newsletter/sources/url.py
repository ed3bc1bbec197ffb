"""Captures fetched from a URL, which may contain `{date}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime

from newsletter.errors import FetchError, PageRefused, SourceError
from newsletter.models import Capture, DatedBy, NotModified
from newsletter.sources.days import FURTHEST, wanted
from newsletter.sources.fetch import Fetcher
from newsletter.sources.locations import shown
from newsletter.text.dates import day_in

DATE = "{date}"

Validators = Mapping[str, tuple[str | None, str | None]]
"""ETag and Last-Modified by URL, as last sent by the server."""

_MAX_FAILURES = 3
"""Number of consecutive days without a response after which the other overdue days are left for
a later run: a server that is down would take a minute for each."""


class UrlSource:
    """A page, feed or API response at a URL.

    Args:
        url: the URL. With `{date}`, it is fetched for yesterday, for today, and for earlier days
            whose list was not fetched after they ended.
        fetcher: fetches the pages.
        clock: returns the current instant, in the time zone of the days.
        allow_private: whether it may connect to a private address.
        validators: the validators of its URLs, so that only changed pages are sent.
        answered: when each of its URLs was last fetched successfully.
    """

    def __init__(
        self,
        url: str,
        fetcher: Fetcher,
        clock: Callable[[], datetime],
        *,
        allow_private: bool = False,
        validators: Validators | None = None,
        answered: Mapping[str, datetime] | None = None,
    ) -> None:
        self._url = url
        self._fetcher = fetcher
        self._clock = clock
        self._allow_private = allow_private
        self._validators = validators or {}
        self._answered = answered or {}

    def captures(self) -> Iterator[Capture | NotModified | SourceError]:
        """Yields the response of each URL, or the error."""
        if DATE in self._url:
            yield from self._dated()
        else:
            yield self._answer(self._url)

    def _dated(self) -> Iterator[Capture | NotModified | SourceError]:
        """Yields the list of each day, oldest first."""
        days = wanted(self._answered_days(), self._clock())
        if days.given_up:
            yield self._given_up(*days.given_up)
        failures = 0
        for day in days.overdue:
            if failures == _MAX_FAILURES:
                break
            answer = self._answer(self._of(day))
            failures = failures + 1 if _has_no_response(answer) else 0
            yield answer
        for day in days.always:
            yield self._answer(self._of(day))

    def _of(self, day: date) -> str:
        return self._url.replace(DATE, str(day))

    def _answered_days(self) -> dict[date, datetime]:
        """Returns when the list of each day was last fetched."""
        start = self._url.index(DATE)
        found = {}
        for url, at in self._answered.items():
            try:
                day = date.fromisoformat(url[start : start + len("2026-06-08")])
            except ValueError:
                continue  # from a URL that was configured previously
            if url == self._of(day):
                found[day] = at
        return found

    def _given_up(self, first: date, last: date) -> SourceError:
        days = f"{first}" if first == last else f"{first} to {last}"
        error = SourceError(
            f"nothing was fetched for more than {FURTHEST} days, so {days} will not be requested",
            where=shown(self._url),
            hint="to fetch a day anyway, use `newsletter ingest URL` with its date in the URL",
        )
        error.origin = self._url
        return error

    def _answer(self, url: str) -> Capture | NotModified | FetchError:
        try:
            return self._fetched(url)
        except FetchError as error:
            error.origin = url
            return error

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


def _has_no_response(answer: Capture | NotModified | FetchError) -> bool:
    """Returns whether the fetch failed for another reason than a refusal by the server."""
    return isinstance(answer, FetchError) and not isinstance(answer, PageRefused)
