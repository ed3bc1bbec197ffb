"""Whether response times reveal the state of an address; they must not.

The attack: a form with an address, then at once a page and another form. The time of each is
compared between addresses in one state and unknown addresses. The result is the area under the
ROC curve (AUC) of the most revealing of the three: 0.5 is a guess, 1 is certainty. Compared with
a limit, not a peer.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlencode

from sqlalchemy import text

from newsletter.app.composition import App
from newsletter.config.file import load_config
from newsletter.storage.database import Database
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import SubscriberRow
from tests.benchmarks.invented import api_json, papers
from tests.benchmarks.measure import Row
from tests.support.ports import free_port
from tests.support.smtp_process import Fault, MailServer

MANY = 600  # addresses in each state: the standard error of an AUC is 0.017
AUC = 0.55
_PAUSES = (0.03, 0.12)  # seconds between two probes
_UNKNOWN = "unknown"
_REFUSED = "undeliverable"
STATES = (_UNKNOWN, "forgotten", "active", "pending", "unsubscribed", _REFUSED)

# Each probe has two requests from another network: more per hour than a newsletter accepts.
_SERVE = """
from newsletter.web import limits
limits.ALL = 1_000_000
from newsletter.cli import main
main()
"""


def run() -> Iterator[Row]:
    """One row for each state."""
    with tempfile.TemporaryDirectory() as name:
        times = measured(Path(name), STATES, MANY)
    for state in STATES[1:]:
        found = aucs(times[state], times[_UNKNOWN])
        what = max(found, key=lambda one: found[one])
        yield Row(
            f"{state} or {_UNKNOWN}, by the time of {what}",
            "AUC",
            found[what],
            AUC,
            found[what] / AUC,
            1.0,
        )


def aucs(
    ours: Mapping[str, Sequence[float]], others: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Returns the AUC of each measurement, regardless of which side is slower."""
    found = {what: _auc(ours[what], others[what]) for what in ours}
    return {what: max(one, 1 - one) for what, one in found.items()}


def _auc(ours: Sequence[float], others: Sequence[float]) -> float:
    """Returns the probability that ours is slower than the others; a tie counts half."""
    ranked = sorted(others)
    longer = sum(bisect_left(ranked, one) + bisect_right(ranked, one) for one in ours)
    return longer / (2 * len(ours) * len(others))


def measured(folder: Path, states: Sequence[str], many: int) -> dict[str, dict[str, list[float]]]:
    """Returns the seconds by state and request, of probes in random order."""
    random = Random(7)
    order = [state for state in states for _ in range(many)]
    random.shuffle(order)
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with _serving(folder, states, many) as port:
        visitor = _Visitor(port, random)
        for warm_up in range(20):
            visitor.probe(f"warm{warm_up}@u.example")
            time.sleep(random.uniform(*_PAUSES))
        for number, state in enumerate(order):
            for what, seconds in visitor.probe(_address(state, number)).items():
                times[state][what].append(seconds)
            time.sleep(random.uniform(*_PAUSES))
    return times


def _address(state: str, number: int) -> str:
    """Returns an address; all have the same length."""
    return f"r{number:05}@{'x' if state == _REFUSED else 'u'}.example"


class _Visitor:
    """Sends probes over one connection, each from another network."""

    def __init__(self, port: int, random: Random) -> None:
        self._wire = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._wire.connect()
        self._wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._base = f"http://127.0.0.1:{port}"
        self._random = random
        self._own = 0

    def probe(self, address: str) -> dict[str, float]:
        """Returns the seconds of each request."""
        self._own += 1
        own = f"o{self._own:05}@o.example"
        return {
            "the form": self._timed("POST", "/subscribe", address),
            "a page after it": self._timed("GET", "/", ""),
            "a form after it": self._timed("POST", "/subscribe", own),
        }

    def _timed(self, method: str, path: str, address: str) -> float:
        said = {
            "X-Forwarded-For": ".".join(str(self._random.randint(1, 223)) for _ in range(4)),
            "Origin": self._base,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({"address": address}) if address else None
        began = time.perf_counter()
        self._wire.request(method, path, body, said)
        answer = self._wire.getresponse()
        answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return seconds


@contextmanager
def _serving(folder: Path, states: Sequence[str], many: int) -> Iterator[int]:
    """Runs `newsletter serve` with addresses in these states, and an SMTP server."""
    refused = Fault("RCPT", say="550 5.1.2 no such domain", to="*@x.example")
    with MailServer(folder / "mail", refused) as mail:
        port = free_port()
        path = _written(folder, port, mail.port)
        _prepare(path, states, many)
        command = [sys.executable, "-c", _SERVE, "--config", str(path), "serve", "--log", "json"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as served:
            try:
                _wait_for(port)
                yield port
            finally:
                served.terminate()
                served.wait(15)


def _written(folder: Path, port: int, smtp: int) -> Path:
    path = folder / "config.toml"
    path.write_text(
        '[newsletter]\nsender = "L <l@papers.example>"\nowner = "o@papers.example"\n'
        f'base_url = "http://127.0.0.1:{port}"\n'
        '[database]\nurl = "sqlite:///papers.db"\n'
        f'[transports.smtp]\nhost = "127.0.0.1"\nport = {smtp}\nsecurity = "none"\n'
        f"[web]\nport = {port}\ntrusted_hops = 1\n"
    )
    return path


def _prepare(path: Path, states: Sequence[str], many: int) -> None:
    """Brings the addresses into their states, as of two days ago."""
    config = load_config(str(path))
    then = datetime.now(UTC) - timedelta(days=2)
    with closing(App(config, Database(config.database.url), lambda: then)) as app:
        capture = path.parent / "papers.json"
        capture.write_bytes(api_json(papers(0, 20)))
        list(app.sources.ingest_named([str(capture)]))
        prepare: dict[str, Callable[[App, str], None]] = {
            "forgotten": _forget,
            "active": _add,
            "pending": _ask,
            "unsubscribed": _unsubscribe,
        }
        order = [state for state in states for _ in range(many)]
        Random(7).shuffle(order)
        for number, state in enumerate(order):
            if state in prepare:
                prepare[state](app, _address(state, number))
        app.subscribers.visitor_requests.work()
        with app.database.write() as tx:
            tx.execute(text("UPDATE deliveries SET state = 'sent', try_at = NULL"))
            tx.execute(text("UPDATE subscribers SET cadence = 'monthly:1', next_due_at = NULL"))


def _add(app: App, address: str) -> None:
    app.subscribers.lifecycle.add(SubscriberRow(parse_address(address)))


def _forget(app: App, address: str) -> None:
    _add(app, address)
    app.subscribers.lifecycle.remove(parse_address(address), forget=True)


def _unsubscribe(app: App, address: str) -> None:
    _add(app, address)
    app.subscribers.lifecycle.unsubscribe(parse_address(address))


def _ask(app: App, address: str) -> None:
    app.subscribers.signup.ask(parse_address(address), "198.51.100.0/24")


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 30
    while True:
        wire = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            wire.request("GET", "/readyz")
            if wire.getresponse().status == 200:
                return
        except OSError:
            if time.monotonic() > ends:
                raise
        finally:
            wire.close()
        time.sleep(0.1)
