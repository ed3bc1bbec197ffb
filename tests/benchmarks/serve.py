"""The costs of an idle service, and of status and metrics.

Compared with limits, not peers: what is acceptable for years.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.service.jobs import Jobs
from newsletter.storage.database import Database
from newsletter.subscribers.csv_import import read
from newsletter.subscribers.list_import import Imported
from newsletter.web.metrics import Figures
from tests.benchmarks.invented import api_json, papers
from tests.benchmarks.measure import Row, newsletter
from tests.benchmarks.million import subscriber_lines

SETTLE_SECONDS = 10.0
IDLE_SECONDS = 120.0
IDLE_CORE = 0.005  # of a core
IDLE_MB = 120
TICK_MS = 1.0
ASK_MS = 50.0
_ROUNDS = 200


def run() -> Iterator[Row]:
    """An idle process; then a tick, status and metrics with a million subscribers."""
    yield from _idle()
    with tempfile.TemporaryDirectory() as name:
        database = Database(f"sqlite:///{name}/million.db")
        with closing(App(Config(), database)) as app:
            capture = Path(name) / "papers.json"
            capture.write_bytes(api_json(papers(0, 100)))
            list(app.sources.ingest_named([str(capture)]))
            list(app.subscribers.list_import.add(read(subscriber_lines()).rows, Imported()))
            app.planning.plan(datetime.now(UTC), all_active=True)
            with database.write() as tx:
                tx.execute(text("UPDATE deliveries SET state = 'sent', try_at = NULL"))
            yield from _asked(app)


def _idle() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "captures").mkdir()
        with socket.socket() as wire:
            wire.bind(("127.0.0.1", 0))
            port = int(wire.getsockname()[1])
        config = folder / "config.toml"
        config.write_text(
            f'[newsletter]\nowner = "o@papers.example"\nbase_url = "http://127.0.0.1:{port}"\n'
            f'[[sources]]\nname = "saved"\npath = "captures"\n[web]\nport = {port}\n'
        )
        command = newsletter("--config", str(config), "serve", "--log", "json")
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as served:
            try:
                time.sleep(SETTLE_SECONDS)
                # So that the templates have been loaded.
                urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
                before = _cpu_seconds(served.pid)
                time.sleep(IDLE_SECONDS)
                core = (_cpu_seconds(served.pid) - before) / IDLE_SECONDS
                size = _resident_megabytes(served.pid)
            finally:
                served.terminate()
                served.wait(15)
    yield Row("idle, share of a core", "", core, IDLE_CORE, core / IDLE_CORE, 1.0)
    yield Row("idle, memory", "MB", size, IDLE_MB, size / IDLE_MB, 1.0)


def _asked(app: App) -> Iterator[Row]:
    now = datetime.now(UTC)
    jobs = Jobs(app, Config(), lambda: now, threading.Event())
    jobs.tick()  # the first tick checks more
    yield _limited("a tick, a million subscribers, nobody due", _ms(jobs.tick), TICK_MS)
    yield _limited("status, a million deliveries", _ms(app.status.read), ASK_MS)

    def scrape() -> None:
        registry = CollectorRegistry()
        registry.register(Figures(app.status.read(), now + timedelta(seconds=1)))
        generate_latest(registry)

    yield _limited("metrics, a million deliveries", _ms(scrape), ASK_MS)


def _ms(job: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        job()
        times.append(time.perf_counter() - began)
    return 1000 * median(times)


def _limited(what: str, ms: float, limit: float) -> Row:
    return Row(what, "ms", ms, limit, ms / limit, 1.0)


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_megabytes(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    kilobytes = next(line for line in lines if line.startswith("VmRSS")).split()[1]
    return int(kilobytes) * 1024 / 1e6
