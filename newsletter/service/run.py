"""The service, from start to stop."""

from __future__ import annotations

import os
import sys
import threading

import structlog

from newsletter.app.clock import now
from newsletter.app.composition import App
from newsletter.app.factories import sending_problems
from newsletter.config.schema import Config
from newsletter.errors import ConfigError
from newsletter.papers.parsers import Parsers
from newsletter.service import systemd
from newsletter.service.backup_job import BackupJob
from newsletter.service.health import Health
from newsletter.service.jobs import Jobs
from newsletter.service.scheduler import Scheduler
from newsletter.sources.files import subfolders_note
from newsletter.storage.database import Database
from newsletter.web.background import BackgroundTasks, run_background_tasks
from newsletter.web.pages import pages
from newsletter.web.server import Server, listening

log = structlog.get_logger()

_STOP_TIMEOUT = 7.0  # seconds to finish running jobs


def serve(config: Config, stop: threading.Event, parsers: Parsers | None = None) -> None:
    """Captures, plans and sends until `stop` is set.

    Captures are parsed by `parsers`, if given.

    Raises:
        ConfigError: a setting that sending needs is missing.
        OutputError: the port cannot be bound.
        DatabaseMissing: there is no database; it is never created here.
        StorageError: the database cannot be used.
    """
    if problems := sending_problems(config):
        raise ConfigError(problems, hint="`newsletter config check` lists them")
    wire = listening(config.web.host, config.web.port)
    app = App(config, Database(config.database.url, create=False), now, parsers)
    jobs = Jobs(app, config, now, stop)
    scheduler = Scheduler(jobs.tick, jobs.captures_due, jobs.next_due)
    background = BackgroundTasks(
        lambda: run_background_tasks(
            app, stop, lambda _summary, _total: background.heartbeat.beat()
        ),
        app.subscribers.expiry.tidy,
        scheduler.soon,
    )
    backups = BackupJob(app, config, now, stop)
    loops = [jobs.sending, jobs.capturing, background.heartbeat, scheduler.heartbeat]
    health = Health(app, [*loops, backups.heartbeat])
    server = Server(pages(config, app, background.wake, now, health.routes(config)), wire)
    health.watch_over(server.heartbeat)
    server.start()
    background.start()
    backups.start()
    threading.Thread(
        target=_stop_when, args=(stop, scheduler, app), name="stop", daemon=True
    ).start()
    _log_start(config, wire.getsockname()[1])
    systemd.notify(systemd.READY)
    health.watch(stop)
    scheduler.run()
    server.stop(1.0)
    background.stop(1.0)
    backups.join(1.0)
    _finish(jobs)
    app.close()
    log.info("stopped")


def _log_start(config: Config, port: int) -> None:
    log.info("serving", address=f"http://{config.web.host}:{port}", sources=len(config.sources))
    for section in config.sources:
        if section.path and (remark := subfolders_note(section.path)):
            log.warning("subfolders are not read", source=section.name, reason=remark)


def _stop_when(stop: threading.Event, scheduler: Scheduler, app: App) -> None:
    """Stops the scheduler and the parsing of captures once `stop` is set."""
    stop.wait()
    log.info("stopping")
    try:
        systemd.notify(systemd.STOPPING)
    finally:
        scheduler.stop()
        app.parsers.close()


def _finish(jobs: Jobs) -> None:
    """Waits for running jobs, or exits the process if one, such as a slow fetch, takes too long."""
    if jobs.settled(_STOP_TIMEOUT):
        return
    log.info("stopped with unfinished work; the next start continues it")
    sys.stderr.flush()
    os._exit(0)
