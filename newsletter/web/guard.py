"""Checks the host and body size of every request, and adds security headers to responses."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newsletter.config.values import LOOPBACK
from newsletter.web.site import POLICY

LARGEST_BODY = 16 * 1024
"""Maximum size of a form, in bytes."""
ANY_HOST = ("/healthz", "/readyz", "/metrics")
"""Paths that are served for any Host header."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_THIS_MACHINE = ("127.0.0.1", "::1")
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
}
_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}


class Guard:
    """Refuses requests for other hosts and oversized bodies, and adds security headers.

    Args:
        app: the application to guard.
        base_url: the base URL of the pages. Links are built from it, never from a request.
    """

    def __init__(self, app: ASGIApp, base_url: str) -> None:
        self._app = app
        self._headers = {**_HEADERS, **(_HTTPS if base_url.startswith("https:") else {})}
        self._hosts = hosts(base_url)
        self._only_here = not base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal:
            await refusal(scope, receive, self._with_headers(send))
            return
        # A client that leaves in the middle of its form is no error of ours.
        with suppress(ClientDisconnect):
            await self._app(scope, _bounded(receive), self._with_headers(send))

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers and "content-length" in headers:
            # Two lengths: a proxy may take the rest for a request, so nothing after it is read.
            return PlainTextResponse("two lengths\n", 400, {"Connection": "close"})
        if scope["path"] not in ANY_HOST and not self._is_ours(scope, headers):
            return PlainTextResponse("no such site here\n", 421)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:10]) > LARGEST_BODY:
            return PlainTextResponse("too much\n", 413)
        return None

    def _is_ours(self, scope: Scope, headers: Headers) -> bool:
        """Returns whether the Host header is ours and, without a base URL, the client is local."""
        peer = (scope.get("client") or ("",))[0]
        if self._only_here and peer not in _THIS_MACHINE:
            return False
        return name_in(headers.get("host", "")) in self._hosts

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return send_with_headers


def hosts(base_url: str) -> Collection[str]:
    """Returns the host names of this site: that of the base URL and those of this machine."""
    return {*LOOPBACK, "[::1]", (urlsplit(base_url).hostname or "localhost").lower()}


def name_in(host: str) -> str:
    """Returns the name in a Host header without its port, or an empty string if it is invalid."""
    match = _HOST.fullmatch(host)
    return match[1].lower() if match else ""


def _bounded(receive: Receive) -> Receive:
    """Limits the body to the size of the largest form, regardless of the declared length."""
    had = 0

    async def receive_bounded() -> Message:
        nonlocal had
        message = await receive()
        had += len(message.get("body", b""))
        if had > LARGEST_BODY:
            raise HTTPException(413)
        return message

    return receive_bounded
