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

from newsletter.transports import (
    TRANSPORTS,
    Letter,
    Outcome,
    Session,
    SessionFailed,
    Settings,
    SmtpSettings,
    Transport,
    Verdict,
)
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

    def letter(self, name: str, data: bytes, cuts: Sequence[int] = ()) -> Letter:
        """A letter of that message, cut at these places."""
        encoded = self.transport.encoded(data)
        bounds = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
        pieces = [encoded[start:end] for start, end in itertools.pairwise(bounds)]
        return Letter(name, "bounce+k@papers.example", "ana@example.net", pieces)

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


def sent(outcome: Outcome) -> bool:
    """Whether it was taken."""
    return outcome.verdict is Verdict.SENT and outcome.stage == "dot"


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
    assert sent(session.send(place.letter(f"k.{next(NUMBERS)}", data, cuts)))
    assert place.take() == [data]


@where_mail_is_kept
def test_a_message_of_parts_arrives(place: Place) -> None:
    """With leading dots, other scripts and lines that begin with “From”, cut anywhere."""
    with place.open() as session:
        for cut in range(0, len(MESSAGE), 29):
            assert sent(session.send(place.letter(f"k.{cut}", MESSAGE, [cut, cut + 1])))
            assert place.take() == [MESSAGE]


@where_mail_is_kept
def test_many_messages_go_through_one_session(place: Place) -> None:
    """Pieces that they share arrive with each of them."""
    with place.open() as session:
        shared = place.letter("", LARGE).pieces
        for number in range(50):
            own = place.letter(f"k.{number}", b"X-Number: %d\r\n" % number)
            letter = Letter(own.name, own.sender, own.recipient, [*own.pieces, *shared])
            assert sent(session.send(letter))
        assert session.is_open
    assert Counter(place.take()) == Counter(b"X-Number: %d\r\n" % n + LARGE for n in range(50))


@where_mail_is_kept
def test_sessions_work_in_threads_at_once(place: Place) -> None:
    """Each has its own, and all that they say was sent has arrived."""
    outcomes: list[Outcome] = []
    together = threading.Barrier(4)

    def work(first: int) -> None:
        with place.open() as session:
            together.wait(30)
            for number in range(first, 100, 4):
                letter = place.letter(f"k.{number}", b"X-Number: %d\r\n" % number + MESSAGE)
                outcomes.append(session.send(letter))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sent(outcome) for outcome in outcomes] == [True] * 100
    assert Counter(place.take()) == Counter(b"X-Number: %d\r\n" % n + MESSAGE for n in range(100))


def test_null_discards() -> None:
    """It says so, and takes letters that no other would."""
    session = TRANSPORTS["null"](Settings()).session()
    session.open()
    outcome = session.send(Letter("../", "", "", []))
    assert sent(outcome)
    assert outcome.reply == "discarded"


def told(message: Message) -> list[object]:
    """What a mail program sees: headers and content of every part."""
    contents = [part.get_payload(decode=True) for part in message.walk()]
    lines = [content.splitlines() for content in contents if isinstance(content, bytes)]
    return [*(part.items() for part in message.walk()), *lines]


def test_a_mail_program_sees_the_message_in_the_maildir(tmp_path: Path) -> None:
    """Parsed by the standard library from there, it is what was sent; in LF lines."""
    with maildir(tmp_path) as place, place.open() as session:
        assert sent(session.send(place.letter("k.1.t", MESSAGE)))
    box = mailbox.Maildir(tmp_path, create=False)
    assert box.keys() == ["k.1.t"]
    assert told(box["k.1.t"]) == told(email.message_from_bytes(MESSAGE))
    assert b"\r" not in (tmp_path / "new" / "k.1.t").read_bytes()


@where_files_are
def test_the_reply_says_where_it_is(kind: str, tmp_path: Path) -> None:
    """One file, readable by its owner alone, in folders that are its owner's."""
    before = os.umask(0)
    try:
        with PLACES[kind](tmp_path / "mail") as place, place.open() as session:
            outcome = session.send(place.letter("k.1.t", MESSAGE))
    finally:
        os.umask(before)
    assert sent(outcome)
    assert files_in(tmp_path) == [Path(outcome.reply)]
    assert Path(outcome.reply).stat().st_mode & 0o777 == 0o600
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
                    assert sent(session.send(place.letter("k.1.t", MESSAGE)))
        assert len(files_in(tmp_path)) == 1
        assert place.take() == [MESSAGE]


@where_files_are
def test_a_name_used_at_once_arrives_once(kind: str, tmp_path: Path) -> None:
    """Two threads with the same letter do not disturb each other."""
    outcomes: list[Outcome] = []
    together = threading.Barrier(4)

    def work(place: Place) -> None:
        with place.open() as session:
            for number in range(25):
                letter = place.letter(f"k.{number}", LARGE)
                together.wait(30)
                outcomes.append(session.send(letter))

    with PLACES[kind](tmp_path / "mail") as place:
        threads = [threading.Thread(target=work, args=(place,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [sent(outcome) for outcome in outcomes] == [True] * 100
        assert len(files_in(tmp_path)) == 25
        assert place.take() == [LARGE] * 25


# Open and closed


@everywhere
def test_only_an_open_session_sends(place: Place) -> None:
    """Before and after it, a message is `LOST`, and nothing arrives; close as often as you like."""
    session, letter = place.transport.session(), place.letter("k.1.t", MESSAGE)
    session.close()
    for _ in range(2):
        assert not session.is_open
        outcome = session.send(letter)
        assert (outcome.verdict, outcome.reply) == (Verdict.LOST, "the session is not open")
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
        assert sent(session.send(place.letter(f"k.{number}", MESSAGE)))
        session.close()
    assert place.take() == [MESSAGE] * 3


def test_sessions_are_closed_one_by_one(tmp_path: Path) -> None:
    """The end of one is not the end of another."""
    for build in PLACES.values():
        with build(tmp_path / "mail") as place, place.open() as session:
            with place.open() as other:
                assert other is not session
            assert session.is_open
            assert sent(session.send(place.letter("k.1.t", MESSAGE)))


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
        outcome = session.send(place.letter(name, MESSAGE))
        assert outcome.verdict is Verdict.OURS
        assert outcome.reply.isprintable()
        assert files_in(tmp_path) == []
        assert sent(session.send(place.letter("A-z_0=9.k", MESSAGE)))


@where_files_are
def test_a_name_that_is_too_long_is_our_fault(kind: str, tmp_path: Path) -> None:
    """As long as it may be for the file system, it is an outcome."""
    with PLACES[kind](tmp_path / "mail") as place, place.open() as session:
        outcome = session.send(place.letter("k" * 300, MESSAGE))
    assert (outcome.verdict, outcome.stage) == (Verdict.OURS, "data")
    assert files_in(tmp_path) == []


@where_files_are
def test_a_full_disk_defers(kind: str, tmp_path: Path) -> None:
    """Nothing of the message is left there; with room again, it goes through the same session."""
    with small_disk(tmp_path / "disk", kilobytes=512) as disk:
        folder = disk / "mail"
        with PLACES[kind](folder) as place, place.open() as session:
            fill(disk)
            outcome = session.send(place.letter("k.1.t", LARGE))
            assert (outcome.verdict, outcome.stage) == (Verdict.DEFERRED, "data")
            assert "no room" in outcome.reply
            assert str(folder) in outcome.reply
            assert files_in(folder) == []
            assert session.is_open
            (disk / "filler").unlink()
            assert sent(session.send(place.letter("k.1.t", LARGE)))
            assert place.take() == [LARGE]


@where_files_are
def test_a_disk_that_fills_up_keeps_what_is_whole(kind: str, tmp_path: Path) -> None:
    """All that was sent is there, also what comes again when the disk is full; nothing else is."""
    with (
        small_disk(tmp_path / "disk", kilobytes=512) as disk,
        PLACES[kind](disk / "mail") as place,
        place.open() as session,
    ):
        letters = [place.letter(f"k.{number}", LARGE) for number in range(20)]
        arrived = sum(sent(session.send(letter)) for letter in letters)
        assert 0 < arrived < 20
        session.send(letters[0])
        assert len(files_in(disk)) == arrived
        assert place.take() == [LARGE] * arrived


@where_files_are
def test_a_disk_that_is_read_only_is_our_fault(kind: str, tmp_path: Path) -> None:
    """It will not pass; so it is when the session is opened where nothing is yet."""
    with small_disk(tmp_path / "disk", kilobytes=512) as disk:
        with PLACES[kind](disk / "mail") as place, place.open() as session:
            make_read_only(disk)
            outcome = session.send(place.letter("k.1.t", MESSAGE))
            assert (outcome.verdict, outcome.stage) == (Verdict.OURS, "data")
            assert "Read-only" in outcome.reply
            assert files_in(disk) == []
        check_not_opened(kind, disk / "other", Verdict.OURS)


@where_files_are
def test_a_folder_that_is_gone_is_our_fault(kind: str, tmp_path: Path) -> None:
    """It is not made again behind somebody's back, but when the session is opened again."""
    folder = tmp_path / "mail"
    with PLACES[kind](folder) as place, place.open() as session:
        shutil.rmtree(folder)
        outcome = session.send(place.letter("k.1.t", MESSAGE))
        assert (outcome.verdict, outcome.stage) == (Verdict.OURS, "data")
        assert "No such file or directory" in outcome.reply
        assert not folder.exists()
        session.open()
        assert sent(session.send(place.letter("k.1.t", MESSAGE)))
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
        assert session.send(place.letter("k.1.t", MESSAGE)).verdict is Verdict.LOST


@where_files_are
def test_a_folder_that_is_none_is_our_fault(kind: str, tmp_path: Path) -> None:
    """A file stands where it should be, or where the folder above it should be."""
    (tmp_path / "file").write_text("Lamps")
    check_not_opened(kind, tmp_path / "file", Verdict.OURS)
    check_not_opened(kind, tmp_path / "file" / "mail", Verdict.OURS)
    assert (tmp_path / "file").read_text() == "Lamps"


def check_not_opened(kind: str, folder: Path, verdict: Verdict) -> None:
    """There is no session, and the reason is said with its place."""
    with PLACES[kind](folder) as place:
        session = place.transport.session()
        with pytest.raises(SessionFailed) as caught:
            session.open()
        assert (caught.value.outcome.verdict, caught.value.outcome.stage) == (verdict, "connect")
        assert str(caught.value).startswith(f"{folder}: {caught.value.outcome.reply}; ")
        assert not session.is_open
        assert session.send(place.letter("k.1.t", MESSAGE)).verdict is Verdict.LOST


@where_files_are
def test_too_many_open_files_defer(kind: str, tmp_path: Path) -> None:
    """What others let go of again passes, for a message and for the session."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with PLACES[kind](tmp_path / "mail") as place, place.open() as session:
        letter = place.letter("k.1.t", MESSAGE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            outcome = session.send(letter)
            check_not_opened(kind, tmp_path / "other", Verdict.DEFERRED)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert (outcome.verdict, outcome.stage) == (Verdict.DEFERRED, "data")
        assert sent(session.send(letter))


def test_a_server_that_is_gone_is_an_outcome() -> None:
    """The message is lost, the session closed, and it does not open again."""
    server = Server(Options())
    transport = TRANSPORTS["smtp"](Settings(smtp=SmtpSettings("127.0.0.1", server.port, "none")))
    with closing(server), closing(transport.session()) as session:
        session.open()
        server.close()
        outcome = session.send(Letter("k.1.t", "", "ana@example.net", [b"Subject: Lamps\r\n\r\n"]))
        assert outcome.verdict is Verdict.LOST
        assert not session.is_open
        with pytest.raises(SessionFailed) as caught:
            session.open()
        assert caught.value.outcome.verdict is Verdict.LOST
        assert not session.is_open
