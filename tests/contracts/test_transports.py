"""The contract of every transport: what arrives is what was sent, once, or an outcome says why."""

from __future__ import annotations

import email
import itertools
import mailbox
import os
import re
import resource
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.transports.base import OutgoingMessage, Session, SessionFailed, Settings, Transport
from newsletter.transports.replies import Reply, ReplyKind
from newsletter.transports.table import TRANSPORTS
from newsletter.transports.wire import SmtpSettings
from tests.support.disks import fill, make_read_only, small_disk
from tests.support.smtp_server import Options, Server

MESSAGE = (
    b"Subject: =?utf-8?q?L=C3=A4mps?=\r\nMessage-ID: <k.1.t@a.example>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="cut"\r\n\r\n--cut\r\n'
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b".\r\n..\r\nFrom here L\xc3\xa4mps\r\n.QUIT\r\n\r\n"
    b"--cut\r\nContent-Type: text/html\r\n\r\n<p>Lamps</p>\r\n.\r\n--cut--\r\n"
)
LARGE = MESSAGE + b"." * 60 + b"\r\n" + (b"x" * 76 + b"\r\n") * 1000


@dataclass(frozen=True)
class Place:
    """A transport, and the place where its mail arrives."""

    transport: Transport
    take: Callable[[], list[bytes]]
    """What has arrived since it was last asked, in any order, and as it was before `encoded`."""

    def message(self, name: str, data: bytes, cuts: Sequence[int] = ()) -> OutgoingMessage:
        """A letter of that message, cut at these places."""
        encoded = self.transport.encoded(data)
        bounds = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
        pieces = [encoded[start:end] for start, end in itertools.pairwise(bounds)]
        return OutgoingMessage(name, "bounce+k@papers.example", "ana@example.net", pieces)

    @contextmanager
    def open(self) -> Iterator[Session]:
        """A session, open."""
        session = self.transport.session()
        session.open()
        with closing(session):
            yield session


@contextmanager
def smtp(folder: Path) -> Iterator[Place]:
    """A server of our own on this machine."""
    with closing(Server(Options())) as server:

        def take() -> list[bytes]:
            taken, server.received = server.received, []
            return [message.content for message in taken]

        settings = SmtpSettings("127.0.0.1", server.port, "none", local_hostname="client.example")
        yield Place(TRANSPORTS["smtp"](Settings(smtp=settings)), take)


@contextmanager
def eml(folder: Path) -> Iterator[Place]:
    """A folder of files."""
    transport = TRANSPORTS["eml"](Settings(folder=folder))
    yield Place(transport, lambda: [taken(path) for path in visible(folder)])


@contextmanager
def maildir(folder: Path) -> Iterator[Place]:
    """A maildir, as the standard library reads it."""
    transport = TRANSPORTS["maildir"](Settings(folder=folder))

    def take() -> list[bytes]:
        if not folder.exists():
            return []
        box = mailbox.Maildir(folder, create=False)
        found = [box.get_bytes(key).replace(b"\n", b"\r\n") for key in box.keys()]  # noqa: SIM118
        box.clear()
        return found

    yield Place(transport, take)


@contextmanager
def null(folder: Path) -> Iterator[Place]:
    """Nowhere."""
    yield Place(TRANSPORTS["null"](Settings()), list)


PLACES: Mapping[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "smtp": smtp,
    "eml": eml,
    "maildir": maildir,
    "null": null,
}
KEEPING = ["smtp", "eml", "maildir"]
FILING = ["eml", "maildir"]

everywhere = pytest.mark.parametrize("place", list(PLACES), indirect=True)
where_mail_is_kept = pytest.mark.parametrize("place", KEEPING, indirect=True)
where_files_are = pytest.mark.parametrize("kind", FILING)


def visible(folder: Path) -> list[Path]:
    """The files that count as delivered, in a folder or a maildir."""
    return sorted([*folder.glob("*.eml"), *folder.glob("new/*"), *folder.glob("cur/*")])


def files_in(folder: Path) -> list[Path]:
    """Every file below, whatever it counts as."""
    return [path for path in folder.rglob("*") if not path.is_dir()]


def taken(path: Path) -> bytes:
    """What was in a file that is gone now."""
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place of the kind that is asked for."""
    with PLACES[request.param](tmp_path / "mail") as made:
        yield made


@pytest.fixture(scope="module", params=KEEPING)
def lasting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Place, Session]]:
    """A place and a session that many examples share."""
    with PLACES[request.param](tmp_path_factory.mktemp("lasting")) as made, made.open() as session:
        yield made, session


def sent(reply: Reply) -> bool:
    """Whether it was taken."""
    return reply.kind is ReplyKind.SENT and reply.stage == "dot"


def test_every_transport_is_tested() -> None:
    """A new transport is tested by having a place in `PLACES`."""
    assert set(PLACES) == set(TRANSPORTS)


@pytest.mark.parametrize("name", ["smtp", "eml", "maildir"])
def test_a_transport_without_its_settings_is_not_made(name: str) -> None:
    """There is no server and no folder by default."""
    with pytest.raises(ValueError, match="needs"):
        TRANSPORTS[name](Settings())


# What arrives

LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b".QUIT", b". ", b"...x", b"From here", b">From"])
    | st.binary(max_size=60).map(lambda data: re.sub(rb"[\r\n]", b".", data)),
    min_size=1,
)
NUMBERS = itertools.count()


@given(lines=LINES, cuts=st.lists(st.integers(0, 200), max_size=5))
def test_what_arrives_is_what_was_sent(
    lasting: tuple[Place, Session], lines: list[bytes], cuts: list[int]
) -> None:
    """Byte for byte, whatever the lines are and wherever the message is cut."""
    place, session = lasting
    data = b"".join(line + b"\r\n" for line in lines)
    assert sent(session.send(place.message(f"k.{next(NUMBERS)}", data, cuts)))
    assert place.take() == [data]


@where_mail_is_kept
def test_a_message_of_parts_arrives(place: Place) -> None:
    """With leading dots, other scripts and lines that begin with “From”, cut anywhere."""
    with place.open() as session:
        for cut in range(0, len(MESSAGE), 29):
            assert sent(session.send(place.message(f"k.{cut}", MESSAGE, [cut, cut + 1])))
            assert place.take() == [MESSAGE]


@where_mail_is_kept
def test_many_messages_go_through_one_session(place: Place) -> None:
    """Pieces that they share arrive with each of them."""
    with place.open() as session:
        shared = place.message("", LARGE).pieces
        for number in range(50):
            own = place.message(f"k.{number}", b"X-Number: %d\r\n" % number)
            message = OutgoingMessage(own.name, own.sender, own.recipient, [*own.pieces, *shared])
            assert sent(session.send(message))
        assert session.is_open
    assert Counter(place.take()) == Counter(b"X-Number: %d\r\n" % n + LARGE for n in range(50))


@where_mail_is_kept
def test_sessions_work_in_threads_at_once(place: Place) -> None:
    """Each has its own, and all that they say was sent has arrived."""
    replies: list[Reply] = []
    together = threading.Barrier(4)

    def work(first: int) -> None:
        with place.open() as session:
            together.wait(30)
            for number in range(first, 100, 4):
                message = place.message(f"k.{number}", b"X-Number: %d\r\n" % number + MESSAGE)
                replies.append(session.send(message))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sent(reply) for reply in replies] == [True] * 100
    assert Counter(place.take()) == Counter(b"X-Number: %d\r\n" % n + MESSAGE for n in range(100))


def test_null_discards() -> None:
    """It says so, and takes letters that no other would."""
    session = TRANSPORTS["null"](Settings()).session()
    session.open()
    reply = session.send(OutgoingMessage("../", "", "", []))
    assert sent(reply)
    assert reply.text == "discarded"


def alerted(message: Message) -> list[object]:
    """What a mail program sees: headers and content of every part."""
    contents = [part.get_payload(decode=True) for part in message.walk()]
    lines = [content.splitlines() for content in contents if isinstance(content, bytes)]
    return [*(part.items() for part in message.walk()), *lines]


def test_a_mail_program_sees_the_message_in_the_maildir(tmp_path: Path) -> None:
    """Parsed by the standard library from there, it is what was sent; in LF lines."""
    with maildir(tmp_path) as place, place.open() as session:
        assert sent(session.send(place.message("k.1.t", MESSAGE)))
    box = mailbox.Maildir(tmp_path, create=False)
    assert box.keys() == ["k.1.t"]
    assert alerted(box["k.1.t"]) == alerted(email.message_from_bytes(MESSAGE))
    assert b"\r" not in (tmp_path / "new" / "k.1.t").read_bytes()


@where_files_are
def test_the_reply_says_where_it_is(kind: str, tmp_path: Path) -> None:
    """One file, readable by its owner alone, in folders that are its owner's."""
    before = os.umask(0)
    try:
        with PLACES[kind](tmp_path / "mail") as place, place.open() as session:
            reply = session.send(place.message("k.1.t", MESSAGE))
    finally:
        os.umask(before)
    assert sent(reply)
    assert files_in(tmp_path) == [Path(reply.text)]
    assert Path(reply.text).stat().st_mode & 0o777 == 0o600
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


# A letter that comes again


@where_files_are
def test_a_name_used_twice_arrives_once(kind: str, tmp_path: Path) -> None:
    """In the same session and in a later one; the outcome is that it is there."""
    with PLACES[kind](tmp_path / "mail") as place:
        for _ in range(2):
            with place.open() as session:
                for _ in range(2):
                    assert sent(session.send(place.message("k.1.t", MESSAGE)))
        assert len(files_in(tmp_path)) == 1
        assert place.take() == [MESSAGE]


@where_files_are
def test_a_name_used_at_once_arrives_once(kind: str, tmp_path: Path) -> None:
    """Two threads with the same letter do not disturb each other."""
    replies: list[Reply] = []
    together = threading.Barrier(4)

    def work(place: Place) -> None:
        with place.open() as session:
            for number in range(25):
                message = place.message(f"k.{number}", LARGE)
                together.wait(30)
                replies.append(session.send(message))

    with PLACES[kind](tmp_path / "mail") as place:
        threads = [threading.Thread(target=work, args=(place,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [sent(reply) for reply in replies] == [True] * 100
        assert len(files_in(tmp_path)) == 25
        assert place.take() == [LARGE] * 25


# Open and closed


@everywhere
def test_only_an_open_session_sends(place: Place) -> None:
    """Before and after it, a message is `LOST`, and nothing arrives; close as often as you like."""
    session, message = place.transport.session(), place.message("k.1.t", MESSAGE)
    session.close()
    for _ in range(2):
        assert not session.is_open
        reply = session.send(message)
        assert (reply.kind, reply.text) == (ReplyKind.LOST, "the session is not open")
        assert place.take() == []
        session.open()
        assert session.is_open
        session.open()
        assert session.is_open
        session.close()
        session.close()


@where_mail_is_kept
def test_a_closed_session_opens_again(place: Place) -> None:
    """And goes on where it was."""
    session = place.transport.session()
    for number in range(3):
        session.open()
        assert sent(session.send(place.message(f"k.{number}", MESSAGE)))
        session.close()
    assert place.take() == [MESSAGE] * 3


def test_sessions_are_closed_one_by_one(tmp_path: Path) -> None:
    """The end of one is not the end of another."""
    for build in PLACES.values():
        with build(tmp_path / "mail") as place, place.open() as session:
            with place.open() as other:
                assert other is not session
            assert session.is_open
            assert sent(session.send(place.message("k.1.t", MESSAGE)))


# What goes wrong


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", ".k", "../k", "a/../../k", "/k", "k/", "k\0", "k\n", "k:2,S", "k t", "k\\t",
        "l\xe4mp", "k\ud800", "*",
    ],
)  # fmt: skip
@where_files_are
def test_a_name_that_is_none_is_our_fault(kind: str, name: str, tmp_path: Path) -> None:
    """Nothing is written, inside the folder or outside."""
    with PLACES[kind](tmp_path / "deep" / "mail") as place, place.open() as session:
        reply = session.send(place.message(name, MESSAGE))
        assert reply.kind is ReplyKind.OURS
        assert reply.text.isprintable()
        assert files_in(tmp_path) == []
        assert sent(session.send(place.message("A-z_0=9.k", MESSAGE)))


@where_files_are
def test_a_name_that_is_too_long_is_our_fault(kind: str, tmp_path: Path) -> None:
    """As long as it may be for the file system, it is an outcome."""
    with PLACES[kind](tmp_path / "mail") as place, place.open() as session:
        reply = session.send(place.message("k" * 300, MESSAGE))
    assert (reply.kind, reply.stage) == (ReplyKind.OURS, "data")
    assert files_in(tmp_path) == []


@where_files_are
def test_a_full_disk_defers(kind: str, tmp_path: Path) -> None:
    """Nothing of the message is left there; with room again, it goes through the same session."""
    with small_disk(tmp_path / "disk", kilobytes=512) as disk:
        folder = disk / "mail"
        with PLACES[kind](folder) as place, place.open() as session:
            fill(disk)
            reply = session.send(place.message("k.1.t", LARGE))
            assert (reply.kind, reply.stage) == (ReplyKind.DEFERRED, "data")
            assert "no room" in reply.text
            assert str(folder) in reply.text
            assert files_in(folder) == []
            assert session.is_open
            (disk / "filler").unlink()
            assert sent(session.send(place.message("k.1.t", LARGE)))
            assert place.take() == [LARGE]


@where_files_are
def test_a_disk_that_fills_up_keeps_what_is_whole(kind: str, tmp_path: Path) -> None:
    """All that was sent is there, also what comes again when the disk is full; nothing else is."""
    with (
        small_disk(tmp_path / "disk", kilobytes=512) as disk,
        PLACES[kind](disk / "mail") as place,
        place.open() as session,
    ):
        messages = [place.message(f"k.{number}", LARGE) for number in range(20)]
        arrived = sum(sent(session.send(message)) for message in messages)
        assert 0 < arrived < 20
        session.send(messages[0])
        assert len(files_in(disk)) == arrived
        assert place.take() == [LARGE] * arrived


@where_files_are
def test_a_disk_that_is_read_only_is_our_fault(kind: str, tmp_path: Path) -> None:
    """It will not pass; so it is when the session is opened where nothing is yet."""
    with small_disk(tmp_path / "disk", kilobytes=512) as disk:
        with PLACES[kind](disk / "mail") as place, place.open() as session:
            make_read_only(disk)
            reply = session.send(place.message("k.1.t", MESSAGE))
            assert (reply.kind, reply.stage) == (ReplyKind.OURS, "data")
            assert "Read-only" in reply.text
            assert files_in(disk) == []
        check_not_opened(kind, disk / "other", ReplyKind.OURS)


@where_files_are
def test_a_folder_that_is_gone_is_our_fault(kind: str, tmp_path: Path) -> None:
    """It is not made again behind somebody's back, but when the session is opened again."""
    folder = tmp_path / "mail"
    with PLACES[kind](folder) as place, place.open() as session:
        shutil.rmtree(folder)
        reply = session.send(place.message("k.1.t", MESSAGE))
        assert (reply.kind, reply.stage) == (ReplyKind.OURS, "data")
        assert "No such file or directory" in reply.text
        assert not folder.exists()
        session.open()
        assert sent(session.send(place.message("k.1.t", MESSAGE)))
        assert place.take() == [MESSAGE]


@where_files_are
def test_a_session_that_does_not_open_again_is_closed(kind: str, tmp_path: Path) -> None:
    """Whatever it was before."""
    folder = tmp_path / "mail"
    with PLACES[kind](folder) as place, place.open() as session:
        shutil.rmtree(folder)
        folder.write_text("Lamps")
        with pytest.raises(SessionFailed):
            session.open()
        assert not session.is_open
        assert session.send(place.message("k.1.t", MESSAGE)).kind is ReplyKind.LOST


@where_files_are
def test_a_folder_that_is_none_is_our_fault(kind: str, tmp_path: Path) -> None:
    """A file stands where it should be, or where the folder above it should be."""
    (tmp_path / "file").write_text("Lamps")
    check_not_opened(kind, tmp_path / "file", ReplyKind.OURS)
    check_not_opened(kind, tmp_path / "file" / "mail", ReplyKind.OURS)
    assert (tmp_path / "file").read_text() == "Lamps"


def check_not_opened(kind: str, folder: Path, reply_kind: ReplyKind) -> None:
    """There is no session, and the reason is said with its place."""
    with PLACES[kind](folder) as place:
        session = place.transport.session()
        with pytest.raises(SessionFailed) as caught:
            session.open()
        assert (caught.value.reply.kind, caught.value.reply.stage) == (reply_kind, "connect")
        assert str(caught.value).startswith(f"{folder}: {caught.value.reply.text}; ")
        assert not session.is_open
        assert session.send(place.message("k.1.t", MESSAGE)).kind is ReplyKind.LOST


@where_files_are
def test_too_many_open_files_defer(kind: str, tmp_path: Path) -> None:
    """What others let go of again passes, for a message and for the session."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with PLACES[kind](tmp_path / "mail") as place, place.open() as session:
        message = place.message("k.1.t", MESSAGE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            reply = session.send(message)
            check_not_opened(kind, tmp_path / "other", ReplyKind.DEFERRED)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert (reply.kind, reply.stage) == (ReplyKind.DEFERRED, "data")
        assert sent(session.send(message))


def test_a_server_that_is_gone_is_an_outcome() -> None:
    """The message is lost, the session closed, and it does not open again."""
    server = Server(Options())
    transport = TRANSPORTS["smtp"](Settings(smtp=SmtpSettings("127.0.0.1", server.port, "none")))
    with closing(server), closing(transport.session()) as session:
        session.open()
        server.close()
        reply = session.send(
            OutgoingMessage("k.1.t", "", "ana@example.net", [b"Subject: Lamps\r\n\r\n"])
        )
        assert reply.kind is ReplyKind.LOST
        assert not session.is_open
        with pytest.raises(SessionFailed) as caught:
            session.open()
        assert caught.value.reply.kind is ReplyKind.LOST
        assert not session.is_open
