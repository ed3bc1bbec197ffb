"""Public pages: the front page, the archive, editions, feeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from newsletter.app.site import EMPTY_ARCHIVE
from newsletter.messages.links import SubscriberLinks
from newsletter.text.dates import long_day
from newsletter.web.archive_content import LISTED, ArchiveReader, EditionPage
from newsletter.web.cache import PageCache
from newsletter.web.feeds import FEEDS, Feed
from newsletter.web.site import Pages

_LONGEST_QUERY = 200
_NOT_HERE = "There is no such page", "Please check the address, or look in the archive."
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class ArchivePages:
    """Serves the public pages.

    Args:
        archive: reads their content.
        pages: renders templates.
        links: signs the time at which a form was shown.
        clock: returns the current instant, aware.
    """

    def __init__(
        self,
        archive: ArchiveReader,
        pages: Pages,
        links: SubscriberLinks,
        clock: Callable[[], datetime],
    ) -> None:
        self._archive = archive
        self._pages = pages
        self._links = links
        self._clock = clock
        self._kept: PageCache[Response] = PageCache(archive.stamp)
        # Words are the visitor's, so results never push pages out of their own cache.
        self._found: PageCache[Response] = PageCache(archive.stamp)
        self._latest: PageCache[EditionPage | None] = PageCache(archive.stamp)

    def routes(self) -> Sequence[Route]:
        """Returns the routes of these pages."""
        found = [
            Route("/", self.front),
            Route("/archive", self.archive),
            Route("/archive/{day}", self.day),
            Route("/editions/{key}", self.edition),
            Route("/style.css", self.style),
            Route("/zone.js", self.zone),
            Route("/robots.txt", self.robots),
        ]
        for suffix in FEEDS:
            found.append(Route(f"/feed.{suffix}", self.papers_feed))
            found.append(Route(f"/editions.{suffix}", self.editions_feed))
        return found

    def front(self, _request: Request) -> Response:
        """Serves the front page: an introduction, the sign-up form and the latest edition."""
        return self.front_page()

    def front_page(self, *, status: int = 200, problem: str = "", address: str = "") -> Response:
        """Renders the front page, with the problem of a submitted form, if any."""
        latest = self._latest.get("latest", self._archive.latest)
        return self._pages.page(
            "front",
            status,
            form={
                "started": self._links.form(self._clock()),
                "problem": problem,
                "address": address,
            },
            content=latest.content if latest else None,
            edition_url=self._edition_url(latest.edition.key) if latest else "",
        )

    def archive(self, request: Request) -> Response:
        """Serves the list of days and editions, or search results."""
        query = " ".join(request.query_params.get("q", "").split())[:_LONGEST_QUERY]
        before = request.query_params.get("before", "")
        if query:
            key = "search", query, _number(before)
            return self._found.get(key, lambda: self._results(query, before))
        since = _date(before)
        # There is a page before every date, so only the first is kept.
        return self._kept.get(
            ("archive", since), lambda: self._listing(since), lambda _page: since is None
        )

    def day(self, request: Request) -> Response:
        """Serves the papers announced for one day."""
        asked = _date(request.path_params["day"])
        if asked is None:
            return self._pages.say(*_NOT_HERE, status=404)
        return self._kept.get(("day", asked), lambda: self._day(asked), _exists)

    def _day(self, asked: date) -> Response:
        shown = self._archive.day(asked)
        if shown is None:
            return self._pages.say(*_NOT_HERE, status=404)
        return self._pages.page(
            "day",
            private=False,
            content=shown.content,
            label=_dated(asked),
            previous_url=self._day_url(shown.previous),
            next_url=self._day_url(shown.following),
        )

    def edition(self, request: Request) -> Response:
        """Serves one edition, with all of its papers."""
        key = request.path_params["key"]
        if not re.fullmatch(r"[0-9a-f]{32}", key):
            return self._pages.say(*_NOT_HERE, status=404)
        return self._kept.get(("edition", key), lambda: self._edition(key), _exists)

    def _edition(self, key: str) -> Response:
        shown = self._archive.edition(key)
        if shown is None:
            return self._pages.say(*_NOT_HERE, status=404)
        return self._pages.page(
            "edition",
            private=False,
            content=shown.content,
            subject=shown.edition.subject,
            label=_dated(shown.edition.frozen_at.date()),
        )

    def papers_feed(self, request: Request) -> Response:
        """Serves a feed of the newest papers."""
        return self._feed(request, "", lambda about: self._archive.papers_feed(about, self._tag))

    def editions_feed(self, request: Request) -> Response:
        """Serves a feed of the newest editions."""
        return self._feed(
            request,
            " — editions",
            lambda about: self._archive.editions_feed(about, self._tag, self._absolute_edition),
        )

    def style(self, _request: Request) -> Response:
        """Serves the style sheet of all pages."""
        return _kept(self._pages.text("style.css.j2"), "text/css")

    def zone(self, _request: Request) -> Response:
        """Serves a script that fills in the visitor's time zone. No page depends on it."""
        return _kept(self._pages.text("zone.js"), "text/javascript")

    def robots(self, _request: Request) -> Response:
        """Serves `robots.txt`, which excludes the pages of personal links."""
        root = self._pages.site.root
        paths = ("confirm", "preferences", "unsubscribe")
        lines = ["User-agent: *", *(f"Disallow: {root}/{path}/" for path in paths)]
        return _kept("\n".join(lines) + "\n", "text/plain")

    def _results(self, query: str, before: str) -> Response:
        found = self._archive.search(query, _number(before))
        more = self._pages.address("/archive", q=query, before=found.before) if found.before else ""
        return self._archive_page(query=query, found=found.blocks, more_url=more)

    def _listing(self, since: date | None) -> Response:
        days = self._archive.days(since)
        older = days[LISTED - 1].day if len(days) > LISTED else None
        return self._archive_page(
            days=[
                {"url": self._day_url(one.day), "label": _dated(one.day), "count": one.papers}
                for one in days[:LISTED]
            ],
            editions=[
                {
                    "url": self._edition_url(one.key),
                    "subject": one.subject,
                    "label": _dated(one.frozen_at.date()),
                    "count": one.papers,
                }
                for one in ([] if since else self._archive.editions())
            ],
            older_url=self._pages.address("/archive", before=older.isoformat()) if older else "",
            newer_url=self._pages.address("/archive") if since else "",
        )

    def _archive_page(self, **facts: object) -> Response:
        return self._pages.page("archive", private=False, **{**EMPTY_ARCHIVE, **facts})

    def _feed(self, request: Request, about: str, fill: Callable[[Feed], Feed]) -> Response:
        path = request.url.path
        return self._kept.get(path, lambda: self._written(path, about, fill))

    def _written(self, path: str, about: str, fill: Callable[[Feed], Feed]) -> Response:
        site = self._pages.site
        writer = FEEDS[path.rpartition(".")[2]]
        feed = Feed(
            title=site.name + about,
            home_url=f"{self._base}/",
            feed_url=self._base + path.removeprefix(site.root),
            language=site.language,
            updated=_EPOCH,
            author=site.name,
            items=(),
        )
        return Response(
            writer.write(fill(feed)),
            media_type=writer.media_type,
            headers={"Cache-Control": "public, max-age=300"},
        )

    @property
    def _base(self) -> str:
        return self._pages.site.base_url or "http://localhost"

    @property
    def _tag(self) -> str:
        return f"tag:{urlsplit(self._base).hostname},2026"

    def _absolute_edition(self, key: str) -> str:
        return f"{self._base}/editions/{key}"

    def _edition_url(self, key: str) -> str:
        return self._pages.address(f"/editions/{key}")

    def _day_url(self, day: date | None) -> str:
        return self._pages.address(f"/archive/{day.isoformat()}") if day else ""


def _dated(day: date) -> str:
    """Formats a day with its year, because the archive spans several."""
    return f"{long_day(day)} {day.year}"


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _exists(page: Response) -> bool:
    """Returns whether a page exists. Any number of others can be asked for."""
    return page.status_code == 200


def _kept(text: str, kind: str) -> Response:
    return PlainTextResponse(
        text, media_type=kind, headers={"Cache-Control": "public, max-age=3600"}
    )
