"""Whether the process lives and can work, for whoever restarts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from newsletter.errors import NewsletterError

Check = Callable[[], str]
"""Empty if all is well; else what is not. A `NewsletterError` is said too."""


def routes(alive: Check, ready: Check) -> Sequence[Route]:
    """`/healthz` and `/readyz`, for any host."""
    return (_route("/healthz", alive), _route("/readyz", ready))


def _route(path: str, check: Check) -> Route:
    def answer(_request: Request) -> Response:
        try:
            fault = check()
        except NewsletterError as error:
            fault = str(error)
        headers = {"Cache-Control": "no-store"}
        return PlainTextResponse(f"{fault or 'ok'}\n", 503 if fault else 200, headers)

    return Route(path, answer, methods=["GET"])
