"""Secrets in the URLs of sources and in the configuration are never printed.

Runs every existing command, with all sources that can fail at the same time.
"""

from __future__ import annotations

import email.policy
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from urllib.error import HTTPError

import click
import pytest

from newsletter import cli
from tests.support.captures import api_json, made
from tests.support.commands import Here
from tests.support.http_server import Server, reply
from tests.support.ports import free_port

SECRETS = {
    "named": "wicket7",
    "after a semicolon": "gannet3",
    "random": "q7Xk2mPz9LwT4vRb",
    "path": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "file": "Zm9yLXlvdXItZXllcy1vbmx5LTQy",
    "user": "ospreykeeper",
    "password": "lantern-at-night",
    "broken password": "whinchat/con5",
    "redirect": "petrel44",
    "redirect path": "c1a5298f939e87e8f962a5edfc206918b1f0d3aa",
    "encoded": "curlew%2B8",
    "fragment": "plover55",
    "dated": "dunlin66",
    "refused": "fulmar77",
    "old": "avocet11",
    "smtp": "smtp-sandpiper",
    "metrics": "metrics-turnstone-token-of-some-length",
    "key": "keys-are-kept-by-knots-in-the-marsh",
    "alert": "alert-whimbrel",
    "ping": "ping-redshank",
}
"""Words that occur nowhere else."""

TITLES = ("Lamps of the First Morning", "Oil of the Second")


@dataclass(frozen=True)
class Room:
    """A newsletter whose sources all have secrets in their URLs."""

    folder: Path
    server: Server
    port: int

    def url(self, path: str, userinfo: str = "") -> str:
        """Returns the URL of a page of the server, with the secrets in it filled in."""
        filled = path.format_map({name.replace(" ", "_"): one for name, one in SECRETS.items()})
        return f"http://{userinfo}127.0.0.1:{self.server.port}{filled}"


def answers() -> dict[str, bytes]:
    """Returns the server's answers by path."""
    s = SECRETS
    return {
        f"/list/{s['path']}/{s['file']}.json?token={s['named']}": reply(api_json(made(*TITLES))),
        f"/page?feed={s['random']};sig={s['after a semicolon']}": reply(b"<html>no list</html>"),
        f"/moved?%6bey={s['encoded']}": reply(
            status=302, Location=f"/new/{s['redirect path']}?token={s['redirect']}"
        ),
        f"/busy?auth={s['named']}": reply(status=503, Retry_After="9999"),
        f"/astray?auth={s['named']}": reply(
            status=302, Location=f"http://me:{s['broken password']}@h.example/"
        ),
    }


SOURCES = {
    "well": "/list/{path}/{file}.json?token={named}#access_token={fragment}",
    "no list": "/page?feed={random};sig={after_a_semicolon}",
    "gone": "/gone/{path}?api_key={named}&page=2",
    "moved": "/moved?%6bey={encoded}",
    "busy": "/busy?auth={named}",
    "astray": "/astray?auth={named}",
    "dated": "/days/{{date}}?secret={dated}",
}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A folder with the configuration; its alerts are refused, so that this is reported too."""
    server = Server(answers())
    made = Room(tmp_path, server, free_port())
    s, urls = SECRETS, {name: made.url(path) for name, path in SOURCES.items()}
    urls["with a user"] = made.url("/x", f"{s['user']}:{s['password']}@")
    urls["mistyped"] = made.url("/x", f"{s['user']}:{s['broken password']}@")
    urls["closed"] = f"http://localhost:{free_port()}/{s['path']}?token={s['refused']}"
    lines = [
        "[newsletter]\nsender = 'Lamps <lamps@papers.example>'\nowner = 'owner@papers.example'",
        f"alert_command = '''\"{sys.executable}\" -c \"import sys; "
        "open('alerts.txt', 'a').write(sys.stdin.read()); sys.exit(1)\"'''",
        f"alert_url = '{made.url('/alert/{alert}')}'\nping_url = '{made.url('/ping/{ping}')}'",
        "[delivery]\ntransport = 'eml'",
        f"[transports.smtp]\nhost = 'localhost'\nusername = 'p'\npassword = '{s['smtp']}'",
        f"[web]\nport = {made.port}\nsecret_keys = ['{s['key']}']",
        f"metrics_token = '{s['metrics']}'",
        *(f"[[sources]]\nname = '{name}'\nallow_private = true\nevery = '1s'\n"
          f"url = {json.dumps(url)}"
          for name, url in urls.items() if name != "closed"),
    ]  # fmt: skip
    # Refused connections are retried after a while, so they are only on the command line.
    (tmp_path / "config.toml").write_text("\n".join(lines) + "\n")
    (tmp_path / "closed.txt").write_text(urls["closed"])
    yield made
    server.close()


def check(where: str, *texts: str) -> None:
    """Checks that none of the secrets is in these texts, as written or percent-decoded."""
    for text in texts:
        for name, secret in SECRETS.items():
            for one in (secret, secret.replace("%2B", "+"), secret.partition("/")[0]):
                assert one not in text, f"{where}: {name}: {text}"


def commands(
    group: click.Group = cli.cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yields every command with the words that call it."""
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from commands(one, (*path, name))
        else:
            yield (*path, name), one


ENDLESS = {("serve",), ("web",)}  # they run until a signal
VALUES = {
    "path": "other.toml", "old": "gone", "new": "gone for good", "opml": "feeds.opml",
    "location": "capture.json", "snapshot": "1", "edition": "1", "address": "ada@example.org",
    "whom_or_what": "2611.00001", "since": "1h",
}  # fmt: skip
"""Values of required parameters, by name. Names of files to write come from the test."""
WORDS = {
    ("sources", "add"): ["{well}&page={fresh}", "--no-check"],
    ("sources", "remove"): ["gone"],
    ("replay",): ["{well}", "{moved}", "--out", "out"],
    ("snapshots", "release"): ["2", "--silent"],
    ("snapshots", "reject"): ["2"],
    ("subscribers", "import"): ["people.csv"],
    ("backup",): ["{fresh}.backup"],
    ("restore",): ["first.backup"],
    ("prune",): ["--older-than", "90d"],
    ("run",): ["--due-now"],
    ("doctor",): ["--offline"],
}
"""Arguments of commands that need more."""
FIRST: Sequence[tuple[str, ...]] = [
    ("ingest",), ("subscribers", "add"), ("run",), ("backup",), ("status",), ("why",),
]  # fmt: skip
"""Commands that are run first, so that there is something to show."""


def arguments(path: tuple[str, ...], command: click.Command) -> list[str]:
    """Returns arguments with which a command can do something."""
    if path in WORDS:
        return WORDS[path]
    words: list[str] = []
    for one in command.params:
        if one.required:
            option = one.opts[:1] if isinstance(one, click.Option) else []
            words += [*option, VALUES[one.name or ""]]
    return words


@dataclass
class Shell:
    """Runs commands in the room."""

    room: Room
    here: Here
    fresh: int = 0

    def run(self, *words: str) -> str:
        """Returns the output of a command, after checking that it has no secret."""
        self.fresh += 1
        urls = {name.replace(" ", "_"): self.room.url(path) for name, path in SOURCES.items()}
        filled = [word.format(**urls, fresh=self.fresh) for word in words]
        done = self.here(*filled)
        check(" ".join(words), done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def shell(room: Room, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Runs commands in the room."""
    monkeypatch.chdir(room.folder)
    url = room.url(SOURCES["gone"])
    feeds = (
        f'<opml><body><outline xmlUrl="{url}&amp;x"/><outline title="{url}" xmlUrl="{url}&amp;y"/>'
    )
    (room.folder / "feeds.opml").write_text(feeds + "</body></opml>")
    (room.folder / "capture.json").write_bytes(api_json(made(*TITLES)))
    (room.folder / "people.csv").write_text(f"address\n{url}\nbea@example.org\n")
    return Shell(room, Here(capfd, monkeypatch))


def age(folder: Path) -> None:
    """Stores URLs unmasked, as an earlier version recorded them."""
    url = f"http://h.example/?token={SECRETS['old']}"
    with closing(sqlite3.connect(folder / "newsletter.db")) as database:
        changed = database.execute("UPDATE sources SET failure = failure || ?", (f" ({url})",))
        assert changed.rowcount > 0
        held = "UPDATE snapshots SET reason = reason || ?, notes = ? WHERE state = 'held'"
        changed = database.execute(held, (f" ({url})", json.dumps([f"see {url}"])))
        assert changed.rowcount == 1
        database.commit()


def check_reports(room: Room) -> None:
    """Checks what the owner and subscribers got, by mail, by the command and by the URL."""
    mails = list(room.folder.glob("outbox/*.eml"))
    texts = []
    for mail in mails:
        message = message_from_bytes(mail.read_bytes(), policy=email.policy.default)
        check(mail.name, str(message["Subject"]), mail.read_text("latin-1"))
        texts += [part.get_content() for part in message.walk() if not part.is_multipart()]
    check("mails", *texts)
    assert any("has failed since" in text for text in texts)
    posted = [request.body.decode() for request in room.server.requests if request.method == "POST"]
    assert posted
    check("alerts", (room.folder / "alerts.txt").read_text(), *posted)


def test_no_command_prints_a_secret(shell: Shell) -> None:
    """Each is run with sensible arguments, as text and JSON, and with URLs as arguments."""
    every = dict(commands())
    shown = {}
    for path in FIRST:
        shown[path] = shell.run(*path, *arguments(path, every[path]))
        if path == ("run",):
            age(shell.room.folder)
    (shell.room.folder / "first.backup").write_bytes(
        next(shell.room.folder.glob("[0-9]*.backup")).read_bytes()
    )
    check_reports(shell.room)
    for path, command in every.items():
        if path in ENDLESS:
            continue
        words = arguments(path, command)
        text = shown.get(path, "") + shell.run(*path, *words)
        if any(one.name == "as_json" for one in command.params):
            text += shell.run(*path, *words, "--json")
        shown[path] = text
        for url in ("{well}", "{busy}"):
            shell.run(*path, *([url] * max(1, sum(one.required for one in command.params))))
            shell.run(*path, url, url, url, f"--{url}")
    shell.run("ingest", (shell.room.folder / "closed.txt").read_text())
    # The output was checked, and still has what is not secret.
    for path in [("ingest",), ("run",), ("snapshots", "list"), ("why",), ("sources", "list")]:
        assert "/list/***/***.json?token=***" in shown[path], path
    assert "/gone/***?api_key=***&page=2" in shown["ingest",]
    assert "/days/{date}?secret=***" in shown["sources", "list"]
    assert "http://***@127.0.0.1" in shown["status",]
    assert "http://h.example/?token=***" in shown["status",]
    assert "newsletter.alert_url: the server answered 404" in shown["run",]


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_service_shows_no_secret(shell: Shell, form: str) -> None:
    """This covers its log, its monitoring pages, its metrics and the owner's mail."""
    room = shell.room
    shell.run("ingest")
    age(room.folder)
    awaited = {"source fails", "alert not delivered", "ping failed"}
    log = []
    with subprocess.Popen(
        [sys.executable, "-m", "newsletter", "serve", "--log", form],
        cwd=room.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        late = threading.Timer(60, process.kill)
        late.start()
        try:
            while awaited and (line := process.stderr.readline()):
                log.append(line)
                awaited = {event for event in awaited if event not in line}
            ask = f"http://127.0.0.1:{room.port}"
            pages = [fetched(ask + page) for page in ("/metrics", "/readyz", "/healthz", "/")]
        finally:
            process.send_signal(signal.SIGTERM)
            log += process.stderr.readlines()
            late.cancel()
    text = "".join(log)
    assert not awaited, text
    check("log", text)
    check("pages", *pages)
    check_reports(room)
    assert "/gone/***?api_key=***&page=2" in text
    assert 'newsletter_source_failing{source="gone"} 1.0' in pages[0]


def fetched(url: str) -> str:
    """Returns a page, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        return str(error.read().decode())
