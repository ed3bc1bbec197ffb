"""The service from start to a signal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from starlette.routing import BaseRoute

from newsletter.app import App
from newsletter.app.parts import sending_problems
from newsletter.app.places import now
from newsletter.config.schema import Config
from newsletter.errors import ConfigError
from newsletter.service import notify
from newsletter.service.jobs import Jobs
from newsletter.service.scheduler import Scheduler
from newsletter.web import health, metrics
from newsletter.web.errands import Errands, run_errands
from newsletter.web.pages import pages
from newsletter.web.server import Server, listening

log = structlog.get_logger()

STUCK = timedelta(minutes=15)
"""Without a sign of work for so long, something hangs."""
_PATIENCE = 7.0  # seconds for what is in hand when a signal comes
_BEAT = 15.0  # seconds between two signs of life, unless systemd wants more


def serve(config: Config, stop: threading.Event) -> None:
    """Captures, plans and sends until `stop` is set.

    Raises:
        ConfigError: something that sending needs is not configured.
        OutputError: the port cannot be had.
        StorageError: the database cannot be used.
    """
    if problems := sending_problems(config):
        raise ConfigError(problems, hint="`newsletter config check` lists them")
    wire = listening(config.web.host, config.web.port)
    app = App(config)
    jobs = Jobs(app, config, now, stop)
    scheduler = Scheduler(jobs.tick, jobs.captures_due, jobs.next_due)
    errands = Errands(lambda: run_errands(app, stop), app.expiry.tidy, scheduler.soon)
    server = Server(pages(config, app, errands.wake, now, _others(config, app, jobs)), wire)
    server.start()
    errands.start()
    ending = threading.Thread(target=_until, args=(stop, scheduler, jobs), daemon=True)
    ending.start()
    log.info(
        "serving",
        address=f"http://{config.web.host}:{wire.getsockname()[1]}",
        sources=len(config.sources),
    )
    notify.notify(notify.READY)
    scheduler.run()
    server.stop(1.0)
    errands.stop(1.0)
    _end(jobs)
    app.close()
    log.info("ended")


def _until(stop: threading.Event, scheduler: Scheduler, jobs: Jobs) -> None:
    """Says that we live, until we are told to end."""
    asked = notify.watchdog_seconds()
    while not stop.wait(min(_BEAT, asked / 2) if asked else _BEAT):
        if not _stuck(jobs, now()):
            notify.notify(notify.ALIVE)
    log.info("ending")
    notify.notify(notify.STOPPING)
    scheduler.stop()


def _end(jobs: Jobs) -> None:
    """Waits for what is in hand; a page that does not come is not waited for."""
    if jobs.settled(_PATIENCE):
        return
    log.info("left something unfinished; the next start goes on with it")
    sys.stderr.flush()
    os._exit(0)


def _stuck(jobs: Jobs, at: datetime) -> bool:
    return abs(at - jobs.beat_at) > STUCK


def _others(config: Config, app: App, jobs: Jobs) -> Sequence[BaseRoute]:
    """What is answered besides the pages."""

    def alive() -> str:
        return f"nothing was done since {jobs.beat_at:%H:%M:%S} UTC" if _stuck(jobs, now()) else ""

    def ready() -> str:
        app.check()
        return ""

    token = config.web.metrics_token.get_secret_value()
    return [*health.routes(alive, ready), metrics.route(app.status.read, now, token)]
