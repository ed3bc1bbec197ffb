"""`run`, `status`, `why` and `preview` give the same reasons why nothing is sent; and a dry run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.captures import api_json, made
from tests.support.commands import Here, rows_of
from tests.support.databases import new_file
from tests.support.http_server import Server, reply
from tests.support.rehearsals import contents

CONFIG = """
[newsletter]
owner = "keeper@example.org"
sender = "papers@example.org"
time_zone = "Europe/Berlin"
send_at = "{at}"
[[sources]]
name = "saved"
path = "{path}"
[delivery]
transport = "eml"
"""
ADA = "ada@example.net"

STATES: dict[str, tuple[set[str], list[str]]] = {
    "nothing captured": ({"empty", "ada"}, ["nothing new", "nobody due"]),
    "waiting": ({"ada"}, ["nobody due"]),
    "sent": ({"ada", "sent"}, ["nothing new", "nobody due"]),
    "paused": ({"ada", "paused"}, ["paused", "nobody due"]),
    "held": ({"ada", "held"}, ["held", "nobody due"]),
    "failing": ({"ada", "failing"}, ["source failing", "nothing new", "nobody due"]),
    "no subscriber": (set(), ["nobody subscribed"]),
    "nothing at all": ({"empty"}, ["nothing new", "nobody subscribed"]),
    "many": (
        {"ada", "held", "paused", "gone"},
        ["paused", "held", "source failing", "nobody due"],
    ),
}


@pytest.fixture
def newsletter(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """Runs commands in this process."""
    return Here(capfd, monkeypatch)


def configure(path: str = "saved") -> None:
    """Writes the configuration; subscribers are due half a day from now."""
    at = datetime.now(UTC) + timedelta(hours=12)
    Path("config.toml").write_text(CONFIG.format(at=f"{at:%H:%M}", path=path))


def publish(name: str, data: bytes) -> None:
    """Puts a capture into the folder."""
    file = Path("saved") / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    os.utime(file, (0, 0))


def prepare(newsletter: Here, facts: set[str]) -> None:
    """Makes a newsletter of which these facts are true."""
    new_file(Path("newsletter.db"))
    configure("missing" if "failing" in facts else "saved")
    Path("saved").mkdir()
    if "empty" not in facts:
        publish("2026-11-19.json", api_json(made("Lamps", "Oil")))
    if "ada" in facts:
        newsletter("subscribers", "add", ADA)
    if "sent" in facts:
        assert newsletter("run", "--due-now").returncode == 0
    if "held" in facts:
        newsletter("ingest")
        publish("2026-11-20.html", b"<html>Too many requests</html>")
    if "gone" in facts:
        newsletter("ingest")
        configure("missing")
    if facts & {"failing", "gone"}:
        newsletter("ingest")  # so that it has failed since then
    if "paused" in facts:
        newsletter("pause")


def reasons_in(row: dict[str, Any]) -> list[str]:
    """Returns the reasons of a row; `silence` has them all and begins with the first."""
    reasons: list[str] = row["reasons"]
    if "silence" in row:
        assert row["silence"] == "; ".join(reasons)
    return reasons


@pytest.mark.parametrize("name", STATES)
def test_all_commands_give_the_same_reasons(newsletter: Here, name: str) -> None:
    """In the same words, in JSON and on one line each; first the dry run, which foresees them."""
    facts, expected = STATES[name]
    prepare(newsletter, facts)
    commands = [("run", "--dry-run"), ("run",), ("status",), ("preview",)]
    if "ada" in facts:
        commands.append(("why", ADA))
    said = [reasons_in(rows_of(newsletter(*one, "--json"))[-1]) for one in commands]
    assert [reason.split(":")[0] for reason in said[0]] == expected
    assert said == [said[0]] * len(commands)
    for one in commands:
        lines = newsletter(*one).stdout.splitlines()
        if lines[-1].startswith("`newsletter preview --"):  # what else it can show
            del lines[-1]
        assert [line.strip() for line in lines[-len(expected) :]] == said[0], one


def sent_by(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Returns the addresses of a dry run's rows that would receive an edition."""
    return [row["address"] for row in rows_of(done) if row.get("edition")]


def test_a_dry_run_of_everything(newsletter: Here) -> None:
    """Captures, messages and subscribers one a line; the folder stays as it is; then the run."""
    prepare(newsletter, {"ada"})
    for number in range(7):
        newsletter("subscribers", "add", f"reader{number}@example.net")
    newsletter("subscribers", "pause", "reader6@example.net")
    before = contents(Path())
    done = newsletter("run", "--dry-run", "--due-now", "--json")
    assert done.returncode == 0
    capture, *_, last = rows_of(done)
    assert (capture["new"], last["sent"], last["dry_run"], last["silence"]) == (2, 7, True, None)
    expected = [ADA, *(f"reader{number}@example.net" for number in range(6))]
    assert sent_by(done) == expected
    (unsent,) = [row for row in rows_of(done) if row.get("reason")]
    assert (unsent["address"], unsent["state"]) == ("reader6@example.net", "paused")
    lines = newsletter("run", "--dry-run", "--due-now").stdout.splitlines()
    assert any(line.endswith("(2 papers) would be sent to 7 addresses:") for line in lines)
    assert lines[-3:] == [
        "  and 2 more",
        "1 subscriber would receive nothing:",
        "  1 · paused (reader6@example.net)",
    ]
    assert contents(Path()) == before
    ran = rows_of(newsletter("run", "--due-now", "--json"))[-1]
    assert (ran["sent"], ran["editions"]) == (7, last["editions"])
    rows = rows_of(newsletter("deliveries", "list", "--state", "sent", "--json"))
    assert [row["address"] for row in rows] == expected


def test_the_exit_status_is_that_of_the_run(newsletter: Here) -> None:
    """Something held is status 3, a setting that is missing is 2; the configuration is left."""
    prepare(newsletter, {"ada", "held"})
    assert newsletter("run", "--dry-run").returncode == 3
    config = Path("config.toml")
    config.write_text(config.read_text().replace('"eml"', '"smtp"'))
    config.chmod(0o644)
    before = contents(Path())
    assert newsletter("run", "--dry-run").returncode == 2
    assert contents(Path()) == before
    assert config.stat().st_mode & 0o777 == 0o644
    config.chmod(0o666)
    assert newsletter("run", "--dry-run").returncode == 2
    Path("newsletter.db").unlink()
    config.write_text(config.read_text().replace('"smtp"', '"eml"'))
    config.chmod(0o600)
    missing = newsletter("run", "--dry-run")
    assert missing.returncode == newsletter("run").returncode == 3
    assert "there is no database" in missing.stderr


def fetch_from(server: Server) -> None:
    """Configures a page as the only source, and a URL that healthy runs are reported to."""
    Path("config.toml").write_text(
        f'[newsletter]\nping_url = "{server.url("/ping")}"\n[[sources]]\nname = "page"\n'
        f'url = "{server.url("/papers")}"\nallow_private = true\n'
    )


def test_only_the_sources_are_asked(newsletter: Here) -> None:
    """The run that follows asks them as if they had never been asked, and reports itself."""
    page = reply(api_json(made("Lamps")), ETag='"1"')
    server = Server({"/papers": page, "/ping": reply()})
    try:
        prepare(newsletter, {"ada"})
        fetch_from(server)
        before = contents(Path())
        assert newsletter("run", "--dry-run", "--due-now").returncode == 0
        assert contents(Path()) == before
        assert newsletter("run", "--due-now").returncode == 0
    finally:
        server.close()
    assert server.paths() == ["/papers", "/papers", "/ping"]
    assert "if-none-match" not in server.requests[1].headers


def test_an_interrupted_dry_run_leaves_nothing(
    newsletter: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a source is asked: the copy is deleted."""

    def interrupt(_connection: socket.socket, over: threading.Event) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        over.wait()

    prepare(newsletter, {"ada"})
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    server = Server({"/papers": interrupt})
    try:
        fetch_from(server)
        before = contents(Path())
        done = newsletter("run", "--dry-run")
    finally:
        server.close()
    assert done.returncode == 130
    assert contents(Path()) == before
    assert list((tmp_path / "temporary").iterdir()) == []
