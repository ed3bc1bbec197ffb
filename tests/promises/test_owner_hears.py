"""The owner is alerted to problems, and an alert counts only once it has arrived."""

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

NO_REPLY = Fault("dot", drop=True, to=ANA)
"""Ana's mail becomes unknown, which is a problem for the owner to decide."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A mail server that works until a test plans a fault."""
    with MailServer(tmp_path / "server") as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, server: MailServer) -> Newsroom:
    """A newsletter with papers and three subscribers, which sends one mail at a time."""
    made = Newsroom(tmp_path / "room", server.port, sessions=1)
    made.add_papers()
    made.subscribe([ANA, BEN, CLEO])
    return made


@pytest.fixture
def web() -> Iterator[Server]:
    """An HTTP server with an alert topic that fails once, and a page to ping."""
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
    """Returns the subjects of the mails to the owner."""
    return [one.subject for one in server.taken() if one.recipient == OWNER]


def report_states(room: Newsroom) -> list[str]:
    """Returns the state of each report that was queued."""
    return [row["state"] for row in room.deliveries() if row["edition"] == "report"]


def is_alerted(room: Newsroom) -> bool:
    """Returns whether the owner was alerted to the problem; `status` says so if not."""
    with room.opened() as app:
        assert app.alerts.current(app.clock())
    untold = rows_of(room.command("status", "--json"))[-1]["untold"]
    lines = room.command("status").stdout.splitlines()
    assert sum(line.startswith("not reported to the owner yet: ") for line in lines) == len(untold)
    return not untold


def configure(room: Newsroom, server: MailServer, **settings: Any) -> None:
    """Sets these values under [newsletter]."""
    room.configure(server.port, newsletter=settings, sessions=1)


def listener(file: Path) -> str:
    """Returns a command that appends its input to a file."""
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
def test_a_report_that_no_server_accepts_does_not_count(
    room: Newsroom, server: MailServer, say: str
) -> None:
    """It counts once the server is fixed, and there is only one report all the time."""
    server.plan(NO_REPLY, Fault("RCPT", say, to=OWNER))
    for _ in range(3):
        assert summary(room.run())["notices"] == 0
        assert len(report_states(room)) == 1
        assert not is_alerted(room)
    server.plan()
    if "5.1.1" not in say:
        room.command("deliveries", "retry", "--edition", "report")
    assert summary(room.run())["notices"] == 1
    assert reports(server) == [PROBLEM]
    assert is_alerted(room)
    room.run()
    assert (reports(server), report_states(room)) == ([PROBLEM], ["sent"])
    settle(room)
    room.run()
    room.run()
    assert reports(server) == [PROBLEM, WELL]


def test_a_waiting_report_is_replaced(room: Newsroom, server: MailServer) -> None:
    """If another problem appears, one report has both."""
    later = Fault("RCPT", "451 4.3.0 later", to=OWNER)
    server.plan(NO_REPLY, later)
    room.run()
    assert report_states(room) == ["deferred"]
    (room.folder / "captures" / "2026-10-20.json").write_text("<html>Sorry</html>")
    room.run()
    assert report_states(room) == ["cancelled", "deferred"]
    server.plan()
    room.command("deliveries", "retry", "--edition", "report", "--state", "deferred")
    room.run()
    assert reports(server) == ["Daily Papers: 2 things to look at"]


def test_a_report_that_is_no_longer_needed_is_cancelled(room: Newsroom, server: MailServer) -> None:
    """The owner gets no report of a problem that came and went while no mail could be sent."""
    server.plan(NO_REPLY, Fault("RCPT", "451 4.3.0 later", to=OWNER))
    room.run()
    settle(room)
    server.plan()
    room.run()
    room.run()
    assert (reports(server), report_states(room)) == ([], ["cancelled"])


# By a command or URL


def test_a_command_is_alerted_while_mail_is_broken(
    room: Newsroom, server: MailServer, tmp_path: Path
) -> None:
    """The same alert is not sent by mail, and the command also gets the all-clear."""
    heard = tmp_path / "heard"
    configure(room, server, alert_command=listener(heard))
    server.plan(NO_REPLY, Fault("RCPT", "550 5.7.1 go away", to=OWNER))
    for _ in range(2):
        room.run()
        assert heard.read_text() == f"{PROBLEM}\n"
    assert "1 mail may or may not have arrived" in (tmp_path / "heard.text").read_text()
    assert is_alerted(room)
    server.plan()
    room.run()
    assert report_states(room) == []
    settle(room)
    for _ in range(2):
        room.run()
        assert heard.read_text() == f"{PROBLEM}\n{WELL}\n"
    assert reports(server) == []


def test_a_waiting_report_is_cancelled_once_a_command_was_alerted(
    room: Newsroom, server: MailServer, tmp_path: Path
) -> None:
    """Configured while the report waits, the command is alerted by the next run, without mail."""
    server.plan(NO_REPLY, Fault("RCPT", "451 4.3.0 later", to=OWNER))
    room.run()
    configure(room, server, alert_command=listener(tmp_path / "heard"))
    room.run()
    assert (tmp_path / "heard").read_text() == f"{PROBLEM}\n"
    assert report_states(room) == ["cancelled"]


def test_an_alert_url_that_fails_first(room: Newsroom, server: MailServer, web: Server) -> None:
    """The failure is reported, the run is not affected, and the next one tries again."""
    configure(room, server, alert_url=web.url(f"/once/{SECRET}"))
    server.plan(NO_REPLY, Fault("RCPT", "451 4.3.0 later", to=OWNER))
    first = room.run()
    assert "error: newsletter.alert_url: the server answered 500" in first.stderr
    assert SECRET not in first.stderr + first.stdout
    assert_one_line_each(first)
    assert not was_accepted_by(web, 1)
    second = room.run()
    assert (second.returncode, second.stderr) == (0, "")
    assert was_accepted_by(web, 2)
    third = room.run()
    assert was_accepted_by(web, 2)
    assert third.returncode == 0
    assert report_states(room) == ["cancelled"]


def was_accepted_by(web: Server, posts: int) -> bool:
    """Returns whether the last of this many requests was answered with success."""
    asked = [one for one in web.requests if one.method == "POST"]
    assert [one.headers["title"] for one in asked] == [PROBLEM] * posts
    return posts > 1


def test_alerts_are_mailed_if_the_url_fails(
    room: Newsroom, server: MailServer, web: Server, tmp_path: Path
) -> None:
    """The mail names the failing setting, and the alert counts as sent."""
    configure(room, server, alert_url=web.url(f"/down/{SECRET}"))
    server.plan(NO_REPLY)
    done = room.run()
    assert (done.returncode, summary(done)["notices"]) == (3, 1)  # 3 for Ana's mail
    again = room.run()
    assert (again.returncode, again.stderr) == (0, "")
    assert (reports(server), len(web.requests)) == ([PROBLEM], 1)


def test_a_missing_password_is_reported_without_mail(
    room: Newsroom, server: MailServer, web: Server
) -> None:
    """No mail could be sent, and the run ends before anything is attempted."""
    smtp = {"username": "papers", "password_file": "nowhere"}
    room.configure(
        server.port, newsletter={"alert_url": web.url(f"/topic/{SECRET}")}, smtp=smtp, sessions=1
    )
    assert room.run().returncode == 2
    assert web.requests == []  # it may be temporary
    with room.opened() as app, app.database.write() as tx:
        tx.exec_driver_sql("UPDATE installation SET stopped_at = '2026-01-01 00:00:00.000000'")
    for _ in range(2):
        assert room.run().returncode == 2
        (request,) = web.requests
        assert b"Sending has been stopped since 2026-01-01 00:00 UTC" in request.body
        assert b"password_file: cannot be read" in request.body


# The ping


def pings(web: Server) -> int:
    """Returns the number of pings to the dead man's switch."""
    return web.paths().count(f"/ping/{SECRET}")


def ran(room: Newsroom, status: int) -> subprocess.CompletedProcess[str]:
    """Runs the job, which must exit with this status."""
    done = room.run()
    assert done.returncode == status, done
    return done


def test_only_healthy_runs_ping(room: Newsroom, server: MailServer, web: Server) -> None:
    """Runs with nothing to send also ping, but not runs that were stopped, paused or failed."""
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


def test_a_failing_ping_is_reported(room: Newsroom, server: MailServer, web: Server) -> None:
    """One line names the setting, and there is no other effect."""
    configure(room, server, ping_url=web.url(f"/down/{SECRET}"))
    done = ran(room, 0)
    assert done.stderr == (
        "error: newsletter.ping_url: the connection failed; check the server and the network\n"
    )
