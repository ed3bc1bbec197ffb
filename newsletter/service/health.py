"""What is checked of a running process, and what follows.

`/healthz` and systemd's watchdog say when to restart it: a loop is dead, or the database that
it has open is not the one at its path any more. A locked database or a full disk is no reason:
the process waits for it, and a restart would not help.

`/readyz` says whether it can do its work: it also attempts a write, and shows a loop that fails.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import structlog
from starlette.routing import BaseRoute

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.errors import DatabaseReplaced, StorageError
from newsletter.service import systemd
from newsletter.sources.factories import now
from newsletter.web import health, metrics
from newsletter.web.heartbeat import Heartbeat

log = structlog.get_logger()

CHECK_SECONDS = 2.0
"""How long a check waits for another writer: longer than our own transactions take."""

_INTERVAL = 15.0
"""Seconds between two words to systemd, unless it wants to hear more often."""


class Health:
    """The health of one process.

    Args:
        app: the program, with its database.
        loops: the loops that must go on.
    """

    def __init__(self, app: App, loops: Iterable[Heartbeat]) -> None:
        self._app = app
        self._loops = list(loops)

    def watch_over(self, loop: Heartbeat) -> None:
        """One more loop must go on."""
        self._loops.append(loop)

    def alive(self) -> str:
        """Why to restart the process; empty if there is no reason."""
        if stuck := _first(loop.stuck for loop in self._loops):
            return stuck
        try:
            self._app.database.check_file()
        except DatabaseReplaced as error:
            return str(error)
        except StorageError:
            return ""  # it cannot be looked at: `ready` says so, and a restart would not help
        return ""

    def ready(self) -> str:
        """Why it cannot do its work; empty if it can.

        Raises:
            StorageError: the database cannot be written to.
        """
        self._app.database.check_writable(CHECK_SECONDS)
        return _first(loop.stuck or loop.fault for loop in self._loops)

    def routes(self, config: Config) -> Sequence[BaseRoute]:
        """What is answered besides the pages."""
        token = config.web.metrics_token.get_secret_value()
        return [
            *health.routes(self.alive, self.ready),
            metrics.route(self._app.status.read, now, token),
        ]

    def watch(self, stop: threading.Event) -> None:
        """Tells systemd that the process lives, in a thread, until `stop` is set."""
        threading.Thread(target=self._watch, args=(stop,), name="watchdog", daemon=True).start()

    def _watch(self, stop: threading.Event) -> None:
        asked = systemd.watchdog_seconds()
        heartbeat, said = Heartbeat("watchdog"), ""
        while not stop.wait(min(_INTERVAL, asked / 2) if asked else _INTERVAL):
            with heartbeat.in_pass():
                if fault := self.alive():
                    if fault != said:
                        log.error("needs a restart", reason=fault)
                else:
                    systemd.notify(systemd.ALIVE)
                said = fault


def _first(faults: Iterable[str]) -> str:
    return next(filter(None, faults), "")
