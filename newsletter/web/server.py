"""Runs uvicorn in a thread, on a socket that is bound before anything else starts."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from newsletter.app import open_files
from newsletter.errors import OutputError
from newsletter.web.connections import Connection
from newsletter.web.heartbeat import Heartbeat, is_alive
from newsletter.web.repetitions import OncePerMinute, Repetitions

log = structlog.get_logger()

_NOTIFY = 15
"""Seconds between two heartbeats."""


def listening(host: str, port: int) -> socket.socket:
    """Binds a socket. Connections are accepted from now on, and wait until they are served.

    So none is refused between the report that the service is ready and the server's first moment.

    Raises:
        OutputError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Explicit, because asyncio disables Nagle's algorithm only if the protocol is given as TCP.
    wire = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        wire.bind((host, port))
        wire.listen(open_files.BACKLOG)
    except OSError as exc:
        wire.close()
        raise OutputError(
            f"cannot listen there ({exc.strerror})",
            where=f"{host}:{port}",
            hint="change host or port under [web], or end what listens there",
        ) from exc
    return wire


class Server:
    """Serves an application until it is stopped.

    Args:
        app: the application.
        wire: the socket to listen on.
        protocol: handles a connection; by default with as many as the open files allow.

    Attributes:
        heartbeat: monitors the thread.
    """

    def __init__(
        self, app: ASGIApp, wire: socket.socket, protocol: type[Connection] | None = None
    ) -> None:
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=protocol or _bounded(),
                ws="none",
                backlog=open_files.BACKLOG,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # `trusted_hops` decides which proxies to trust
                timeout_graceful_shutdown=2,
                callback_notify=self._notify,
                timeout_notify=_NOTIFY,
            )
        )
        self._wire = wire
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self.heartbeat = Heartbeat("pages", is_alive(self._thread))

    def start(self) -> None:
        """Starts the server."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Stops the server. Waits at most `timeout` seconds for it."""
        self._server.should_exit = True
        self._thread.join(timeout)

    async def _notify(self) -> None:
        self.heartbeat.beat()

    def _run(self) -> None:
        self._server.run(sockets=[self._wire])


def _bounded() -> type[Connection]:
    """Returns the protocol with the limit that the open files allow."""
    return type(
        "Connection", (Connection,), {"most": open_files.connections(open_files.raise_limit())}
    )


class _Uvicorn(uvicorn.Server):
    """Logs what clients can cause at will once a minute, and not each time."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve."""
        seen = Repetitions()

        def failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            message, error = str(context.get("message", "")), context.get("exception")
            if count := seen.count(message.partition("(")[0]):
                log.error("the server failed", reason=message, count=count, exc_info=error)

        asyncio.get_running_loop().set_exception_handler(failed)
        logger = logging.getLogger("uvicorn.error")
        if not any(isinstance(one, OncePerMinute) for one in logger.filters):
            logger.addFilter(OncePerMinute())
        await super().startup(sockets)
