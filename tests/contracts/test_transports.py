"""The contract of every transport: a message arrives unchanged and once, or the reply says why."""

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
    """A transport, and the place to which it delivers."""

    transport: Transport
    take: Callable[[], list[bytes]]
    """Returns the messages that arrived since the last call, in any order, before `encoded`."""

    def message(self, name: str, data: bytes, cuts: Sequence[int] = ()) -> OutgoingMessage:
        """Returns a message with this data, divided at `cuts`."""
        encoded = self.transport.encoded(data)
        bounds = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
        pieces = [encoded[start:end] for start, end in itertools.pairwise(bounds)]
        return OutgoingMessage(name, "bounce+k@papers.example", "ana@example.net", pieces)

    @contextmanager
    def open(self) -> Iterator[Session]:
        """Opens a session."""
        session = self.transport.session()
        session.open()
        with closing(session):
            yield session


@contextmanager
def smtp(folder: Path) -> Iterator[Place]:
    """An SMTP server on loopback."""
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
    """The transport that discards messages."""
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
    """Returns the files that count as delivered, in a folder or a maildir."""
    return sorted([*folder.glob("*.eml"), *folder.glob("new/*"), *folder.glob("cur/*")])


def files_in(folder: Path) -> list[Path]:
    """Returns every file in a folder and its subfolders."""
    return [path for path in folder.rglob("*") if not path.is_dir()]


def taken(path: Path) -> bytes:
    """Returns the content of a file, and deletes it."""
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place of the requested kind."""
    with PLACES[request.param](tmp_path / "mail") as made:
        yield made


@pytest.fixture(scope="module", params=KEEPING)
def lasting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Place, Session]]:
    """A place and a session shared by many examples."""
    with PLACES[request.param](tmp_path_factory.mktemp("lasting")) as made, made.open() as session:
        yield made, session


def sent(reply: Reply) -> bool:
    """Returns whether the message was accepted."""
    return reply.kind is ReplyKind.SENT and reply.stage == "dot"


def test_every_transport_is_tested() -> None:
    """A new transport needs a place in `PLACES`."""
    assert set(PLACES) == set(TRANSPORTS)


@pytest.mark.parametrize("name", ["smtp", "eml", "maildir"])
def test_a_transport_without_its_settings_is_an_error(name: str) -> None:
    """There is no default server or folder."""
    with pytest.raises(ValueError, match="needs"):
        TRANSPORTS[name](Settings())


# Delivery

LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b".QUIT", b". ", b"...x", b"From here", b">From"])
    | st.binary(max_size=60).map(lambda data: re.sub(rb"[\r\n]", b".", data)),
    min_size=1,
)
NUMBERS = itertools.count()


@given(lines=LINES, cuts=st.lists(st.integers(0, 200), max_size=5))
def test_messages_arrive_unchanged(
    lasting: tuple[Place, Session], lines: list[bytes], cuts: list[int]
) -> None:
    """They are equal byte for byte, for any lines and any division."""
    place, session = lasting
    data = b"".join(line + b"\r\n" for line in lines)
    assert sent(session.send(place.message(f"k.{next(NUMBERS)}", data, cuts)))
    assert place.take() == [data]


@where_mail_is_kept
def test_a_message_of_parts_arrives(place: Place) -> None:
    """It has leading dots, other scripts and lines that begin with “From”, and any division."""
    with place.open() as session:
        for cut in range(0, len(MESSAGE), 29):
            assert sent(session.send(place.message(f"k.{cut}", MESSAGE, [cut, cut + 1])))
            assert place.take() == [MESSAGE]


@where_mail_is_kept
def test_one_session_sends_many_messages(place: Place) -> None:
    """Pieces that they share arrive with each."""
    with place.open() as session:
        shared = place.message("", LARGE).pieces
        for number in range(50):
            own = place.message(f"k.{number}", b"X-Number: %d\r\n" % number)
            message = OutgoingMessage(own.name, own.sender, own.recipient, [*own.pieces, *shared])
            assert sent(session.send(message))
        assert session.is_open
    assert Counter(place.take()) == Counter(b"X-Number: %d\r\n" % n + LARGE for n in range(50))


@where_mail_is_kept
def test_sessions_work_in_parallel_threads(place: Place) -> None:
    """Each thread has its own session, and all messages reported as sent have arrived."""
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
    """Its reply says so, and it accepts even messages that other transports refuse."""
    session = TRANSPORTS["null"](Settings()).session()
    session.open()
    reply = session.send(OutgoingMessage("../", "", "", []))
    assert sent(reply)
    assert reply.text == "discarded"


def parts_of(message: Message) -> list[object]:
    """Returns headers and content of every part."""
    contents = [part.get_payload(decode=True) for part in message.walk()]
    lines = [content.splitlines() for content in contents if isinstance(content, bytes)]
    return [*(part.items() for part in message.walk()), *lines]


def test_a_mail_program_can_read_the_maildir(tmp_path: Path) -> None:
    """The standard library reads the message that was sent, with LF line ends."""
    with maildir(tmp_path) as place, place.open() as session:
        assert sent(session.send(place.message("k.1.t", MESSAGE)))
    box = mailbox.Maildir(tmp_path, create=False)
    assert box.keys() == ["k.1.t"]
    assert parts_of(box["k.1.t"]) == parts_of(email.message_from_bytes(MESSAGE))
    assert b"\r" not in (tmp_path / "new" / "k.1.t").read_bytes()


@where_files_are
def test_the_reply_contains_the_path_of_the_file(kind: str, tmp_path: Path) -> None:
    """There is one file; it and its folders are readable only by their owner."""
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


# Repeated messages


@where_files_are
def test_a_message_with_a_repeated_name_arrives_once(kind: str, tmp_path: Path) -> None:
    """The name is repeated in the same session and in a later one; the reply is `sent`."""
    with PLACES[kind](tmp_path / "mail") as place:
        for _ in range(2):
            with place.open() as session:
                for _ in range(2):
                    assert sent(session.send(place.message("k.1.t", MESSAGE)))
        assert len(files_in(tmp_path)) == 1
        assert place.take() == [MESSAGE]


@where_files_are
def test_a_message_sent_in_parallel_arrives_once(kind: str, tmp_path: Path) -> None:
    """Two threads send the same message without affecting each other."""
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


# Open and closed sessions


@everywhere
def test_only_an_open_session_sends(place: Place) -> None:
    """Before and after, messages are `LOST`. Closing twice is not an error."""
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
def test_a_closed_session_can_be_reopened(place: Place) -> None:
    """It sends again."""
    session = place.transport.session()
    for number in range(3):
        session.open()
        assert sent(session.send(place.message(f"k.{number}", MESSAGE)))
        session.close()
    assert place.take() == [MESSAGE] * 3


def test_closing_a_session_does_not_close_others(tmp_path: Path) -> None:
    """Each session is independent."""
    for build in PLACES.values():
        with build(tmp_path / "mail") as place, place.open() as session:
            with place.open() as other:
                assert other is not session
            assert session.is_open
            assert sent(session.send(place.message("k.1.t", MESSAGE)))


# Failures


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", ".k", "../k", "a/../../k", "/k", "k/", "k\0", "k\n", "k:2,S", "k t", "k\\t",
        "l\xe4mp", "k\ud800", "*",
    ],
)  # fmt: skip
@where_files_are
def test_an_invalid_name_is_our_fault(kind: str, name: str, tmp_path: Path) -> None:
    """Nothing is written, inside or outside the folder."""
    with PLACES[kind](tmp_path / "deep" / "mail") as place, place.open() as session:
        reply = session.send(place.message(name, MESSAGE))
        assert reply.kind is ReplyKind.OURS
        assert reply.text.isprintable()
        assert files_in(tmp_path) == []
        assert sent(session.send(place.message("A-z_0=9.k", MESSAGE)))


@where_files_are
def test_a_name_that_is_too_long_is_our_fault(kind: str, tmp_path: Path) -> None:
    """The error of the file system becomes a reply."""
    with PLACES[kind](tmp_path / "mail") as place, place.open() as session:
        reply = session.send(place.message("k" * 300, MESSAGE))
    assert (reply.kind, reply.stage) == (ReplyKind.OURS, "data")
    assert files_in(tmp_path) == []


@where_files_are
def test_a_full_disk_defers_messages(kind: str, tmp_path: Path) -> None:
    """No part of the message is left; once there is room, the same session sends it."""
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
def test_a_disk_that_fills_up_keeps_whole_messages(kind: str, tmp_path: Path) -> None:
    """Exactly the sent messages are there, including those repeated on the full disk."""
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
def test_a_read_only_disk_is_our_fault(kind: str, tmp_path: Path) -> None:
    """It is permanent, for a message and for opening a session in a new folder."""
    with small_disk(tmp_path / "disk", kilobytes=512) as disk:
        with PLACES[kind](disk / "mail") as place, place.open() as session:
            make_read_only(disk)
            reply = session.send(place.message("k.1.t", MESSAGE))
            assert (reply.kind, reply.stage) == (ReplyKind.OURS, "data")
            assert "Read-only" in reply.text
            assert files_in(disk) == []
        check_not_opened(kind, disk / "other", ReplyKind.OURS)


@where_files_are
def test_a_deleted_folder_is_our_fault(kind: str, tmp_path: Path) -> None:
    """It is not recreated until the session is opened again."""
    folder = tmp_path / "mail"
    with PLACES[kind](folder) as place, place.open() as session:
        shutil.rmtree(folder)
        reply = session.send(place.message("k.1.t", MESSAGE))
        assert (reply.kind, reply.stage) == (ReplyKind.OURS, "data")
        assert "its folder does not exist" in reply.text
        assert not folder.exists()
        session.open()
        assert sent(session.send(place.message("k.1.t", MESSAGE)))
        assert place.take() == [MESSAGE]


@where_files_are
def test_a_session_that_cannot_be_reopened_is_closed(kind: str, tmp_path: Path) -> None:
    """This does not depend on its earlier state."""
    folder = tmp_path / "mail"
    with PLACES[kind](folder) as place, place.open() as session:
        shutil.rmtree(folder)
        folder.write_text("Lamps")
        with pytest.raises(SessionFailed):
            session.open()
        assert not session.is_open
        assert session.send(place.message("k.1.t", MESSAGE)).kind is ReplyKind.LOST


@where_files_are
def test_a_file_instead_of_a_folder_is_our_fault(kind: str, tmp_path: Path) -> None:
    """The file is at the path of the folder, or of its parent."""
    (tmp_path / "file").write_text("Lamps")
    check_not_opened(kind, tmp_path / "file", ReplyKind.OURS)
    check_not_opened(kind, tmp_path / "file" / "mail", ReplyKind.OURS)
    assert (tmp_path / "file").read_text() == "Lamps"


def check_not_opened(kind: str, folder: Path, reply_kind: ReplyKind) -> None:
    """Asserts that no session is opened, and that the reason contains the path."""
    with PLACES[kind](folder) as place:
        session = place.transport.session()
        with pytest.raises(SessionFailed) as caught:
            session.open()
        assert (caught.value.reply.kind, caught.value.reply.stage) == (reply_kind, "connect")
        assert str(caught.value).startswith(f"{folder}: {caught.value.reply.text}; ")
        assert not session.is_open
        assert session.send(place.message("k.1.t", MESSAGE)).kind is ReplyKind.LOST


@where_files_are
def test_too_many_open_files_defer_messages(kind: str, tmp_path: Path) -> None:
    """It is temporary, for a message and for opening a session."""
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


def test_a_stopped_server_loses_the_message() -> None:
    """The session is closed and cannot be reopened."""
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
