"""Sign-up with double opt-in: the form, and the confirmation page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from newsletter.app.composition import App
from newsletter.errors import NewsletterError
from newsletter.messages.links import CONFIRM_FOR
from newsletter.storage.requests import RequestKind
from newsletter.subscribers.address import parse_public_address
from newsletter.subscribers.signup import Confirmed, LinkState
from newsletter.web.archive import ArchivePages
from newsletter.web.forms import TOO_OFTEN, read
from newsletter.web.site import Pages
from newsletter.web.visitors import Visitors

log = structlog.get_logger()

_QUICKEST = 1.0
"""Minimum time in seconds that a human needs to fill in the form."""
_ONCE = (
    "It works once. The Unsubscribe link of any mail also leads to your settings; to subscribe "
    "again, use the form on the front page."
)
_USED = ("This link has been used", _ONCE)
_NOT_NEEDED = ("This link is no longer needed", f"Another one was used instead of it. {_ONCE}")
_OVER = (
    "This link is invalid or has expired",
    f"Links to confirm are valid for {CONFIRM_FOR.days} days, unless they are ended or replaced. "
    "Request a new one: on the front page to subscribe, in your settings to change your address.",
)


class SignupPages:
    """Serves the pages of the sign-up.

    Args:
        app: the use cases.
        archive: serves the page with the form.
        pages: renders templates.
        visitors: applies the rate limits and the origin check.
        wake: called when there is work, so that no mail waits.
        clock: returns the current instant, aware.
    """

    def __init__(
        self,
        app: App,
        archive: ArchivePages,
        pages: Pages,
        visitors: Visitors,
        wake: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._signup, self._preference_centre, self._planning = (
            app.subscribers.signup,
            app.subscribers.preference_centre,
            app.planning,
        )
        self._archive = archive
        self._pages = pages
        self._links = app.subscribers.links
        self._visitors = visitors
        self._wake = wake
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        """Returns the routes of these pages."""
        return [
            Route("/subscribe", self._archive.front, methods=["GET"]),
            Route("/subscribe", self.subscribe, methods=["POST"]),
            Route("/confirm/{token}", self.confirm, methods=["GET"]),
            Route("/confirm/{token}", self.confirmed, methods=["POST"]),
        ]

    async def subscribe(self, request: Request) -> Response:
        """Handles the form. Every valid request gets the same response, known address or not."""
        form = await read(request)
        return await run_in_threadpool(self._subscribe, request, form)

    def _subscribe(self, request: Request, form: Mapping[str, str]) -> Response:
        site = self._pages.site
        if not site.can_subscribe:
            return self._pages.say("You cannot subscribe here", "Please ask the operator.", 403)
        if self._visitors.is_from_elsewhere(request):
            return self._pages.say("Not from another site", "Please use the form here.", 403)
        written = form.get("address", "").strip()
        try:
            address = parse_public_address(written)
        except ValueError as why:
            return self._archive.front_page(status=422, problem=f"Please {why}.", address=written)
        if not self._visitors.lets_in(request, as_person=self._took_time(form)):
            return self._pages.say(*TOO_OFTEN, 429)
        # A bot that fills in the hidden field gets the same response as a visitor.
        if not form.get("website") and self._visitors.lets_write_to(address.normal):
            network = self._visitors.network_of(request)
            self._signup.ask(address, network, form.get("time_zone", ""))
            self._wake()
        return self._pages.page("sent", what="confirm", days=CONFIRM_FOR.days)

    def confirm(self, request: Request) -> Response:
        """Shows the button. Opening the page changes nothing, because mail scanners do that."""
        token = request.path_params["token"]
        kind = self._links.kind_of(token, self._clock())
        if kind is None or self._signup.state(RequestKind(kind), token) is not LinkState.OPEN:
            return self._say_why_not(kind, token)
        action = self._pages.address(f"/confirm/{token}")
        return self._pages.page("confirm", action=action, what=kind)

    def confirmed(self, request: Request) -> Response:
        """Confirms, for a press of the button."""
        if self._visitors.is_from_elsewhere(request):
            return self._pages.say("Not from another site", "Please open the link again.", 403)
        token = request.path_params["token"]
        kind = self._links.kind_of(token, self._clock())
        done = self._confirm(RequestKind(kind), token, request) if kind else None
        if done is None:
            return self._say_why_not(kind, token)
        if done.kind is RequestKind.CHANGE:
            self._wake()  # the old address is notified
        settings = self._links.settings_token(done.subscriber, self._clock())
        return self._pages.page(
            "confirmed",
            what=str(done.kind),
            settings_url=self._pages.address(f"/preferences/{settings}"),
            came=done.joined,
            welcome=self._welcomed(done),
            due=self._preference_centre.due_in_words(done.subscriber),
        )

    def _say_why_not(self, kind: str | None, token: str) -> Response:
        """Says why a link confirms nothing. Hands out no link: its mailbox may be given up."""
        state = self._signup.state(RequestKind(kind), token) if kind else LinkState.ENDED
        if state is LinkState.USED:
            return self._pages.say(*_USED)
        if state is LinkState.NOT_NEEDED:
            return self._pages.say(*_NOT_NEEDED)
        return self._pages.say(*_OVER, 404)

    def _confirm(self, kind: RequestKind, token: str, request: Request) -> Confirmed | None:
        network = self._visitors.network_of(request)
        return self._signup.confirm(kind, token, network)

    def _welcomed(self, done: Confirmed) -> bool:
        """Plans the latest edition at once. If false, it is sent at the subscriber's due time."""
        if not done.joined:
            return False
        try:
            subscriber = done.subscriber
            planned = self._planning.welcome(subscriber.id, subscriber.cursor, self._clock())
        except NewsletterError as error:
            log.warning("no welcome", reason=str(error))
            return False
        self._wake()
        return planned

    def _took_time(self, form: Mapping[str, str]) -> bool:
        """Returns whether the form was open for at least as long as a human needs."""
        now = self._clock()
        shown = self._links.shown_at(form.get("started", ""), now)
        return shown is not None and now.timestamp() - shown >= _QUICKEST
