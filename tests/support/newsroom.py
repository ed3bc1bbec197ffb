"""A newsletter in a folder of its own, run through the command line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from newsletter.app.composition import App, opened
from newsletter.cli.mail_output import delivery_row
from newsletter.config.file import load_config
from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage.deliveries import Filter
from newsletter.subscribers.lifecycle import line_of
from newsletter.subscribers.list_import import Imported
from tests.support.commands import newsletter, rows_of
from tests.support.databases import new_file


class Newsroom:
    """A newsletter in a folder of its own.

    Args:
        folder: the folder; created if it does not exist.
        port: port of the SMTP server.
        database: path of the database, relative to the folder.
        delivery: keys of its `[delivery]` section.
    """

    def __init__(
        self, folder: Path, port: int, *, database: str = "papers.db", **delivery: Any
    ) -> None:
        self.folder = folder
        self.database = folder / database
        self._captures = folder / "captures"
        self._captures.mkdir(parents=True, exist_ok=True)
        self.configure(port, **delivery)

    def configure(
        self,
        port: int,
        *,
        newsletter: Mapping[str, object] | None = None,
        smtp: Mapping[str, object] | None = None,
        sources: bool = True,
        **delivery: object,
    ) -> None:
        """Rewrites the configuration to send through this server with these settings."""
        sections: dict[str, dict[str, object]] = {
            "newsletter": {
                "sender": "Lamps <lamps@papers.example>",
                "owner": "owner@papers.example",
                **(newsletter or {}),
            },
            "database": {"url": f"sqlite:///{self.database.relative_to(self.folder)}"},
            "delivery": {"transport": "smtp", "sessions": 4, **delivery},
            "transports.smtp": {
                "host": "127.0.0.1",
                "port": port,
                "security": "none",
                **(smtp or {}),
            },
        }
        lines = ["[[sources]]", 'name = "harbour"', 'path = "captures"'] if sources else []
        for name, section in sections.items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in section.items())]
        (self.folder / "config.toml").write_text("\n".join(lines) + "\n")

    def subscribe(self, addresses: Iterable[str]) -> None:
        """Adds these addresses as subscribers."""
        if not self.database.exists():
            new_file(self.database)
        done = Imported()
        with self.opened() as app:
            lines = ((number, line_of(one)) for number, one in enumerate(addresses, 2))
            assert not list(app.subscribers.list_import.add(lines, done))
        assert done.added == done.lines

    def add_papers(self, many: int = 3) -> None:
        """Writes another day's papers, for the next edition."""
        day = len(list(self._captures.iterdir())) + 1
        rows = []
        for number in range(many):
            title = f"Lantern number {number} of day {day} seen from the harbour"
            paper = {
                "id": f"2610.{100 * day + number:05}",
                "title": title,
                "summary": "Light. " * 40,
            }
            rows.append({"paper": paper, "title": title})
        path = self._captures / f"2026-10-{day:02}.json"
        path.write_text(json.dumps(rows))
        os.utime(path, (1, 1))  # recently changed files would be left for the next run

    def run(self) -> subprocess.CompletedProcess[str]:
        """Runs `newsletter run` once."""
        return self.command("run", "--due-now", "--json")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command; asserts that it does not crash."""
        done = newsletter(*arguments, cwd=self.folder)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Starts `newsletter run`, or another command."""
        words = command or ("run", "--due-now", "--json")
        return subprocess.Popen(
            [sys.executable, "-m", "newsletter", *words],
            env={**os.environ, **(environment or {})},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[App]:
        """Opens the application in this process, which is faster than running commands."""
        with opened(load_config(str(self.folder / "config.toml"))) as app:
            yield app

    def deliveries(self, state: str | None = None) -> list[dict[str, Any]]:
        """Returns the rows of `newsletter deliveries`."""
        with self.opened() as app:
            mailing = app.records
            found = list(mailing.listed(Filter(DeliveryState(state) if state else None)))
            return [delivery_row(row, mailing.message_id(row)) for row in found]

    def states_of(self, addresses: Iterable[str]) -> Counter[str]:
        """Returns the number of mails to these subscribers by state."""
        wanted = set(addresses)
        return Counter(row["state"] for row in self.deliveries() if row["address"] in wanted)

    def silence(self) -> str:
        """Returns the idle reason of `newsletter status`."""
        return str(rows_of(self.command("status", "--json"))[-1]["silence"])

    def states(self) -> dict[str, str]:
        """Returns the state of each subscriber's last mail, by address."""
        return {row["address"]: row["state"] for row in self.deliveries()}

    def people(self, state: str) -> set[str]:
        """Returns the addresses of the subscribers in a state."""
        with self.opened() as app:
            return {one.address for one in app.subscribers.lifecycle.listed(SubscriberState(state))}


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Returns the summary that a run prints at its end."""
    last = rows_of(done)[-1]
    assert "seconds" in last, done
    return last


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{key}" = {_toml(one)}' for key, one in value.items()) + "}"
    return json.dumps(value)
