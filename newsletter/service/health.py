"""Health checks of a running process.

`/healthz` and systemd's watchdog tell when to restart the process: a loop is stuck, or the open
database is no longer the one at its path. A locked database or a full disk is no reason: the
process waits until that is over, and a restart would not help.

`/readyz` tells whether the process can do its work: it also attempts a write, and reports failing
loops, a database that is an older copy, and broken templates.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import structlog
from starlette.routing import BaseRoute

from newsletter.app.clock import now
from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.errors import DatabaseReplaced, RenderError, StorageError
from newsletter.service import systemd
from newsletter.storage import generations
from newsletter.web import health, metrics
from newsletter.web.heartbeat import Heartbeat

log = structlog.get_logger()

CHECK_SECONDS = 2.0
"""Seconds that a check waits for another writer; our own transactions are shorter."""

_LATE = f"the disk does not respond within {health.TIMEOUT:g} s"

_CHECKING = "the templates are still being checked"

_INTERVAL = 15.0
"""Seconds between two watchdog notifications, unless systemd asks for a shorter interval."""


class Health:
    """The health of one process.

    Args:
        app: the use cases, with the database.
        loops: the loops to monitor.
    """

    def __init__(self, app: App, loops: Iterable[Heartbeat]) -> None:
        self._app = app
        self._loops = list(loops)
        # A restart does not help if the disk does not respond.
        self._file = health.Probe(self._file_fault, late="")
        # After a template has changed, all are compiled, which takes time on a busy machine.
        self._templates = health.Probe(self._template_fault, _CHECKING, timeout=CHECK_SECONDS)

    def watch_over(self, loop: Heartbeat) -> None:
        """Adds a loop to monitor."""
        self._loops.append(loop)

    def alive(self) -> str:
        """Returns the reason to restart the process, or an empty string."""
        return self._stuck() or self._file.wait()

    def _stuck(self) -> str:
        return _first(loop.stuck for loop in self._loops)

    def _file_fault(self) -> str:
        try:
            self._app.database.check_file()
        except DatabaseReplaced as error:
            return health.in_words(error)
        except StorageError:
            return ""  # the check failed: `ready` reports that, and a restart would not help
        return ""

    def ready(self) -> str:
        """Returns why the process cannot do its work, or an empty string.

        Raises:
            StorageError: the database cannot be written to, or is an older copy.
        """
        self._app.database.check_writable(CHECK_SECONDS)
        generations.check(self._app.database)
        fault = _first(loop.stuck or loop.fault for loop in self._loops)
        return fault or self._templates.wait()

    def _template_fault(self) -> str:
        self._app.templates.check()
        return ""

    def routes(self, config: Config) -> Sequence[BaseRoute]:
        """Returns the routes for health checks and metrics. Checks the templates first."""
        try:
            self._app.templates.check()
        except RenderError as error:
            log.warning("a template is broken", reason=str(error))
        token = config.web.metrics_token.get_secret_value()
        return [
            *health.routes(self._stuck, self._file, health.Probe(self.ready, late=_LATE)),
            metrics.route(
                self._app.status.read,
                now,
                token,
                is_public=bool(config.newsletter.base_url),
            ),
        ]

    def watch(self, stop: threading.Event) -> None:
        """Notifies systemd's watchdog in a thread, until `stop` is set."""
        threading.Thread(target=self._watch, args=(stop,), name="watchdog", daemon=True).start()

    def _watch(self, stop: threading.Event) -> None:
        asked = systemd.watchdog_seconds()
        heartbeat, logged = Heartbeat("watchdog"), ""
        while not stop.wait(min(_INTERVAL, asked / 2) if asked else _INTERVAL):
            with heartbeat.in_pass():
                if fault := self.alive():
                    if fault != logged:
                        log.error("needs a restart", reason=fault)
                else:
                    systemd.notify(systemd.ALIVE)
                logged = fault


def _first(faults: Iterable[str]) -> str:
    return next(filter(None, faults), "")
