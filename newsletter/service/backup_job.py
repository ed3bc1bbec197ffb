"""Makes the day's backup in a thread of its own, so that it delays nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import structlog

from newsletter.app import automatic_backups
from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.errors import StorageError
from newsletter.web.heartbeat import Heartbeat, is_alive

log = structlog.get_logger()

_INTERVAL = 600.0
"""Seconds between two checks for a due backup, and before a failed one is retried."""


class _Ended(Exception):
    """The service is stopping while a backup is being made."""


class BackupJob:
    """Makes a backup whenever one is due. A failure is logged, and retried later.

    Args:
        app: the use cases, with the database.
        config: the configuration.
        clock: returns the current instant, aware.
        stop: set when the service stops.

    Attributes:
        heartbeat: monitors the thread.
    """

    def __init__(
        self, app: App, config: Config, clock: Callable[[], datetime], stop: threading.Event
    ) -> None:
        self._app = app
        self._config = config
        self._clock = clock
        self._stop = stop
        self._thread = threading.Thread(target=self._loop, name="backups", daemon=True)
        self.heartbeat = Heartbeat("backups", is_alive(self._thread))

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Waits at most `timeout` seconds for the thread to end, once the service is stopped."""
        self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._stop.is_set():
            with self.heartbeat.in_pass():
                self._pass()
            self._stop.wait(_INTERVAL)

    def _pass(self) -> None:
        try:
            made = automatic_backups.make_if_due(
                self._config, self._app.database, self._clock(), self._progress
            )
        except (_Ended, StorageError):
            if self._stop.is_set():
                return  # the backup is made after the next start
            raise
        if made:
            log.info("backup made", file=str(made), bytes=made.stat().st_size)

    def _progress(self) -> None:
        self.heartbeat.beat()
        if self._stop.is_set():
            raise _Ended
