"""Transports to folders: what survives a power cut, and the conventions of a maildir."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from newsletter.errors import OutputError
from newsletter.text import files
from newsletter.transports.base import OutgoingMessage, Session, Settings
from newsletter.transports.replies import Reply, ReplyKind
from newsletter.transports.table import TRANSPORTS

MESSAGE = b"Subject: Lamps\n\nA lamp.\n"
HOUR = 3600


def opened(kind: str, folder: Path) -> Session:
    """Returns an open session of this kind."""
    session = TRANSPORTS[kind](Settings(folder=folder)).session()
    session.open()
    return session


def send(session: Session, name: str = "k.1.t", data: bytes = MESSAGE) -> Reply:
    """Sends a message, which must be accepted."""
    reply = session.send(OutgoingMessage(name, "", "ana@example.net", [data]))
    assert reply.kind is ReplyKind.SENT
    return reply


class Disk:
    """Records what was flushed to disk, in order, and the files in a folder at each moment."""

    def __init__(self, watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lasting: list[tuple[str, list[str]]] = []
        self._watched = watched
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._watch_fsync)

    def _watch_fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        what = str(path) if path.is_dir() else f"{path.stat().st_size} bytes in {path.parent}"
        seen = sorted(p.name for p in self._watched.glob("[!.]*"))
        self.lasting.append((what, seen))
        self._fsync(descriptor)


@pytest.mark.parametrize(
    ("kind", "place", "grows"), [("eml", "k.1.t.eml", "."), ("maildir", "new/k.1.t", "tmp")]
)
def test_a_message_is_sent_once_it_would_survive_a_power_cut(
    kind: str, place: str, grows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the whole content is flushed, then the file is moved, then its folder is flushed."""
    path = tmp_path / place
    session = opened(kind, tmp_path)
    before = sorted(p.name for p in path.parent.iterdir())
    disk = Disk(path.parent, monkeypatch)
    assert send(session).text == str(path)
    content = f"{len(MESSAGE)} bytes in {tmp_path / grows}"
    assert disk.lasting == [(content, before), (str(path.parent), sorted([*before, path.name]))]


@pytest.mark.parametrize("kind", ["eml", "maildir"])
def test_created_folders_are_flushed_to_disk(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their parents are flushed too; existing folders are left alone."""
    disk = Disk(tmp_path, monkeypatch)
    opened(kind, tmp_path / "a" / "b")
    lasting = {path for path, _ in disk.lasting}
    assert {str(tmp_path), str(tmp_path / "a")} <= lasting
    assert (str(tmp_path / "a" / "b") in lasting) is (kind == "maildir")
    disk.lasting.clear()
    opened(kind, tmp_path / "a" / "b")
    assert disk.lasting == []


def test_a_folder_that_cannot_be_flushed_is_no_error() -> None:
    """Some file systems do not support it; a missing folder is an error."""
    files.settle(Path("/proc"))
    with pytest.raises(OutputError):
        files.settle(Path("missing"))


@pytest.mark.parametrize("kind", ["eml", "maildir"])
def test_an_existing_folder_keeps_its_mode(kind: str, tmp_path: Path) -> None:
    """The operator may share it with a group."""
    tmp_path.chmod(0o750)
    opened(kind, tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_message_sent_again_replaces_its_eml_file(tmp_path: Path) -> None:
    """The file has the newest message of its name."""
    session = opened("eml", tmp_path)
    send(session, data=b"first, and longer\r\n")
    send(session, data=b"second\r\n")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"second\r\n"]


@pytest.mark.parametrize("place", ["new/k.1.t", "cur/k.1.t", "cur/k.1.t:2,", "cur/k.1.t:2,FRS"])
def test_a_message_in_the_maildir_is_found_in_any_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left unchanged, its folder is flushed to disk, and the reply says so."""
    session = opened("maildir", tmp_path)
    path = tmp_path / place
    path.write_bytes(b"the first\n")
    disk = Disk(path.parent, monkeypatch)
    assert send(session).text == f"{path} already exists"
    assert disk.lasting == [(str(path.parent), [path.name])]
    assert path.read_bytes() == b"the first\n"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("place", ["cur/k.1.t2:2,S", "cur/k.1:2,S", "cur/xk.1.t:2,", "tmp/k.1.t"])
def test_another_file_in_the_maildir_is_not_the_message(place: str, tmp_path: Path) -> None:
    """A file with a similar name is not, and neither is an unfinished one."""
    session = opened("maildir", tmp_path)
    (tmp_path / place).write_bytes(b"another\n")
    assert send(session).text == str(tmp_path / "new" / "k.1.t")
    assert (tmp_path / "new" / "k.1.t").read_bytes() == MESSAGE
    assert (tmp_path / place).read_bytes() == b"another\n"


def aged(path: Path, hours: float) -> Path:
    """Sets the file's times to this many hours ago, and returns it."""
    path.write_bytes(b"Lamps")
    then = time.time() - hours * HOUR
    os.utime(path, (then, then))
    return path


def test_stale_files_in_tmp_are_removed(tmp_path: Path) -> None:
    """They are removed after 36 hours, as in any maildir; messages and folders never are."""
    opened("maildir", tmp_path)
    stale = {aged(tmp_path / "tmp" / name, hours=36.1) for name in ("1.host", ".k.1f.part")}
    kept = {aged(tmp_path / "tmp" / "2.host", hours=35.9)}
    kept |= {aged(tmp_path / place, hours=9_000) for place in ("new/a", "cur/a:2,S")}
    (tmp_path / "tmp" / "folder").mkdir()
    os.utime(tmp_path / "tmp" / "folder", (0, 0))
    opened("maildir", tmp_path)
    assert not {path for path in stale if path.exists()}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == kept
    assert (tmp_path / "tmp" / "folder").is_dir()


def test_half_written_messages_are_removed(tmp_path: Path) -> None:
    """Those left by a killed process, after 36 hours; nothing else in the folder is."""
    stale = aged(tmp_path / ".k.1.t.eml.0a1b2c3d.part", hours=36.1)
    names = ("k.1.t.eml", ".edition.html.0a1b2c3d.part", "notes.part", ".hidden")
    kept = {aged(tmp_path / name, hours=9_000) for name in names}
    kept.add(aged(tmp_path / ".k.2.t.eml.0a1b2c3d.part", hours=35.9))
    opened("eml", tmp_path)
    assert not stale.exists()
    assert set(tmp_path.iterdir()) == kept


def test_files_of_a_killed_process_become_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of partial messages match the pattern of files to remove."""
    names: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: names.extend(p.name for p in tmp_path.iterdir()))
        send(opened("eml", tmp_path))
    half, whole = names
    stale, kept = (aged(tmp_path / name, hours=36.1) for name in (half, whole))
    opened("eml", tmp_path)
    assert not stale.exists()
    assert kept.exists()
