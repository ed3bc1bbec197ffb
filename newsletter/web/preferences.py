"""Pages behind a subscriber's personal links: the preference centre, and unsubscribing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from zoneinfo import available_timezones

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from newsletter.app.composition import App
from newsletter.config.schema import NewsletterSection
from newsletter.messages.links import SETTINGS_FOR
from newsletter.models import SubscriberState
from newsletter.subscribers.address import parse_public_address
from newsletter.subscribers.csv_columns import parse_column
from newsletter.subscribers.preferences import SubscriberView
from newsletter.text.clean import clean, cut
from newsletter.web.forms import TOO_OFTEN, read
from newsletter.web.site import Pages
from newsletter.web.visitors import Visitors

_LONGEST_REASON = 500
_NO_LINK = (
    "This link is invalid or has expired",
    "It may be incomplete or too old, or was ended, for example by a change of address. The link "
    "to unsubscribe in any mail always works; its page can mail you a new link to your settings.",
)
_LINKS_ENDED = (
    "Your links have ended",
    "Links to your settings, and links that waited to be confirmed, no longer work. For a new one, "
    "open the Unsubscribe page of any mail. Unsubscribe links keep working.",
)
_ELSEWHERE = ("Not from another site", "Please open the link again.")


class PreferencePages:
    """Serves the pages behind personal links.

    Args:
        app: the use cases.
        pages: renders templates.
        visitors: applies the rate limits and the origin check.
        wake: called when there is work, so that no mail waits.
        clock: returns the current instant, aware.
        defaults: the newsletter's own send time and time zone.
    """

    def __init__(
        self,
        app: App,
        pages: Pages,
        visitors: Visitors,
        wake: Callable[[], None],
        clock: Callable[[], datetime],
        defaults: NewsletterSection,
    ) -> None:
        self._preference_centre = app.subscribers.preference_centre
        self._settings_links = app.subscribers.settings_links
        self._signup = app.subscribers.signup
        self._pages = pages
        self._links = app.subscribers.links
        self._visitors = visitors
        self._wake = wake
        self._clock = clock
        self._defaults = defaults

    def routes(self) -> Sequence[Route]:
        """Returns the routes of these pages."""
        return [
            Route("/preferences/{token}", self.settings, methods=["GET"]),
            Route("/preferences/{token}", self.change, methods=["POST"]),
            Route("/preferences/{token}/export", self.export, methods=["GET"]),
            Route("/unsubscribe/{token}", self.leaving, methods=["GET"]),
            Route("/unsubscribe/{token}", self.leave, methods=["POST"]),
        ]

    # --- unsubscribing

    def leaving(self, request: Request) -> Response:
        """Shows the button. Opening the page changes nothing, because mail scanners do that."""
        token = request.path_params["token"]
        if self._links.unsubscribes(token) is None:
            return self._pages.say(*_NO_LINK, 404)
        return self._pages.page("unsubscribe", action=self._leaving(token))

    async def leave(self, request: Request) -> Response:
        """Unsubscribes, for a press of the button or a one-click request (RFC 8058)."""
        form = await read(request)
        return await run_in_threadpool(self._leave, request, form)

    def _leave(self, request: Request, form: Mapping[str, str]) -> Response:
        token = request.path_params["token"]
        number = self._links.unsubscribes(token)
        if number is None:
            return self._pages.say(*_NO_LINK, 404)
        act = {"undo": self._undo, "reason": self._explain, "settings": self._mail_settings}
        if what := act.get(form.get("do", "")):
            if self._visitors.is_from_elsewhere(request):
                return self._pages.say(*_ELSEWHERE, 403)
            return what(number, token, request, form)
        self._preference_centre.unsubscribe(number)
        if form.get("List-Unsubscribe") == "One-Click":
            return PlainTextResponse("unsubscribed\n")
        return self._left(token)

    def _undo(
        self, number: int, token: str, _request: Request, _form: Mapping[str, str]
    ) -> Response:
        if self._preference_centre.undo(number):
            return self._left(token, undone=True)
        return self._pages.say(
            "That is no longer possible", "Please subscribe again on the front page.", 409
        )

    def _explain(
        self, number: int, token: str, _request: Request, form: Mapping[str, str]
    ) -> Response:
        why = cut(clean(form.get("reason", "")), _LONGEST_REASON)
        if why:
            self._preference_centre.explain(number, why)
        return self._left(token, reason_saved=bool(why))

    def _mail_settings(
        self, number: int, _token: str, request: Request, _form: Mapping[str, str]
    ) -> Response:
        if not self._visitors.lets_in(request):
            return self._pages.say(*TOO_OFTEN, 429)
        self._signup.ask_settings(number, self._visitors.network_of(request))
        self._wake()
        return self._pages.page("sent", what="settings", days=SETTINGS_FOR.days)

    def _left(self, token: str, *, undone: bool = False, reason_saved: bool = False) -> Response:
        return self._pages.page(
            "unsubscribed",
            action=self._leaving(token),
            undone=undone,
            reason_saved=reason_saved,
        )

    def _leaving(self, token: str) -> str:
        return self._pages.address(f"/unsubscribe/{token}")

    # --- settings

    def settings(self, request: Request) -> Response:
        """Shows a subscriber's preferences."""
        return self._settings(request.path_params["token"])

    def export(self, request: Request) -> Response:
        """Downloads all data stored about the subscriber."""
        number = self._settings_links.subscriber_of(request.path_params["token"])
        known = self._preference_centre.export(number) if number is not None else None
        if known is None:
            return self._pages.say(*_NO_LINK, 404)
        headers = {
            "Content-Disposition": 'attachment; filename="my-data.json"',
            "Cache-Control": "no-store",
        }
        return JSONResponse(known, headers=headers)

    async def change(self, request: Request) -> Response:
        """Handles the forms of the preferences page."""
        form = await read(request)
        return await run_in_threadpool(self._change, request, form)

    def _change(self, request: Request, form: Mapping[str, str]) -> Response:
        token = request.path_params["token"]
        number = self._settings_links.subscriber_of(token)
        if number is None or self._preference_centre.view(number) is None:
            return self._pages.say(*_NO_LINK, 404)
        if self._visitors.is_from_elsewhere(request):
            return self._pages.say(*_ELSEWHERE, 403)
        acts = {
            "preferences": self._change_preferences,
            "pause": self._pause,
            "resume": self._resume,
            "address": self._change_address,
        }
        what = form.get("do", "")
        if act := acts.get(what):
            try:
                return self._settings(token, saved=act(number, form, request))
            except ValueError as why:
                return self._settings(token, problem=f"Please {why}.", status=422)
        return self._go(number, token, what, form)

    def _go(self, number: int, token: str, what: str, form: Mapping[str, str]) -> Response:
        if what == "unsubscribe":
            self._preference_centre.unsubscribe(number)
            return self._left(self._links.unsubscribe_token(number))
        if what == "links":
            self._settings_links.end(number)
            return self._pages.say(*_LINKS_ENDED)
        if what == "delete" and form.get("sure"):
            self._preference_centre.delete(number)
            return self._pages.say(
                "Your data is deleted",
                "All data about you is deleted. Only a keyed hash of your address is kept, so that "
                "no mail is sent to it again.",
            )
        problem = "Please tick the box to say that you are sure." if what == "delete" else ""
        return self._settings(token, problem=problem or "Please use the form.", status=422)

    def _change_preferences(self, number: int, form: Mapping[str, str], _request: Request) -> str:
        at = form.get("send_at", "").strip()
        zone = form.get("time_zone", "").strip()
        preferences = {
            "cadence": parse_column("cadence", _cadence(form)),
            "send_at": parse_column("send_at", at),
            "time_zone": parse_column("time_zone", zone),
        }
        self._preference_centre.change(number, **preferences)
        return "Your preferences are saved."

    def _pause(self, number: int, form: Mapping[str, str], _request: Request) -> str:
        written = form.get("until", "").strip()
        try:
            until = date.fromisoformat(written) if written else None
        except ValueError:
            raise ValueError("write a date such as 2026-12-24") from None
        if problem := self._preference_centre.pause(number, until):
            raise ValueError(problem)
        return "Paused. New papers wait for you."

    def _resume(self, number: int, _form: Mapping[str, str], _request: Request) -> str:
        self._preference_centre.resume(number)
        return "You will receive mail again."

    def _change_address(self, number: int, form: Mapping[str, str], request: Request) -> str:
        address = parse_public_address(form.get("address", ""))
        if not self._visitors.lets_in(request):
            raise ValueError("try again in an hour: that was too often")
        if self._visitors.lets_write_to(address.normal):
            network = self._visitors.network_of(request)
            self._signup.ask_change(number, address, network)
            self._wake()
        return "A mail to the new address is on its way. Open the link in it to confirm."

    def _settings(
        self, token: str, *, saved: str = "", problem: str = "", status: int = 200
    ) -> Response:
        number = self._settings_links.subscriber_of(token)
        person = self._preference_centre.view(number) if number is not None else None
        if person is None or person.row.state not in _SHOWN:
            return self._pages.say(*_NO_LINK, 404)
        return self._pages.page(
            "settings",
            status,
            action=self._pages.address(f"/preferences/{token}"),
            who=_shown(person),
            zones=_zones(),
            saved=saved,
            problem=problem,
            newsletter_send_at=f"{self._defaults.send_at:%H:%M}",
            newsletter_time_zone=self._defaults.time_zone,
        )


_SHOWN = (SubscriberState.ACTIVE, SubscriberState.PAUSED)


def _cadence(form: Mapping[str, str]) -> str:
    """Returns the cadence in its text form, from three fields of the form."""
    kind = form.get("cadence", "")
    detail = {"weekly": form.get("day", ""), "monthly": form.get("monthday", "")}.get(kind)
    return f"{kind}:{detail.strip()}" if detail is not None else kind


def _shown(person: SubscriberView) -> Mapping[str, object]:
    preferences = person.row.preferences
    kind, _, detail = preferences.cadence.partition(":")
    until = person.details.paused_until
    return {
        "address": person.row.address,
        "state": str(person.row.state),
        "cadence": kind,
        "day": detail if kind == "weekly" else "mon",
        "monthday": int(detail) if kind == "monthly" else 1,
        "send_at": preferences.send_at or "",
        "time_zone": preferences.time_zone or "",
        "paused_until": until.isoformat() if until else "",
    }


@cache
def _zones() -> Sequence[str]:
    return sorted(available_timezones())
