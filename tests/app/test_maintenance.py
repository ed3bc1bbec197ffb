"""Backup, restore and pruning by the command line never cause a second delivery."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from newsletter.app.composition import opened
from newsletter.config.file import load_config
from newsletter.storage.database import Database
from tests.support.captures import api_json, made
from tests.support.commands import newsletter, rows_of

CONFIG = """
[newsletter]
owner = "keeper@example.org"
[[sources]]
name = "saved"
path = "saved"
[delivery]
transport = "eml"
"""
PEOPLE = ("ada", "bob", "cy", "dan")
FIRST = ("Lamps of the First Morning", "Oil for the First Morning")
SECOND = ("Ships of the Second Morning",)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A newsletter with four subscribers and two papers that no subscriber has been sent."""
    (tmp_path / "config.toml").write_text(CONFIG)
    publish(tmp_path, "2026-11-19", FIRST)
    for name in PEOPLE:
        assert newsletter("subscribers", "add", f"{name}@example.net", cwd=tmp_path).returncode == 0
    assert newsletter("ingest", cwd=tmp_path).returncode == 0
    return tmp_path


def publish(place: Path, day: str, titles: tuple[str, ...]) -> None:
    """Adds a day's list to the folder, old enough to be read."""
    folder = place / "saved"
    folder.mkdir(exist_ok=True)
    file = folder / f"{day}.json"
    file.write_bytes(api_json(made(*FIRST, *titles) if titles != FIRST else made(*titles)))
    subprocess.run(["touch", "-d", "2026-11-19 06:00", str(file)], check=True)


def run(place: Path) -> dict[str, object]:
    """Treats every subscriber as due and sends. Returns the summary."""
    return rows_of(newsletter("run", "--due-now", "--json", cwd=place))[-1]


def mails(place: Path) -> Counter[tuple[str, str]]:
    """Returns address and subject of every edition mail."""
    found: Counter[tuple[str, str]] = Counter()
    for file in (place / "outbox").glob("*.eml"):
        head = file.read_text().split("\n\n")[0].splitlines()
        fields = dict(line.split(": ", 1) for line in head if ": " in line)
        if "List-Id" in fields:
            found[fields["To"], fields["Subject"]] += 1
    return found


def states(place: Path) -> dict[str, str]:
    """Returns the state of every subscriber."""
    rows = rows_of(newsletter("subscribers", "list", "--json", cwd=place))
    return {row["address"].partition("@")[0]: row["state"] for row in rows}


def test_a_backup_is_whole_and_private_while_the_database_is_in_use(place: Path) -> None:
    """It can be opened by itself and contains the data of that moment."""
    with Database(f"sqlite:///{place}/newsletter.db") as busy, busy.write() as tx:
        tx.exec_driver_sql("UPDATE installation SET alerted = '[\"not yet\"]'")
        done = newsletter("backup", "copy.db", cwd=place)
        assert done.returncode == 0, done.stderr
    copy = place / "copy.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as found:
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert found.execute("SELECT count(*) FROM subscribers").fetchone() == (len(PEOPLE),)
        assert found.execute("SELECT alerted FROM installation").fetchone() == ("[]",)
    assert not list(place.glob("*.part"))


def test_a_restore_keeps_sent_mail_and_unsubscriptions(place: Path) -> None:
    """No subscriber is mailed twice, and none who unsubscribed is mailed again."""
    newsletter("backup", "copy.db", cwd=place)
    assert run(place)["sent"] == 4
    newsletter("subscribers", "unsubscribe", "bob@example.net", cwd=place)
    newsletter("subscribers", "remove", "cy@example.net", cwd=place)
    newsletter("subscribers", "forget", "dan@example.net", cwd=place)
    row = rows_of(newsletter("restore", "copy.db", "--json", cwd=place))[0]
    assert row["merged"] is True
    assert Path(row["kept"]).is_file()
    assert states(place) == {"ada": "active", "bob": "unsubscribed", "cy": "active"}
    assert run(place)["sent"] == 0
    publish(place, "2026-11-20", SECOND)
    assert run(place)["sent"] == 2
    assert set(mails(place).values()) == {1}
    assert b"dan@" not in (place / "newsletter.db").read_bytes()


def test_a_restore_onto_nothing_sends_nothing_that_may_have_been_sent(place: Path) -> None:
    """Mail that was queued in the backup becomes unknown, and the first capture is held for
    review.
    """
    newsletter("backup", "copy.db", cwd=place)
    assert run(place)["sent"] == 4
    for file in place.glob("newsletter.db*"):
        file.unlink()
    row = rows_of(newsletter("restore", "copy.db", "--json", cwd=place))[0]
    assert row == {"kept": None, "merged": False, "unknown": 4, "back": 0, "away": 0}
    assert run(place)["sent"] == 0
    publish(place, "2026-11-20", SECOND)
    assert run(place)["sent"] == 0
    (held,) = rows_of(newsletter("snapshots", "list", "--state", "held", "--json", cwd=place))
    assert "backup" in held["held"]
    newsletter("snapshots", "release", str(held["snapshot"]), cwd=place)
    assert run(place)["sent"] == 4
    assert set(mails(place).values()) == {1}


def test_a_source_added_after_the_backup_is_held_too(tmp_path: Path) -> None:
    """The backup does not know which of its papers were announced."""
    (tmp_path / "config.toml").write_text(CONFIG)
    newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path)
    newsletter("backup", "copy.db", cwd=tmp_path)
    publish(tmp_path, "2026-11-19", FIRST)
    assert run(tmp_path)["sent"] == 1
    for file in tmp_path.glob("newsletter.db*"):
        file.unlink()
    newsletter("restore", "copy.db", cwd=tmp_path)
    assert run(tmp_path)["sent"] == 0
    newsletter("snapshots", "release", "1", "--silent", cwd=tmp_path)
    publish(tmp_path, "2026-11-20", SECOND)
    assert run(tmp_path)["sent"] == 1
    assert set(mails(tmp_path).values()) == {1}


def test_resend_does_not_send_what_a_restore_made_unknown(place: Path) -> None:
    """Only the operator can decide this; the setting is for senders that died."""
    newsletter("backup", "copy.db", cwd=place)
    run(place)
    for file in place.glob("newsletter.db*"):
        file.unlink()
    newsletter("restore", "copy.db", cwd=place)
    (place / "config.toml").write_text(CONFIG + 'unknown = "resend"\n')
    assert run(place)["sent"] == 0
    assert set(mails(place).values()) == {1}
    newsletter("deliveries", "retry", "--state", "unknown", cwd=place)
    assert run(place)["sent"] == 4


def test_a_damaged_database_is_kept_and_replaced(place: Path) -> None:
    """What can still be read of it is not trusted."""
    newsletter("backup", "copy.db", cwd=place)
    run(place)
    file = place / "newsletter.db"
    data = bytearray(file.read_bytes())
    data[8192:20480] = b"\xa5" * 12288
    file.write_bytes(data)
    row = rows_of(newsletter("restore", "copy.db", "--json", cwd=place))[0]
    assert row["merged"] is False
    assert Path(row["kept"]).read_bytes() == data
    assert run(place)["sent"] == 0


def test_a_database_in_use_is_not_replaced(place: Path) -> None:
    """Its process would continue with the old one."""
    newsletter("backup", "copy.db", cwd=place)
    before = (place / "newsletter.db").stat().st_ino
    with Database(f"sqlite:///{place}/newsletter.db"):
        done = newsletter("restore", "copy.db", cwd=place)
    assert done.returncode == 3
    assert "in use" in done.stderr
    assert (place / "newsletter.db").stat().st_ino == before
    assert not list(place.glob(".*restoring*"))


@pytest.mark.parametrize("what", ["nothing", "text", "foreign", "newer"])
def test_invalid_backups_are_refused(place: Path, what: str) -> None:
    """The database stays as it was."""
    file = place / "copy.db"
    if what == "text":
        file.write_text("no database")
    elif what != "nothing":
        shutil.copy(place / "newsletter.db", file)
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            database.execute(
                "PRAGMA application_id=7"
                if what == "foreign"
                else "UPDATE alembic_version SET version_num = '9999'"
            )
    before = (place / "newsletter.db").read_bytes()
    done = newsletter("restore", "copy.db", cwd=place)
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    assert (place / "newsletter.db").read_bytes() == before


def test_pruning_keeps_papers_of_paused_subscribers(place: Path) -> None:
    """However long the pause is, they are sent after it."""
    with opened(load_config(str(place / "config.toml"))) as app:
        app.planner.plan(due_now=True)
    for name in ("ada", "bob"):
        newsletter("subscribers", "pause", f"{name}@example.net", cwd=place)
    newsletter("subscribers", "unsubscribe", "bob@example.net", cwd=place)
    with closing(sqlite3.connect(place / "newsletter.db", isolation_level=None)) as database:
        database.execute("UPDATE deliveries SET changed_at = '2026-01-01 00:00:00.000000'")
    done = newsletter("prune", "--older-than", "1d", "--json", cwd=place)
    assert rows_of(done)[0]["mails"] == 1, "bob's"
    newsletter("subscribers", "resume", "ada@example.net", cwd=place)
    run(place)
    assert {to for to, _ in mails(place)} == {f"{who}@example.net" for who in ("ada", "cy", "dan")}


def test_a_capture_whose_bytes_are_pruned_cannot_be_released(place: Path) -> None:
    """The error says so, without a traceback."""
    (place / "saved" / "2026-11-20.json").write_text("<html>nothing</html>")
    subprocess.run(
        ["touch", "-d", "2026-11-19 06:00", str(place / "saved" / "2026-11-20.json")], check=True
    )
    newsletter("ingest", cwd=place)
    (held,) = rows_of(newsletter("snapshots", "list", "--state", "held", "--json", cwd=place))
    number = str(held["snapshot"])
    assert newsletter("snapshots", "reject", number, cwd=place).returncode == 0
    with closing(sqlite3.connect(place / "newsletter.db", isolation_level=None)) as database:
        database.execute("UPDATE snapshots SET captured_at = '2026-01-01 00:00:00.000000'")
    newsletter("prune", "--older-than", "1d", cwd=place)
    done = newsletter("snapshots", "release", number, cwd=place)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert f"the bytes of snapshot {number} were pruned" in done.stderr


def test_pruned_papers_are_never_new_again(place: Path) -> None:
    """Bytes and records are deleted, keys are kept."""
    run(place)
    with closing(sqlite3.connect(place / "newsletter.db", isolation_level=None)) as database:
        database.execute("UPDATE deliveries SET changed_at = '2026-01-01 00:00:00.000000'")
    done = newsletter("prune", "--older-than", "1d", cwd=place)
    assert done.stdout == "Deleted 1 capture and 4 mails.\n"
    with closing(sqlite3.connect(place / "newsletter.db")) as database:
        assert database.execute("SELECT count(*) FROM blobs").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM paper_keys").fetchone()[0] > 0
    (place / "saved" / "2026-11-19.json").rename(place / "saved" / "2026-11-18.json")
    assert run(place)["sent"] == 0
    publish(place, "2026-11-20", SECOND)
    assert run(place)["sent"] == 4


@pytest.mark.parametrize("target", [".", "newsletter.db", "link", "link/newsletter.db"])
def test_a_backup_never_replaces_the_database(place: Path, target: str) -> None:
    """Neither by its own name nor by that of its folder."""
    (place / "link").symlink_to(place)
    before = (place / "newsletter.db").stat().st_ino
    done = newsletter("backup", target, cwd=place)
    assert done.returncode == 2
    assert "that is the database itself" in done.stderr
    assert (place / "newsletter.db").stat().st_ino == before
