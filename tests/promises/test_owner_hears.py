"""The owner hears of what is wrong, and it counts only when heard: through the command line."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import http_server
from tests.support.commands import assert_one_line_each, rows_of
from tests.support.http_server import Answer, Server, reply
from tests.support.newsroom import Newsroom, summary
from tests.support.smtp_process import Fault, MailServer

ANA, BEN, CLEO = (f"{name}@{name}.example" for name in ("ana", "ben", "cleo"))
OWNER = "owner@papers.example"
PROBLEM, WELL = "Daily Papers: 1 thing to look at", "Daily Papers: all is well again"
SECRET = "tk-only-we-know"

TO_NOBODY = Fault("dot", drop=True, to=ANA)
"""What becomes of Ana's mail is not known: a problem that the owner has to decide."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A mail server where nothing goes wrong yet."""
    with MailServer(tmp_path / "server") as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, server: MailServer) -> Newsroom:
    """A newsletter with papers and three subscribers, that sends one mail after the other."""
    made = Newsroom(tmp_path / "room", server.port, sessions=1)
    made.add_papers()
    made.subscribe([ANA, BEN, CLEO])
    return made


@pytest.fixture
def web() -> Iterator[Server]:
    """An HTTP server with a topic that fails once, and a page to ping."""
    answers: dict[str, Answer | list[Answer]] = {
        f"/once/{SECRET}": [reply(status=500), reply()],
        f"/topic/{SECRET}": reply(),
        f"/down/{SECRET}": http_server.reset,
        f"/ping/{SECRET}": reply(b"OK"),
    }
    one = Server(answers)
    yield one
    one.close()


def reports(server: MailServer) -> list[str]:
    """The subjects of what the owner got by mail."""
    return [one.subject for one in server.taken() if one.recipient == OWNER]


def report_states(room: Newsroom) -> list[str]:
    """What became of each report that was queued."""
    return [row["state"] for row in room.deliveries() if row["edition"] == "report"]


def is_told(room: Newsroom) -> bool:
    """Whether the owner knows of the problem that there is; `status` says it until they do."""
    with room.opened() as app:
        assert app.alerts.current(app.clock())
    untold = rows_of(room.command("status", "--json"))[-1]["untold"]
    lines = room.command("status").stdout.splitlines()
    assert sum(line.startswith("not reported to the owner yet: ") for line in lines) == len(untold)
    return not untold


def configure(room: Newsroom, server: MailServer, **settings: Any) -> None:
    """These are its settings under [newsletter]."""
    room.configure(server.port, newsletter=settings, sessions=1)


def listener(file: Path) -> str:
    """A command that appends what it is told to a file."""
    code = (
        "import os, sys; "
        "open(sys.argv[1], 'a').write(os.environ['NEWSLETTER_ALERT'] + chr(10)); "
        "open(sys.argv[1] + '.text', 'w').write(sys.stdin.read())"
    )
    return shlex.join([sys.executable, "-c", code, str(file)])


def settle(room: Newsroom) -> None:
    """The operator decides about Ana's mail."""
    room.command("deliveries", "settle", "--as", "sent", "--state", "unknown", "--address", ANA)


# By mail


@pytest.mark.parametrize("say", ["550 5.7.1 go away", "550 5.1.1 no such user", "451 4.3.0 later"])
def test_a_report_that_no_server_takes_is_not_told(
    room: Newsroom, server: MailServer, say: str
) -> None:
    """It is told when the server is fixed, and there is one report all the while."""
    server.plan(TO_NOBODY, Fault("RCPT", say, to=OWNER))
    for _ in range(3):
        assert summary(room.run())["notices"] == 0
        assert len(report_states(room)) == 1
        assert not is_told(room)
    server.plan()
    if "5.1.1" not in say:
        room.command("deliveries", "retry", "--edition", "report")
    assert summary(room.run())["notices"] == 1
    assert reports(server) == [PROBLEM]
    assert is_told(room)
    room.run()
    assert (reports(server), report_states(room)) == ([PROBLEM], ["sent"])
    settle(room)
    room.run()
    room.run()
    assert reports(server) == [PROBLEM, WELL]


def test_a_report_that_waits_is_replaced(room: Newsroom, server: MailServer) -> None:
    """When there is one more problem, one report says both."""
    later = Fault("RCPT", "451 4.3.0 later", to=OWNER)
    server.plan(TO_NOBODY, later)
    room.run()
    assert report_states(room) == ["deferred"]
    (room.folder / "captures" / "2026-10-20.json").write_text("<html>Sorry</html>")
    room.run()
    assert report_states(room) == ["cancelled", "deferred"]
    server.plan()
    room.command("deliveries", "retry", "--edition", "report", "--state", "deferred")
    room.run()
    assert reports(server) == ["Daily Papers: 2 things to look at"]


def test_a_report_that_is_not_needed_any_more_is_cancelled(
    room: Newsroom, server: MailServer
) -> None:
    """Of a problem that came and went while no mail reached the owner, they hear nothing."""
    server.plan(TO_NOBODY, Fault("RCPT", "451 4.3.0 later", to=OWNER))
    room.run()
    settle(room)
    server.plan()
    room.run()
    room.run()
    assert (reports(server), report_states(room)) == ([], ["cancelled"])


# By a command or URL


def test_a_command_is_told_while_mail_is_broken(
    room: Newsroom, server: MailServer, tmp_path: Path
) -> None:
    """What it heard is not sent by mail; and it hears when all is well again."""
    heard = tmp_path / "heard"
    configure(room, server, alert_command=listener(heard))
    server.plan(TO_NOBODY, Fault("RCPT", "550 5.7.1 go away", to=OWNER))
    for _ in range(2):
        room.run()
        assert heard.read_text() == f"{PROBLEM}\n"
    assert "1 mail may or may not have arrived" in (tmp_path / "heard.text").read_text()
    assert is_told(room)
    server.plan()
    room.run()
    assert report_states(room) == []
    settle(room)
    for _ in range(2):
        room.run()
        assert heard.read_text() == f"{PROBLEM}\n{WELL}\n"
    assert reports(server) == []


def test_a_report_that_waits_is_not_needed_once_a_command_took_it(
    room: Newsroom, server: MailServer, tmp_path: Path
) -> None:
    """Configured while the report is on its way, it is told at the next run, and mail is not."""
    server.plan(TO_NOBODY, Fault("RCPT", "451 4.3.0 later", to=OWNER))
    room.run()
    configure(room, server, alert_command=listener(tmp_path / "heard"))
    room.run()
    assert (tmp_path / "heard").read_text() == f"{PROBLEM}\n"
    assert report_states(room) == ["cancelled"]


def test_a_url_that_fails_first(room: Newsroom, server: MailServer, web: Server) -> None:
    """It is said, the run is none the worse for it, and the next one tries again."""
    configure(room, server, alert_url=web.url(f"/once/{SECRET}"))
    server.plan(TO_NOBODY, Fault("RCPT", "451 4.3.0 later", to=OWNER))
    first = room.run()
    assert "error: newsletter.alert_url: the server answered 500" in first.stderr
    assert SECRET not in first.stderr + first.stdout
    assert_one_line_each(first)
    assert not is_told_by(web, 1)
    second = room.run()
    assert (second.returncode, second.stderr) == (0, "")
    assert is_told_by(web, 2)
    third = room.run()
    assert is_told_by(web, 2)
    assert third.returncode == 0
    assert report_states(room) == ["cancelled"]


def is_told_by(web: Server, posts: int) -> bool:
    """Whether the last of so many requests was answered with success."""
    asked = [one for one in web.requests if one.method == "POST"]
    assert [one.headers["title"] for one in asked] == [PROBLEM] * posts
    return posts > 1


def test_mail_tells_what_a_url_does_not_take(
    room: Newsroom, server: MailServer, web: Server, tmp_path: Path
) -> None:
    """The mail says which setting failed; the problem counts as told."""
    configure(room, server, alert_url=web.url(f"/down/{SECRET}"))
    server.plan(TO_NOBODY)
    done = room.run()
    assert (done.returncode, summary(done)["notices"]) == (3, 1)  # 3 for Ana's mail
    again = room.run()
    assert (again.returncode, again.stderr) == (0, "")
    assert (reports(server), len(web.requests)) == ([PROBLEM], 1)


def test_a_password_that_is_gone_is_told_without_mail(
    room: Newsroom, server: MailServer, web: Server
) -> None:
    """No mail can say so, and the run ends before anything is attempted."""
    smtp = {"username": "papers", "password_file": "nowhere"}
    room.configure(
        server.port, newsletter={"alert_url": web.url(f"/topic/{SECRET}")}, smtp=smtp, sessions=1
    )
    assert room.run().returncode == 2
    assert web.requests == []  # it may pass
    with room.opened() as app, app.database.write() as tx:
        tx.exec_driver_sql("UPDATE installation SET stopped_at = '2026-01-01 00:00:00.000000'")
    for _ in range(2):
        assert room.run().returncode == 2
        (request,) = web.requests
        assert b"Sending has been stopped since 2026-01-01 00:00 UTC" in request.body
        assert b"password_file: cannot be read" in request.body


# The ping


def pings(web: Server) -> int:
    """How often the dead-man switch was told that all is well."""
    return web.paths().count(f"/ping/{SECRET}")


def ran(room: Newsroom, status: int) -> subprocess.CompletedProcess[str]:
    """A run that ends with this status."""
    done = room.run()
    assert done.returncode == status, done
    return done


def test_a_ping_after_healthy_runs_only(room: Newsroom, server: MailServer, web: Server) -> None:
    """Also when there was nothing to send; not after a run that was stopped, paused or failed."""
    configure(room, server, ping_url=web.url(f"/ping/{SECRET}"))
    server.plan(Fault("connect", "554 5.3.2 no", drop=True))
    ran(room, 3)
    assert pings(web) == 0
    server.plan()
    room.command("pause")
    ran(room, 0)
    assert pings(web) == 0
    room.command("continue")
    ran(room, 0)
    assert (pings(web), server.count()) == (1, 3)
    ran(room, 0)
    assert (pings(web), server.count()) == (2, 3)
    with room.opened() as app, app.database.write() as tx:
        tx.exec_driver_sql("UPDATE installation SET latest_at = '2100-01-01 00:00:00.000000'")
    ran(room, 3)
    assert pings(web) == 2


def test_a_ping_that_fails_is_said(room: Newsroom, server: MailServer, web: Server) -> None:
    """On one line that names the setting, and nothing else happens."""
    configure(room, server, ping_url=web.url(f"/down/{SECRET}"))
    done = ran(room, 0)
    assert done.stderr == (
        "error: newsletter.ping_url: the connection failed; check the server and the network\n"
    )
