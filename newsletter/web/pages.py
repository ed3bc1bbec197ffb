"""The web application: all pages of one configuration, behind the guard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp

from newsletter.app.composition import App
from newsletter.app.site import site
from newsletter.config.schema import Config
from newsletter.errors import NewsletterError, UsageError
from newsletter.web.archive import ArchivePages
from newsletter.web.archive_content import ArchiveReader
from newsletter.web.guard import Guard
from newsletter.web.preferences import PreferencePages
from newsletter.web.signup import SignupPages
from newsletter.web.site import Pages
from newsletter.web.visitors import Visitors

log = structlog.get_logger()

_WORDS = {
    404: ("Page not found", "Please check the address."),
    405: ("This is not possible here", "Please go back and use the form."),
    413: ("This is too large", "Please send less."),
}


def pages(
    config: Config,
    app: App,
    wake: Callable[[], None],
    clock: Callable[[], datetime],
    others: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Builds the web application.

    Args:
        config: the configuration.
        app: the use cases.
        wake: called when a visitor's request waits to be processed.
        clock: returns the current instant, aware.
        others: further routes, which are not below the path of `base_url`.

    Raises:
        RenderError: the templates folder does not exist.
    """
    folder = config.theme.templates_dir
    filled = Pages(site(config), Path(folder) if folder else None)
    visitors = Visitors(config.newsletter.base_url, config.web.trusted_hops)
    archive = ArchivePages(ArchiveReader(app.database), filled, app.subscribers.links, clock)
    signup = SignupPages(app, archive, filled, visitors, wake, clock)
    own = PreferencePages(app, filled, visitors, wake, clock, config.newsletter)
    routes: list[BaseRoute] = [*archive.routes(), *signup.routes(), *own.routes()]
    root = filled.site.root
    if root:
        below = Router(routes, redirect_slashes=False)
        routes = [Route(root, archive.front), Mount(root, app=below)]
    site_app = Starlette(
        routes=[*others, *routes],
        exception_handlers={
            HTTPException: lambda _request, error: _in_words(filled, error),
            NewsletterError: lambda request, error: _unavailable(filled, request, error),
        },
    )
    # A redirect would use the Host header of the request.
    site_app.router.redirect_slashes = False
    return Guard(site_app, config.newsletter.base_url)


def _in_words(filled: Pages, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    heading, text = _WORDS.get(status, ("That cannot be done", "Please go back and try again."))
    return filled.say(heading, text, status)


def _unavailable(filled: Pages, request: Request, error: Exception) -> Response:
    """Answers when the database is busy or a template is wrong, without details for visitors."""
    # The path may contain a subscriber's token, and the error may contain an address.
    reason = type(error).__name__ if isinstance(error, UsageError) else str(error)
    log.warning("page failed", page=request.url.path.split("/")[1], reason=reason)
    answer = filled.say("Temporarily unavailable", "Please try again in a minute.", 503)
    answer.headers["Retry-After"] = "60"
    return answer
