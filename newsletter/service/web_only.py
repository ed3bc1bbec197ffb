"""Serves only the pages, where another process or cron builds and sends editions."""

from __future__ import annotations

import threading

import structlog

from newsletter.app.clock import now
from newsletter.app.composition import App
from newsletter.app.factories import sending_problems
from newsletter.config.schema import Config
from newsletter.errors import ConfigError
from newsletter.service import systemd
from newsletter.service.health import Health
from newsletter.storage.database import Database
from newsletter.web.background import BackgroundTasks, run_background_tasks
from newsletter.web.pages import pages
from newsletter.web.server import Server, listening

log = structlog.get_logger()


def serve_pages(config: Config, stop: threading.Event) -> None:
    """Serves the pages, and sends the mails that visitors request, until `stop` is set.

    Raises:
        ConfigError: a setting that sending needs is missing.
        OutputError: the port cannot be bound.
        DatabaseMissing: there is no database; it is never created here.
        StorageError: the database cannot be used.
        RenderError: the templates folder does not exist.
    """
    if problems := sending_problems(config):
        raise ConfigError(problems, hint="`newsletter config check` lists them")
    wire = listening(config.web.host, config.web.port)
    app = App(config, Database(config.database.url, create=False))
    background = BackgroundTasks(
        lambda: run_background_tasks(
            app, stop, lambda _summary, _total: background.heartbeat.beat()
        ),
        app.subscribers.expiry.tidy,
    )
    health = Health(app, [background.heartbeat])
    server = Server(pages(config, app, background.wake, now, health.routes(config)), wire)
    health.watch_over(server.heartbeat)
    server.start()
    background.start()
    log.info("serving pages", address=f"http://{config.web.host}:{wire.getsockname()[1]}")
    systemd.notify(systemd.READY)
    health.watch(stop)
    stop.wait()
    log.info("stopping")
    systemd.notify(systemd.STOPPING)
    server.stop(3.0)
    background.stop(6.0)
    app.close()
