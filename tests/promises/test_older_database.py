"""Databases that are missing, or older than the mail sent from them: nothing is sent twice.

An older copy is put back as an operator would do it, by copying the file. The mail server counts
the messages that it accepts.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from newsletter.storage.database import Database
from tests.support.commands import rows_of
from tests.support.newsroom import Newsroom, summary
from tests.support.sending import PEOPLE, copied, finish, kill, states
from tests.support.smtp_process import Fault, MailServer
from tests.support.web_room import Command, Postbox, WebRoom, waited

FEW = [f"reader{number}@harbour.example" for number in range(6)]
OWNER = "owner@papers.example"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A server that accepts everything and counts it."""
    with MailServer(tmp_path / "server") as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, server: MailServer) -> Newsroom:
    """A newsletter with subscribers, and papers that were captured and not sent."""
    made = Newsroom(tmp_path / "room", server.port)
    made.subscribe(FEW)
    made.add_papers()
    assert made.command("ingest").returncode == 0
    return made


def copy_of(room: Newsroom) -> Path:
    """Copies the database as it is now, possibly while it is in use."""
    copy = room.folder / "copy.db"
    assert room.command("backup", str(copy)).returncode == 0
    return copy


def remove(room: Newsroom, *, counter: bool = True) -> None:
    """Removes the database and the files beside it, with its counter if `counter`."""
    for file in room.database.parent.glob(f"{room.database.name}*"):
        if counter or not file.name.endswith(".generation"):
            file.unlink()


def put_back(room: Newsroom, copy: Path) -> None:
    """Puts the copy in the database's place; the counter beside it stays."""
    remove(room, counter=False)
    shutil.copy(copy, room.database)


def idle_reason(room: Newsroom) -> str:
    """Returns the last line of `status`."""
    return str(rows_of(room.command("status", "--json"))[-1]["silence"])


def counters(room: Newsroom) -> tuple[int, int]:
    """Returns the counter in the database and the one in the file."""
    with closing(sqlite3.connect(room.database)) as database:
        (known,) = database.execute("SELECT generation FROM installation").fetchone()
    return int(known), int(beside(room).read_text())


def beside(room: Newsroom) -> Path:
    """Returns the path of the counter's file."""
    return room.database.with_name(f"{room.database.name}.generation")


def arrived(server: MailServer) -> Counter[str]:
    """Returns the number of messages that each subscriber received."""
    found = server.recipients()
    found.pop(OWNER, None)
    return found


def release_all(room: Newsroom) -> None:
    """Releases everything that is held."""
    for row in rows_of(room.command("snapshots", "list", "--state", "held", "--json")):
        assert room.command("snapshots", "release", str(row["snapshot"])).returncode == 0


# --- a missing database


@pytest.mark.parametrize("left", ["nothing", "empty file", "no folder"])
@pytest.mark.parametrize("command", ["run", "serve", "web"])
def test_a_missing_database_is_reported(room: Newsroom, command: str, left: str) -> None:
    """The error says what, where and what to do; no database is created, and the run fails."""
    remove(room)
    if left == "empty file":
        room.database.touch()
    if left == "no folder":
        room.database = room.folder / "volume" / "papers.db"
        room.configure(1)
    done = room.command(command)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()[-1:]
    for word in (str(room.database), "newsletter ingest", "newsletter restore FILE", "mount"):
        assert word in line
    assert not room.database.exists() or room.database.stat().st_size == 0 or left == "empty file"
    assert left != "nothing" or not list(room.folder.glob("papers.db*"))
    assert room.command(command).returncode == 3


@pytest.mark.parametrize("command", ["pause", "continue", "status", "send-test a@b.example"])
def test_other_commands_create_no_database(room: Newsroom, command: str) -> None:
    """A new database would hide that the old one is missing."""
    remove(room)
    room.command(*command.split())
    assert not list(room.folder.glob("papers.db*"))


@pytest.mark.parametrize("command", ["ingest", "subscribers add eve@harbour.example", "init"])
def test_these_commands_create_a_database(tmp_path: Path, server: MailServer, command: str) -> None:
    """`run` works after any of them."""
    room = Newsroom(tmp_path / "room", server.port, database="newsletter.db")
    if command == "init":
        (room.folder / "config.toml").unlink()
    assert room.command(*command.split()).returncode == 0
    assert room.database.is_file()
    if command == "init":
        room.configure(server.port)
    assert room.run().returncode == 0


# --- an older copy


def test_an_older_copy_sends_nothing_until_the_operator_decides(
    room: Newsroom, server: MailServer
) -> None:
    """After that, mail that may have been sent is unknown, and new papers are sent."""
    copy = copy_of(room)
    assert summary(room.run())["sent"] == len(FEW)
    put_back(room, copy)
    for _ in range(2):
        done = room.run()
        assert (done.returncode, summary(done)["sent"], summary(done)["planned"]) == (3, 0, 0)
        assert "this database is older than the mail that was sent" in summary(done)["stopped"]
        assert "newsletter restored" in summary(done)["stopped"]
    assert room.deliveries() == []
    assert idle_reason(room).startswith("held: this database is older than ")
    assert "newsletter restored" in idle_reason(room)
    assert room.command("send-test", OWNER).returncode == 3

    (row,) = rows_of(room.command("restored", "--json"))
    assert (row["unknown"], row["merged"]) == (len(FEW), False)
    assert Path(row["kept"]).is_file()
    assert set(room.states().values()) == {"unknown"}
    assert not idle_reason(room).startswith("held: this database")
    room.add_papers()
    assert summary(room.run())["sent"] == 0
    release_all(room)
    assert summary(room.run())["sent"] == len(FEW)
    assert arrived(server) == dict.fromkeys(FEW, 2), "two editions, each once"


def test_restored_nothing_sent_accepts_the_copy(room: Newsroom, server: MailServer) -> None:
    """The copy is accepted as it is, and mail that waits in it is sent."""
    copy = copy_of(room)
    assert summary(room.run())["sent"] == len(FEW)
    put_back(room, copy)
    done = room.command("restored", "--nothing-sent")
    assert done.returncode == 0, done.stderr
    assert summary(room.run())["sent"] == len(FEW)
    assert set(arrived(server).values()) == {2}
    known, noted = counters(room)
    assert known == noted


@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", ["killed", "finished"])
def test_a_copy_made_during_a_run(template: Path, tmp_path: Path, end: str) -> None:
    """However the run ended, the copy is recognised, and no subscriber gets anything twice."""
    with MailServer(tmp_path / "server", Fault("dot", stall=0.02)) as server:
        room = copied(template, tmp_path / "room", server)
        run = room.start()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        copy = copy_of(room)
        had = server.count()
        assert server.wait_until(lambda one: one.count() >= had + 10, run), "ended too early"
        if end == "killed":
            assert kill(run)
        else:
            server.plan()
            assert finish(run).returncode == 0
        sent = arrived(server)
        put_back(room, copy)
        assert (room.run().returncode, arrived(server)) == (3, sent)
        assert room.command("restored").returncode == 0
        release_all(room)
        room.run()
        release_all(room)
        room.run()
        assert arrived(server) == sent
        assert states(room)["unknown"] >= len(PEOPLE) - had - 4


def test_a_death_between_the_two_counters(room: Newsroom, server: MailServer) -> None:
    """Nothing was sent, so the next run continues without help."""
    assert summary(room.run())["sent"] == len(FEW)
    code = (
        "import os, signal, sys; from newsletter.storage import generations;"
        "from newsletter.storage.database import Database;"
        "database = Database(f'sqlite:///{sys.argv[1]}')\n"
        "with database.write() as tx: generations.raised(tx)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(room.database)], check=False)
    assert died.returncode == -signal.SIGKILL
    known, noted = counters(room)
    assert known == noted + 1
    room.add_papers()
    assert summary(room.run())["sent"] == len(FEW)
    assert arrived(server) == dict.fromkeys(FEW, 2)
    known, noted = counters(room)
    assert known == noted


def test_concurrent_runs_leave_the_counters_equal(template: Path, tmp_path: Path) -> None:
    """The slower of two writers does not lower the other's number."""
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server)
        assert [finish(run).returncode for run in [room.start(), room.start()]] == [0, 0]
        assert arrived(server) == dict.fromkeys(PEOPLE, 1)
        known, noted = counters(room)
        assert known == noted > len(PEOPLE) / 16


def test_a_database_moved_without_its_counter(room: Newsroom, server: MailServer) -> None:
    """It is accepted, and gets a counter file that only its owner can read."""
    assert summary(room.run())["sent"] == len(FEW)
    beside(room).unlink()
    room.add_papers()
    assert summary(room.run())["sent"] == len(FEW)
    assert beside(room).stat().st_mode & 0o777 == 0o600
    known, noted = counters(room)
    assert known == noted > 0


@pytest.mark.parametrize("what", ["damaged", "no file"])
def test_a_counter_that_cannot_be_read_stops_sending(
    room: Newsroom, server: MailServer, what: str
) -> None:
    """The file is named; nothing is sent until it is repaired."""
    beside(room).unlink(missing_ok=True)
    beside(room).write_text("12") if what == "damaged" else beside(room).mkdir()
    done = room.run()
    assert (done.returncode, summary(done)["sent"], server.count()) == (3, 0, 0)
    assert f"{beside(room)}: the sending counter" in summary(done)["stopped"]
    assert idle_reason(room).startswith("held: ")
    assert str(beside(room)) in idle_reason(room)
    if what == "damaged":
        assert room.command("restored", "--nothing-sent").returncode == 0
    else:
        beside(room).rmdir()
    assert summary(room.run())["sent"] == len(FEW)


def test_a_counter_that_becomes_read_only(template: Path, tmp_path: Path) -> None:
    """The run stops; claimed mail that was not sent waits, and is not unknown."""
    with MailServer(tmp_path / "server", Fault("dot", stall=0.02)) as server:
        room = copied(template, tmp_path / "room", server)
        run = room.start()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        beside(room).unlink()
        beside(room).mkdir()
        done = finish(run)
        assert done.returncode == 3
        assert str(beside(room)) in summary(done)["stopped"]
        assert states(room).keys() == {"sent", "deferred", "queued"}
        assert states(room)["sent"] == server.count() < len(PEOPLE)
        beside(room).rmdir()
        server.plan()
        room.run()
        assert max(arrived(server).values()) == 1


def test_an_empty_database_in_place_of_a_lost_one(room: Newsroom, server: MailServer) -> None:
    """The old counter shows it, until the operator decides."""
    assert summary(room.run())["sent"] == len(FEW)
    remove(room, counter=False)
    assert room.command("ingest").returncode == 0
    room.subscribe(FEW)
    assert room.run().returncode == 3
    assert set(arrived(server).values()) == {1}
    assert room.command("restored").returncode == 0
    room.run()
    assert set(arrived(server).values()) == {1}


def test_restore_leaves_both_counters_equal(room: Newsroom, server: MailServer) -> None:
    """This holds even if the replaced database was itself an older copy, which is not used."""
    backup = copy_of(room)
    older = shutil.copy(backup, room.folder / "older.db")
    assert summary(room.run())["sent"] == len(FEW)
    put_back(room, Path(older))
    (row,) = rows_of(room.command("restore", str(backup), "--json"))
    assert (row["merged"], row["unknown"]) == (False, len(FEW))
    known, noted = counters(room)
    assert known == noted > 0
    done = room.run()
    assert summary(done)["stopped"] is None
    assert set(arrived(server).values()) == {1}


def test_restored_is_refused_while_the_database_is_in_use(room: Newsroom) -> None:
    """Like `restore`: the other process would continue with its old data."""
    with Database(f"sqlite:///{room.database}"):
        for option in ([], ["--nothing-sent"]):
            done = room.command("restored", *option)
            assert done.returncode == 3
            assert "in use" in done.stderr


def test_restored_if_the_counter_shows_nothing(room: Newsroom, server: MailServer) -> None:
    """The whole machine was rolled back; an earlier pause stays."""
    assert room.command("pause").returncode == 0
    (row,) = rows_of(room.command("restored", "--json"))
    assert row["unknown"] == len(FEW)
    assert idle_reason(room).startswith("paused: ")
    assert room.command("continue").returncode == 0
    assert summary(room.run())["sent"] == 0
    assert not arrived(server)


@pytest.mark.parametrize("command", ["serve", "web"])
def test_the_service_reports_it_and_keeps_running(tmp_path: Path, command: Command) -> None:
    """`/readyz` and the log have the reason, `/healthz` is fine, and the pages work."""
    with Postbox(tmp_path) as box:
        room = WebRoom(tmp_path, box.port)
        room.subscribe(FEW)
        room.add_papers()
        copy = copy_of(room)
        assert summary(room.run())["sent"] == len(FEW)
        put_back(room, copy)
        process = room.start_process(command)
        try:
            reason = waited(lambda: answer(room, "/readyz")[1], lambda: room.log)
            assert "this database is older than" in reason
            assert answer(room, "/healthz") == (200, "ok\n")
            if command == "serve":
                waited(lambda: "sending is waiting" in room.log, lambda: room.log)
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(30)
        assert status == 0
        assert set(arrived(box).values()) == {1}


def answer(room: WebRoom, path: str) -> tuple[int, str]:
    """Returns the service's answer, or nothing while it does not answer yet."""
    try:
        with urllib.request.urlopen(f"{room.base}{path}", timeout=10) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
