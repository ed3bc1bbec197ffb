"""Senders that die or stop: kill -9, power loss, a full disk, a locked database, signals.

After every death the job is run again until nothing waits. Then each subscriber was served once:
those that no mail reached are listed as `unknown`, at most one for each session of a sender that
died, and no subscriber got two.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.commands import assert_one_line_each
from tests.support.disks import fill, small_disk
from tests.support.newsroom import Newsroom, summary
from tests.support.sending import (
    PEOPLE,
    Process,
    assert_served,
    copied,
    finish,
    kill,
    states,
    wait_a_while,
)
from tests.support.smtp_process import Fault, MailServer
from tests.support.soak import SOAK

KILLS = 1_000 if SOAK else 20
KILLS_A_ROUND = 10
CUTS = 100 if SOAK else 4


@pytest.fixture(scope="module")
def usual(template: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds from the start of a run to its first mail."""
    folder = tmp_path_factory.mktemp("usual")
    with MailServer(folder / "server") as server:
        room = copied(template, folder / "room", server)
        begun = time.monotonic()
        run = room.start()
        assert server.wait_until(lambda one: one.count() > 0, run)
        took = time.monotonic() - begun
        assert finish(run).returncode == 0
        assert assert_served(room, server, 0) == 0
    return took


@pytest.mark.timeout(4 * 3600)
def test_kill_9_at_random_instants(template: Path, usual: float, tmp_path: Path) -> None:
    """However often it is killed, no subscriber is missed or gets a mail twice."""
    dice = random.Random(20261121)
    died = sending = 0
    for round_ in range(KILLS // KILLS_A_ROUND):
        folder, sessions = tmp_path / str(round_), dice.randint(4, 16)
        with MailServer(tmp_path / f"server{round_}") as server:
            room = copied(template, folder, server, sessions=sessions)
            doubtful = 0
            for number in range(KILLS_A_ROUND):
                run = room.start()
                # During ingest and planning, then while it sends.
                wait_a_while(server, run, dice, within=usual if number < 3 else None)
                died += kill(run)
                left = states(room)
                before, doubtful = doubtful, left["sending"] + left["unknown"]
                assert before <= doubtful <= before + sessions
                sending += doubtful > before
            assert assert_served(room, server, doubtful) == doubtful
        shutil.rmtree(folder)
    assert died >= KILLS * 3 // 4  # otherwise this tests nothing
    assert sending >= KILLS // 3


@pytest.mark.timeout(3600)
def test_kill_9_if_unknown_mails_are_sent_again(
    template: Path, usual: float, tmp_path: Path
) -> None:
    """No subscriber is missed; a mail that arrives twice has the same Message-ID."""
    dice = random.Random(8)
    for round_ in range(max(1, KILLS // 100)):
        with MailServer(tmp_path / f"server{round_}") as server:
            room = copied(template, tmp_path / str(round_), server, sessions=8, unknown="resend")
            for _ in range(3):
                run = room.start()
                wait_a_while(server, run, dice)
                assert kill(run)
            last = summary(room.run())
            assert (last["unknown"], last["queued"]) == (0, 0)
            assert states(room) == {"sent": len(PEOPLE)}
            taken = server.taken()
            assert {one.recipient for one in taken} == set(PEOPLE)
            assert len({(one.recipient, one.message_id) for one in taken}) == len(PEOPLE)
            assert len(taken) <= len(PEOPLE) + 3 * 8


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("together", [2, 3])
def test_several_runs_at_once_some_of_them_killed(
    template: Path, usual: float, tmp_path: Path, together: int
) -> None:
    """Overlapping runs that die: a mail claimed by one is sent by no other."""
    dice = random.Random(together)
    died = 0
    for round_ in range(max(1, KILLS // 100)):
        with MailServer(tmp_path / f"server{round_}") as server:
            room = copied(template, tmp_path / str(round_), server, sessions=4)
            here = 0
            for early in (usual, None, None):
                runs = [room.start() for _ in range(together)]
                wait_a_while(server, runs[0], dice, within=early)
                here += sum([kill(run) for run in runs[1:]])
                wait_a_while(server, runs[0], dice)
                here += kill(runs[0])
            assert_served(room, server, 4 * here)
            died += here
    assert died


def test_concurrent_runs_share_the_work(template: Path, tmp_path: Path) -> None:
    """Three that start together send each mail once, and nothing is unknown."""
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server)
        done = [finish(run) for run in [room.start() for _ in range(3)]]
        assert [one.returncode for one in done] == [0, 0, 0], done
        assert sum(summary(one)["sent"] for one in done) == len(PEOPLE)
        assert sum(summary(one)["planned"] for one in done) == len(PEOPLE)
        assert summary(room.run())["sent"] == 0
        assert assert_served(room, server, 0) == 0


def stop_between_writes(run: Process, room: Newsroom) -> None:
    """Stops the process while it has claimed mails and does not lock the database."""
    for _ in range(1_000):
        run.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with closing(sqlite3.connect(room.database, timeout=0, isolation_level=None)) as probe:
            try:
                probe.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                pass
            else:
                probe.execute("ROLLBACK")
                if states(room)["sending"]:
                    return
        run.send_signal(signal.SIGCONT)
    pytest.fail("it never has anything in hand")


def test_a_stopped_sender_is_not_dead(template: Path, tmp_path: Path) -> None:
    """A stopped process keeps its claims, and continues with them later."""
    with MailServer(tmp_path / "server", Fault("dot", stall=0.02)) as server:
        room = copied(template, tmp_path / "room", server)
        run = room.start()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        stop_between_writes(run, room)
        try:
            in_hand = states(room)["sending"]
            server.plan()
            other = room.run()
            assert (other.returncode, summary(other)["unknown"]) == (0, 0)
            assert states(room) == {"sending": in_hand, "sent": len(PEOPLE) - in_hand}
        finally:
            run.send_signal(signal.SIGCONT)
        assert finish(run).returncode == 0
        assert assert_served(room, server, 0) == 0


# Power


_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_AT_ONCE = struct.pack("=I", 2)  # nothing more is written to the disk, not even the journal


class PowerDisk:
    """A file system on its own disk that can lose power.

    What was written and not yet flushed is lost then.
    """

    def __init__(self, folder: Path) -> None:
        self._image = folder / "image"
        self.folder = folder / "disk"
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(64 << 20)
        _as_root("mkfs.ext4", "-q", "-F", str(self._image))
        self.plug_in()

    def plug_in(self) -> None:
        """Turns the power on."""
        # No background writes: only flushed data gets onto the disk.
        _as_root("mount", "-o", "loop,commit=300", str(self._image), str(self.folder))

    def cut(self) -> None:
        """Cuts the power."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _AT_ONCE)
        finally:
            os.close(descriptor)

    def unplug(self) -> None:
        """Unmounts the file system."""
        _as_root("umount", str(self.folder))


def _as_root(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError as error:
        said = str(error)
    if said:
        said = f"cannot make a disk here: {said}"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)


@contextmanager
def power_disk(folder: Path) -> Iterator[PowerDisk]:
    """A disk that is removed at the end."""
    folder.mkdir()
    disk = PowerDisk(folder)
    try:
        yield disk
    finally:
        disk.unplug()


@contextmanager
def threads_stopped(run: Process) -> Iterator[None]:
    """Stops all threads of the process, so that no write is half done or acknowledged.

    When such a disk loses power during a flush, Linux now and then acknowledges the flush although
    the data is lost (in 12 of 150 cuts during a loop of `pwrite` and `fdatasync`). With real power,
    no process is left to see the acknowledgement.
    """
    run.send_signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{run.pid}/task")
    ends = time.monotonic() + 60
    while run.poll() is None and any(not _stands(task) for task in tasks.glob("*/stat")):
        assert time.monotonic() < ends
        time.sleep(0.001)
    try:
        yield
    finally:
        run.send_signal(signal.SIGCONT)


def _stands(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] in "TtZX"
    except OSError:
        return True  # it has ended


@pytest.mark.timeout(3600)
def test_power_loss(template: Path, usual: float, tmp_path: Path) -> None:
    """Only flushed data is left: no mail is sent before its claim is flushed.

    The sender lives a little longer than its disk, which is worse, because it could still send.
    """
    dice = random.Random(7)
    cut = 0
    for round_ in range(CUTS // 2):
        with (
            power_disk(tmp_path / str(round_)) as disk,
            MailServer(tmp_path / f"server{round_}") as server,
        ):
            shutil.copy(template / "papers.db", disk.folder)
            os.sync()
            room = copied(
                template, disk.folder.parent, server, database="disk/papers.db", sessions=8
            )
            for early in (usual, None):
                run = room.start()
                cut += wait_a_while(server, run, dice, within=early)
                with threads_stopped(run):
                    disk.cut()
                assert finish(run).returncode in (0, 3)
                disk.unplug()
                disk.plug_in()
            assert_served(room, server, 8 * 2)
    assert cut >= CUTS // 2  # otherwise this tests nothing


# A full disk


def test_a_disk_that_fills_up_while_sending(template: Path, tmp_path: Path) -> None:
    """The run ends with the reason and sends nothing more; with room again the rest is sent."""
    with (
        small_disk(tmp_path / "disk", kilobytes=8_192) as disk,
        MailServer(tmp_path / "server") as server,
    ):
        room = copied(template, tmp_path, server, database="disk/papers.db", sessions=4)
        run = room.start()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        fill(disk)
        before = server.count()
        full = finish(run)
        assert full.returncode == 3
        assert_one_line_each(full)
        assert "room" in summary(full)["stopped"]
        # Some were claimed before the disk was full.
        assert server.count() <= before + 4
        (disk / "filler").unlink()
        assert room.silence().startswith("held: ")
        assert_served(room, server, 4)


def test_a_full_disk_sends_nothing(template: Path, tmp_path: Path) -> None:
    """If no claim can be written, no mail is sent."""
    with (
        small_disk(tmp_path / "disk", kilobytes=8_192) as disk,
        MailServer(tmp_path / "server") as server,
    ):
        room = copied(template, tmp_path, server, database="disk/papers.db")
        fill(disk)
        full = room.run()
        assert full.returncode == 3
        assert_one_line_each(full)
        assert server.count() == 0
        (disk / "filler").unlink()
        assert assert_served(room, server, 0) == 0


# A locked database


@contextmanager
def locked(room: Newsroom) -> Iterator[None]:
    """Another connection holds a write transaction during the context."""
    with closing(sqlite3.connect(room.database, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_lock_is_waited_for(template: Path, tmp_path: Path) -> None:
    """While another process writes, nothing is sent; then the run continues normally."""
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server)
        run = room.start()
        assert server.wait_until(lambda one: one.count() > 0, run)
        begun = time.monotonic()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        took = time.monotonic() - begun
        with locked(room):
            now = states(room)
            claimed = now["sent"] + now["sending"]
            assert server.wait_until(lambda one: one.count() >= claimed, run)
            time.sleep(took)  # without the lock, it would send about as many again in this time
            assert server.count() == claimed < len(PEOPLE)
            assert states(room) == now
        done = finish(run)
        assert (done.returncode, summary(done)["sent"]) == (0, len(PEOPLE)), done
        assert assert_served(room, server, 0) == 0


def test_a_lock_that_stays(template: Path, tmp_path: Path) -> None:
    """It is reported as the reason, nothing is sent, and the next run sends everything."""
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server)
        assert room.command("ingest").returncode == 0
        room.configure(server.port, sources=False)
        with locked(room):
            done = room.run()
        assert done.returncode == 3
        assert_one_line_each(done)
        assert "locked" in done.stdout
        assert server.count() == 0
        assert assert_served(room, server, 0) == 0


@pytest.mark.soak  # it takes as long as a sender waits for a lock
def test_a_lock_that_stays_while_sending(template: Path, tmp_path: Path) -> None:
    """The run gives up after a while with the reason; until then it sends only claimed mails."""
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server)
        run = room.start()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        with locked(room):
            now = states(room)
            done = finish(run)
        assert done.returncode == 3
        assert "locked" in summary(done)["stopped"]
        assert server.count() == now["sent"] + now["sending"]
        assert_served(room, server, 4)


# Signals


SIGNALS = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)


@SIGNALS
def test_a_signal_ends_a_run_between_two_mails(
    template: Path, tmp_path: Path, number: int, status: int
) -> None:
    """Mails being sent are finished, nothing is unknown, and the summary is printed."""
    with MailServer(tmp_path / "server", Fault("dot", stall=0.02)) as server:
        room = copied(template, tmp_path / "room", server)
        run = room.start()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        run.send_signal(number)
        done = finish(run)
        assert done.returncode == status
        said = summary(done)
        assert 40 <= said["sent"] == server.count() < len(PEOPLE)
        assert (said["unknown"], said["queued"]) == (0, len(PEOPLE) - said["sent"])
        assert states(room) == {"sent": said["sent"], "queued": said["queued"]}
        server.plan()
        assert assert_served(room, server, 0) == 0


@SIGNALS
def test_a_signal_while_the_server_says_nothing(
    template: Path, tmp_path: Path, number: int, status: int
) -> None:
    """A server that stalls cannot block the run: mails without a reply are unknown."""
    silence = [Fault(at, stall=3_600) for at in ("dot", "connect")]
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server)
        run = room.start()
        assert server.wait_until(lambda one: one.count() >= 40, run)
        server.plan(*silence)
        assert server.wait_until(lambda one: one.reached("stall") == 4, run)
        run.send_signal(number)
        done = finish(run)  # it does not wait as long as the server is silent
        assert done.returncode == status
        said = summary(done)
        assert said["unknown"] == 4
        assert said["sent"] + said["unknown"] + said["queued"] == len(PEOPLE)
        server.plan()
        assert assert_served(room, server, 4) == 4


def test_a_signal_during_ingest(template: Path, tmp_path: Path) -> None:
    """Before anything is sent the run ends at once, with a summary."""
    with (
        MailServer(tmp_path / "server") as server,
        closing(socket.create_server(("127.0.0.1", 0))) as page,
    ):
        room = copied(template, tmp_path / "room", server)
        config = room.folder / "config.toml"
        address = f"http://127.0.0.1:{page.getsockname()[1]}/papers.json"
        source = f'[[sources]]\nname = "slow"\nurl = "{address}"\nallow_private = true\n'
        config.write_text(config.read_text() + source)
        run = room.start()
        connection, _ = page.accept()  # and the page never answers
        with connection:
            begun = time.monotonic()
            run.send_signal(signal.SIGTERM)
            done = finish(run)
        assert time.monotonic() - begun < 10
        assert done.returncode == 143
        assert summary(done)["sent"] == 0
        assert server.count() == 0
        room.configure(server.port)
        assert assert_served(room, server, 0) == 0


def test_a_signal_at_any_instant(template: Path, usual: float, tmp_path: Path) -> None:
    """Whenever it arrives, nothing fails and nothing is unknown."""
    dice = random.Random(3)
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server)
        ends: list[int] = []
        for number in range(200 if SOAK else 3):
            run = room.start()
            # First while it sends, then while it starts, ingests, plans and sends.
            wait_a_while(server, run, dice, within=1.2 * usual if number else None)
            run.send_signal(signal.SIGTERM)
            ends.append(finish(run).returncode)
        assert ends[0] == 143
        assert set(ends) <= {0, 143, -signal.SIGTERM}
        assert_served(room, server, 0)
