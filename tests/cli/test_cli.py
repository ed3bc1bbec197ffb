"""The command line as scripts and operators use it: rows, exit status, one line per problem."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from newsletter.app.composition import opened
from newsletter.app.inspection import sample
from newsletter.cli import cli
from newsletter.config.file import load_config
from newsletter.formats import FORMATS
from tests.support.commands import INTERRUPTIBLE, assert_one_line_each, newsletter, rows_of

REPLAY_KEYS = {"snapshot", "format", "papers", "new", "updated", "relisted", "held", "titles"}


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """Returns a folder with the configuration that `init` writes."""
    assert newsletter("init", cwd=tmp_path).returncode == 0
    return tmp_path


def days() -> list[str]:
    """Returns the captures of the bundled sample."""
    return [str(path) for path in sample()]


def test_demo_shows_two_days_and_leaves_their_files(tmp_path: Path) -> None:
    """The second day announces only papers that were not in the first."""
    done = newsletter("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "9 new of 9" in done.stdout
    assert "8 new of 11, 1 updated" in done.stdout
    for day in ("2026-11-19", "2026-11-20"):
        names = {path.name for path in (tmp_path / "demo" / day).iterdir()}
        assert names == {"edition.html", "edition.txt", "edition.eml"}


def commands(group: click.Group, path: str) -> Iterator[str]:
    """Yields the commands of a group with their full names."""
    for name, command in group.commands.items():
        yield f"{path} {name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_every_command_is_documented() -> None:
    """The page of commands has a heading for each; for groups, those of their commands."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    headings = re.findall(r"^### (.*)$", page, re.MULTILINE)
    text = "\n".join(headings).replace("[", "").replace("]", "") + "\n"
    every = list(commands(cli, "newsletter"))
    assert len(every) > 40
    assert [name for name in every if not re.search(rf"{name}\b", text)] == []


def test_replay_rows_have_the_names_scripts_rely_on(tmp_path: Path) -> None:
    """One object a line, and nothing else on standard output."""
    done = newsletter("replay", *days(), "--json", cwd=tmp_path)
    rows = rows_of(done)
    assert done.returncode == 0
    assert all(set(row) >= REPLAY_KEYS for row in rows)
    assert [(r["new"], r["updated"], r["held"]) for r in rows] == [(9, 0, None), (8, 1, None)]
    assert [len(r["titles"]) for r in rows] == [9, 8]
    assert all(isinstance(row["snapshot"], int) for row in rows)


def test_replay_keeps_nothing(tmp_path: Path) -> None:
    """Without `--out`, no file remains, and no configuration is needed."""
    newsletter("replay", *days(), cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_replay_folder_names(
    tmp_path: Path,
) -> None:
    """None where nothing is new, and a repeated stem gets `-2`."""
    first, second = (json.loads(Path(day).read_text()) for day in days())
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text(json.dumps(first))
    (tmp_path / "b.json").write_text(json.dumps(first[:5]))
    (tmp_path / "x.json").write_text(json.dumps(second))
    done = newsletter("replay", "a/x.json", "b.json", "x.json", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"x", "x-2"}


def test_replay_reads_a_folder_in_order_of_names(tmp_path: Path) -> None:
    """It is not recursive, and skips hidden files."""
    folder = tmp_path / "captures"
    (folder / "deeper").mkdir(parents=True)
    for name, day in zip(("2.json", "1.json", ".hidden.json"), [*days(), days()[0]], strict=True):
        (folder / name).write_bytes(Path(day).read_bytes())
    done = newsletter("replay", "captures", "--json", cwd=tmp_path)
    assert [Path(row["path"]).name for row in rows_of(done)] == ["1.json", "2.json"]


def test_bad_captures_have_rows_and_do_not_stop_the_others(tmp_path: Path) -> None:
    """Missing, empty, truncated, wrongly encoded, an error page, a folder: one line each, status
    3.
    """
    whole = Path(days()[0]).read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "latin.txt").write_bytes(
        "Get trending papers in your email inbox!\nÜber".encode("latin-1")
    )
    (tmp_path / "error.json").write_text('{"error":"Sorry, we cannot find the page."}')
    (tmp_path / "login.html").write_text("<!doctype html><title>Log in</title><form></form>")
    bad = ["nowhere.json", "cut.json", "empty.json", "latin.txt", "error.json", "login.html"]
    done = newsletter("replay", *bad, days()[0], "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert_one_line_each(done)
    *held, good = rows_of(done)
    assert [row["held"] is not None for row in held] == [True] * len(bad)
    assert all("\n" not in row["held"] and ";" in row["held"] for row in held)
    assert all((row["new"], row["titles"]) == (0, []) for row in held)
    assert held[0]["snapshot"] is None
    assert all(row["snapshot"] for row in held[1:])
    assert good["new"] == 9


def test_other_url_schemes_are_refused(tmp_path: Path) -> None:
    """Such as `file:`."""
    done = newsletter("replay", "file:///etc/passwd", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert "not a URL or path that can be read" in rows_of(done)[0]["held"]


def test_a_private_address_is_refused(tmp_path: Path) -> None:
    """Fetching cannot reach this machine or the local network."""
    done = newsletter("replay", "http://127.0.0.1:9/papers", "--json", cwd=tmp_path)
    assert done.returncode == 3
    (row,) = rows_of(done)
    assert row["held"]
    assert row["snapshot"] is None


def test_ingest_preview_status(configured: Path) -> None:
    """A capture is announced once, the preview shows it, and the status says why nothing is
    sent.
    """
    done = newsletter("ingest", days()[0], "--json", cwd=configured)
    assert done.returncode == 0, done.stderr
    assert [row["new"] for row in rows_of(done)] == [9]
    again = newsletter("ingest", days()[0], cwd=configured)
    assert "unchanged since snapshot 1" in again.stdout
    shown = newsletter("preview", "--json", cwd=configured)
    (preview,) = rows_of(shown)
    assert preview["papers"] == 9
    assert len(preview["titles"]) == 9
    assert {Path(p).name for p in preview["files"]} == {
        "edition.html",
        "edition.txt",
        "edition.eml",
    }
    *fares, last = rows_of(newsletter("status", "--json", cwd=configured))
    assert [fare["source"] for fare in fares] == ["manual", "daily-papers"]
    assert last["silence"].startswith("nobody subscribed")
    assert (
        "nobody subscribed: 9 new papers are ready" in newsletter("status", cwd=configured).stdout
    )


def test_preview_changes_nothing(configured: Path) -> None:
    """A dump of the database is the same before and after."""
    newsletter("ingest", days()[0], cwd=configured)

    def dump() -> list[str]:
        with sqlite3.connect(configured / "newsletter.db") as connection:
            lines = list(connection.iterdump())
        connection.close()
        return lines

    before = dump()
    assert newsletter("preview", cwd=configured).returncode == 0
    assert newsletter("status", cwd=configured).returncode == 0
    assert dump() == before


def test_preview_removes_parts_of_an_earlier_preview(configured: Path) -> None:
    """Afterwards the folder contains this edition and unrelated files."""
    newsletter("ingest", days()[0], cwd=configured)
    (configured / "preview").mkdir()
    for name in ("edition-2.html", "notes.html"):
        (configured / "preview" / name).write_text("old")
    newsletter("preview", cwd=configured)
    names = {path.name for path in (configured / "preview").iterdir()}
    assert names == {"edition.html", "edition.txt", "edition.eml", "notes.html"}


def test_preview_of_an_empty_log_says_why(configured: Path) -> None:
    """Nothing is written, and the exit status is 0."""
    done = newsletter("preview", "--json", cwd=configured)
    assert done.returncode == 0
    assert rows_of(done)[0]["silence"].startswith("nothing new")
    assert not (configured / "preview").exists()


def test_preview_in_a_missing_theme(configured: Path) -> None:
    """The existing themes are named."""
    newsletter("ingest", days()[0], cwd=configured)
    done = newsletter("preview", "--theme", "nope", cwd=configured)
    assert done.returncode == 3
    assert_one_line_each(done)
    assert "default" in done.stderr


def test_preview_serve_answers_on_loopback_until_it_is_stopped(configured: Path) -> None:
    """The folder is served to this machine until Ctrl-C."""
    newsletter("ingest", days()[0], cwd=configured)
    with subprocess.Popen(
        [*INTERRUPTIBLE, "preview", "--serve"],
        cwd=configured,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = next(line for line in server.stdout if line.startswith("http://127.0.0.1:"))
        with urllib.request.urlopen(line.split()[0]) as answer:  # our own server
            assert b"9 new papers" in answer.read()
        server.send_signal(2)
        assert server.wait() == 0


def test_the_served_address_is_a_row(configured: Path) -> None:
    """So that all of standard output is JSON."""
    newsletter("ingest", days()[0], cwd=configured)
    with subprocess.Popen(
        [*INTERRUPTIBLE, "preview", "--serve", "--json"],
        cwd=configured,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(2)]
        server.send_signal(2)
        rest = server.stdout.read()
        assert (server.wait(), rest) == (0, "")
    made, where = map(json.loads, said)
    assert (made["papers"], where["url"][:17]) == (9, "http://127.0.0.1:")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_output_stops_no_work(configured: Path, closed: str) -> None:
    """The work is done although no one reads its output."""
    command = f'"$0" -m newsletter ingest --json "$1" {closed}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, days()[0]],
        cwd=configured,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "9 new papers are ready" in newsletter("status", cwd=configured).stdout


def test_sources_that_were_never_captured_have_rows(configured: Path) -> None:
    """Even before the first ingest."""
    with (configured / "config.toml").open("a") as config:
        config.write('[[sources]]\nname = "never"\npath = "never"\n')
    first = rows_of(newsletter("status", "--json", cwd=configured))
    newsletter("ingest", days()[0], cwd=configured)
    second = rows_of(newsletter("status", "--json", cwd=configured))
    for rows in (first, second):
        row = next(row for row in rows if row.get("source") == "never")
        assert (row["captured_at"], row["held"], row["papers"]) == (None, None, 0)
        assert "silence" in rows[-1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_replay_leaves_nothing(tmp_path: Path, number: int, status: int) -> None:
    """Its temporary database is removed."""
    with subprocess.Popen(
        [*INTERRUPTIBLE, "replay", "-"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,  # which never receives anything
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        while not list(tmp_path.glob("newsletter-*/replay.db-wal")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait() == status
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


def test_held_snapshots_are_listed_released_and_rejected(configured: Path) -> None:
    """The operator decides once; a second decision is refused."""
    (configured / "cut.txt").write_text(
        "Get trending papers in your email inbox!\nSubscribe\nA Lantern\n" + "It shines " * 30
    )
    (configured / "broken.json").write_text("[{")
    done = newsletter("ingest", "cut.txt", "broken.json", cwd=configured)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("2 held: `newsletter snapshots release N`")
    held = rows_of(newsletter("snapshots", "list", "--state", "held", "--json", cwd=configured))
    assert [row["path"] for row in held] == ["cut.txt", "broken.json"]
    lines = newsletter("status", cwd=configured).stdout.splitlines()
    reasons = [line for line in lines if line.startswith("held: snapshot ")]
    assert [reason.split()[2] for reason in reasons] == ["1", "2"]
    (released,) = rows_of(newsletter("snapshots", "release", "1", "--json", cwd=configured))
    assert released["titles"] == ["A Lantern"]
    assert newsletter("snapshots", "release", "2", cwd=configured).returncode == 3
    assert newsletter("snapshots", "reject", "2", cwd=configured).returncode == 0
    assert newsletter("snapshots", "release", "1", cwd=configured).returncode == 2
    states = [
        r["state"] for r in rows_of(newsletter("snapshots", "list", "--json", cwd=configured))
    ]
    assert states == ["accepted", "rejected"]


def test_a_configured_folder_is_ingested_under_its_name(configured: Path) -> None:
    """Whether or not it is named; files already read are skipped the second time."""
    (configured / "captures").mkdir()
    (configured / "config.toml").write_text('[[sources]]\nname = "saved"\npath = "captures"\n')
    for day in days():
        (configured / "captures" / Path(day).name).write_bytes(Path(day).read_bytes())
    named = rows_of(newsletter("ingest", "captures", "--json", cwd=configured))
    assert [(row["source"], row["new"], row["learnt"]) for row in named] == [
        ("saved", 0, 9),
        ("saved", 8, 0),
    ]


def test_init_overwrites_nothing(configured: Path) -> None:
    """An existing configuration stays as it is; a new one is private."""
    before = (configured / "config.toml").read_text()
    done = newsletter("init", cwd=configured)
    assert done.returncode != 0
    assert_one_line_each(done)
    assert (configured / "config.toml").read_text() == before
    assert (configured / "config.toml").stat().st_mode & 0o777 == 0o600


def test_config_check_lists_every_problem_at_once(tmp_path: Path) -> None:
    """Three mistakes give three lines, with the path of the key and a suggestion."""
    (tmp_path / "config.toml").write_text(
        '[newsletter]\nsend_at = "25:00"\n[transports.smtp]\nprot = 25\n[delivery]\nsessions = 0\n'
    )
    done = newsletter("config", "check", cwd=tmp_path)
    assert done.returncode == 2
    assert_one_line_each(done)
    assert "3 problems" in done.stderr
    assert "newsletter.send_at" in done.stderr
    assert "transports.smtp.prot: no such setting (did you mean port?)" in done.stderr
    assert "delivery.sessions" in done.stderr
    (row,) = rows_of(newsletter("config", "check", "--json", cwd=tmp_path))
    assert len(row["problems"]) == 3
    assert newsletter("ingest", days()[0], cwd=tmp_path).returncode == 2


def test_what_init_writes_has_no_problem(configured: Path) -> None:
    """The example is a working configuration."""
    assert newsletter("config", "check", cwd=configured).returncode == 0


def test_without_a_configuration_the_way_to_one_is_named(tmp_path: Path) -> None:
    """Exit status 2, and `newsletter init` in the message."""
    done = newsletter("ingest", days()[0], cwd=tmp_path)
    assert done.returncode == 2
    assert_one_line_each(done)
    assert "newsletter init" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("nope",), ("replay",), ("preview", "--nope"), ("snapshots", "release", "x")]
)
def test_wrong_usage_is_2(configured: Path, arguments: tuple[str, ...]) -> None:
    """Nothing was attempted."""
    done = newsletter(*arguments, cwd=configured)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_imports_little(tmp_path: Path) -> None:
    """`--help` loads neither the database nor the templates."""
    code = (
        "import sys; sys.argv = ['newsletter', '--help']\n"
        "try:\n    from newsletter.cli import main; main()\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'sqlalchemy', 'jinja2', 'bs4',"
        " 'lxml', 'pydantic', 'mjml', 'alembic', 'httpx2', 'tomlkit'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert re.search(r"(?m)^  replay ", done.stdout)


# --- inspecting captures, and other inputs


def test_a_capture_may_come_from_standard_input(tmp_path: Path) -> None:
    """`-` reads the output of another program."""
    done = newsletter("replay", "-", "--json", cwd=tmp_path, stdin=Path(days()[0]).read_bytes())
    (row,) = rows_of(done)
    assert (row["path"], row["new"]) == ("standard input", 9)


def test_inspect_says_what_was_recognised_and_by_which_sign(tmp_path: Path) -> None:
    """Nothing is stored; the first papers are shown with their keys."""
    (row,) = rows_of(newsletter("inspect", days()[0], "--json", cwd=tmp_path))
    assert (row["format"], row["papers"], row["doubts"]) == ("api-json", 9, [])
    assert "JSON array" in row["sign"]
    assert row["first"][0]["key"].startswith("arxiv:2611.9")
    shown = newsletter("inspect", days()[0], cwd=tmp_path).stdout
    assert "api-json, recognised by a JSON array of rows; 9 papers" in shown
    assert list(tmp_path.iterdir()) == []


def test_inspect_of_unreadable_files(tmp_path: Path) -> None:
    """A missing file and an unknown format give one line each."""
    (tmp_path / "x.txt").write_text("Dear diary")
    for name in ("nowhere", "x.txt"):
        done = newsletter("inspect", name, cwd=tmp_path)
        assert done.returncode == 3
        assert_one_line_each(done)


def test_formats_are_listed_with_a_line_each(tmp_path: Path) -> None:
    """Every format of the table, with a description."""
    rows = rows_of(newsletter("formats", "--json", cwd=tmp_path))
    assert [row["format"] for row in rows] == [one.name for one in FORMATS]
    assert all(len(row["about"]) > 20 for row in rows)


def test_a_format_can_be_requested(tmp_path: Path) -> None:
    """`--format` overrides recognition; an unknown one is a usage error."""
    done = newsletter("replay", days()[0], "--format", "text-capture", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert rows_of(done)[0]["held"]
    done = newsletter("replay", days()[0], "--format", "nope", cwd=tmp_path)
    assert done.returncode == 2
    assert "choose one of" in done.stderr


def test_sources_are_imported_from_opml(configured: Path) -> None:
    """Feeds are appended to the configuration once, under unique names."""
    (configured / "feeds.opml").write_text(
        '<opml version="2.0"><body>'
        '<outline text="Lamps &quot;n&quot; Harbours" xmlUrl="https://example.org/a.xml"/>'
        '<outline text="daily-papers"><outline xmlUrl="https://example.org/b.xml" '
        'text="daily-papers"/></outline></body></opml>'
    )
    before = (configured / "config.toml").read_text()
    shown = newsletter("sources", "import", "feeds.opml", "--dry-run", cwd=configured)
    assert shown.stdout.splitlines()[0] == "Would add 2 sources."
    assert (configured / "config.toml").read_text() == before
    (row,) = rows_of(newsletter("sources", "import", "feeds.opml", "--json", cwd=configured))
    assert row == {"added": ['Lamps "n" Harbours', "daily-papers 2"], "dry_run": False}
    after = (configured / "config.toml").read_text()
    start, end = before.split("\n# A folder of saved pages")
    assert after.startswith(start)
    assert after.endswith(end)
    assert newsletter("config", "check", cwd=configured).returncode == 0
    (again,) = rows_of(newsletter("sources", "import", "feeds.opml", "--json", cwd=configured))
    assert again["added"] == []
    assert (configured / "config.toml").read_text() == after


def test_an_invalid_opml_file_changes_nothing(configured: Path) -> None:
    """One line, and the configuration as it was."""
    (configured / "feeds.opml").write_text("<html><p>Not found")
    before = (configured / "config.toml").read_text()
    done = newsletter("sources", "import", "feeds.opml", cwd=configured)
    assert done.returncode == 3
    assert_one_line_each(done)
    assert (configured / "config.toml").read_text() == before


def test_a_page_that_shrank_is_remarked_upon(configured: Path) -> None:
    """Fewer papers than usual are accepted, and mentioned in the status with the beginning of
    the page.
    """
    rows = json.loads(Path(days()[0]).read_text())
    for number in range(6):
        for row in rows:
            row["paper"]["id"] = f"2611.{91000 + number}{rows.index(row)}"[:10]
            row["title"] = f"Lamp {number} of {rows.index(row)}"
        (configured / f"{number}.json").write_text(json.dumps(rows if number < 5 else rows[:1]))
    for number in range(6):
        newsletter("ingest", f"{number}.json", cwd=configured)
    shown = newsletter("status", cwd=configured).stdout
    assert "1 paper, where 9 are usual" in shown
    assert "it begins “[{" in shown


# --- hostile names and text


def test_captured_text_and_names_cannot_act_on_the_terminal(configured: Path) -> None:
    """Escape sequences in a page or a file name are never printed."""
    (configured / "evil\x1b[2J.html").write_text(
        "<!doctype html><title>\x1b]0;pwned\x07</title><p>no papers"
    )
    for arguments in (("ingest", "evil\x1b[2J.html"), ("status",), ("snapshots", "list")):
        done = newsletter(*arguments, cwd=configured)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr


def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    """Its bytes are escaped in reports."""
    folder = tmp_path / "captures"
    folder.mkdir()
    os.rename(  # noqa: PTH104  # bytes, which a path cannot hold
        _copied(days()[0], tmp_path / "x"), os.fsencode(folder) + b"/a\xff.json"
    )
    (row,) = rows_of(newsletter("replay", "captures", "--json", cwd=tmp_path))
    assert row["new"] == 9
    assert row["path"].endswith("a\\xff.json")


def _copied(source: str, to: Path) -> Path:
    to.write_bytes(Path(source).read_bytes())
    return to


def test_an_overlong_name_is_one_line(tmp_path: Path) -> None:
    """The system's error is put into words, and the other captures are read."""
    done = newsletter("replay", "x" * 5000, days()[0], "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert_one_line_each(done)
    assert [row["new"] for row in rows_of(done)] == [0, 9]


def test_editions_stay_below_their_folder(tmp_path: Path) -> None:
    """A capture called `...json` leads nowhere else."""
    _copied(days()[0], tmp_path / "...json")
    newsletter("replay", "./...json", "--out", "deep/out", cwd=tmp_path)
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    assert {path.name for path in (tmp_path / "deep" / "out").iterdir()} == {"capture"}


def test_a_file_from_tomorrow_is_read(tmp_path: Path) -> None:
    """A wrong clock hides no capture."""
    (tmp_path / "captures").mkdir()
    path = _copied(days()[0], tmp_path / "captures" / "a.json")
    os.utime(path, (4e9, 4e9))
    (row,) = rows_of(newsletter("replay", "captures", "--json", cwd=tmp_path))
    assert row["new"] == 9


def test_an_unknown_format_is_refused_before_anything_is_stored(configured: Path) -> None:
    """Exit status 2 means that nothing was attempted."""
    done = newsletter("ingest", days()[0], "--format", "nope", cwd=configured)
    assert done.returncode == 2
    assert rows_of(newsletter("snapshots", "list", "--json", cwd=configured)) == []


def test_reading_commands_create_no_database(configured: Path) -> None:
    """A mistyped file name is an error."""
    (configured / "newsletter.db").unlink()
    for command in ("status", "preview"):
        done = newsletter(command, cwd=configured)
        assert "nothing new: nothing has been captured yet" in done.stdout
        assert not (configured / "newsletter.db").exists()


def test_a_reader_that_stops_reading_stops_nothing(configured: Path) -> None:
    """With `| head -1`, all captures are ingested."""
    command = f"{sys.executable} -m newsletter ingest {' '.join(days())} --json | head -1"
    subprocess.run(["bash", "-c", command], cwd=configured, check=True, capture_output=True)
    rows = rows_of(newsletter("snapshots", "list", "--json", cwd=configured))
    assert [row["state"] for row in rows] == ["accepted", "accepted"]


def test_an_ascii_terminal(tmp_path: Path) -> None:
    """Other characters are escaped; JSON stays JSON."""
    plain = newsletter("demo", cwd=tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert plain.returncode == 0, plain.stderr
    done = newsletter("replay", *days(), "--json", cwd=tmp_path, PYTHONIOENCODING="ascii")
    rows = rows_of(done)
    assert [row["new"] for row in rows] == [9, 8]


def test_serve_gives_editions_to_this_machine_only(configured: Path) -> None:
    """No listing, no file outside the edition, and no other host name."""
    newsletter("ingest", days()[0], cwd=configured)
    with subprocess.Popen(
        [*INTERRUPTIBLE, "preview", "--out", ".", "--serve"],
        cwd=configured,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = next(line for line in server.stdout if line.startswith("http://127.0.0.1:"))
        base = line.rsplit("/", 1)[0]
        for path, host in (
            ("/", None),
            ("/newsletter.db", None),
            ("/edition.html", "evil.example"),
        ):
            request = urllib.request.Request(base + path)  # our own server
            if host:
                request.add_header("Host", host)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            assert refused.value.code == 404
            refused.value.close()
        server.send_signal(2)
        server.wait()


def test_an_umask_is_kept(tmp_path: Path) -> None:
    """Files of editions are as private as the user's files are."""
    command = f"umask 077; {sys.executable} -m newsletter demo"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "demo").rglob("edition.*")}
    assert modes == {0o600}


def test_a_paper_with_many_combining_marks_still_fits(configured: Path) -> None:
    """Characters without width are cut too, so that the edition fits."""
    rows = json.loads(Path(days()[0]).read_text())
    rows[0]["title"] = "A" + "\u0301" * 30_000
    rows[1]["paper"]["authors"] = [{"name": "B" + "\u200b" * 40_000}]
    (configured / "a.json").write_text(json.dumps(rows))
    newsletter("ingest", "a.json", cwd=configured)
    done = newsletter("preview", "--json", cwd=configured)
    assert done.returncode == 0, done.stderr
    assert rows_of(done)[0]["papers"] == 9


def test_a_folder_with_special_characters_in_its_name(tmp_path: Path) -> None:
    """The database is beside the configuration, whatever its folder is called."""
    folder = tmp_path / "50%41 done?"
    folder.mkdir()
    newsletter("init", cwd=folder)
    assert newsletter("ingest", days()[0], cwd=folder).returncode == 0
    assert (folder / "newsletter.db").exists()
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("edition.txt.j2", "{{ nothing }}"),
        ("subject.txt.j2", "{% broken"),
        ("subject.txt.j2", '{{ 1 + "a" }}'),
        ("edition.txt.j2", "no link to leave"),
        ("edition.mjml.j2", "<mjml>" + "<div>" * 20_000),
        ("edition.mjml.j2", '[% extends "themes/default/edition.mjml.j2" %]'),
        (
            "edition.mjml.j2",
            '[% extends "bundled/themes/default/edition.mjml.j2" %]'
            "[% block foot %]<script>x</script>[% endblock %]",
        ),
    ],
)
def test_config_check_makes_a_trial_edition(configured: Path, name: str, text: str) -> None:
    """A theme that would fail later fails now, with one line."""
    folder = configured / "mine" / "themes" / "default"
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    (configured / "config.toml").write_text('[theme]\ntemplates_dir = "mine"\n')
    done = newsletter("config", "check", cwd=configured)
    assert done.returncode == 2, done.stdout
    assert_one_line_each(done)
    assert "theme" in done.stderr


def test_a_second_run_leaves_no_edition_of_the_first(tmp_path: Path) -> None:
    """Where nothing is new, the files of an earlier run are removed."""
    (tmp_path / "c").mkdir()
    _copied(days()[0], tmp_path / "c" / "b.json")
    newsletter("replay", "c", "--out", "o", cwd=tmp_path)
    _copied(days()[0], tmp_path / "c" / "a.json")
    newsletter("replay", "c", "--out", "o", cwd=tmp_path)
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"a"}


def test_odd_arguments_are_one_line(configured: Path) -> None:
    """An empty one, an enormous number, an endless configuration."""
    for arguments, status in (
        (("replay", ""), 3),
        (("snapshots", "release", "9" * 20), 2),
        (("--config", "/dev/zero", "status"), 2),
    ):
        done = newsletter(*arguments, cwd=configured)
        assert done.returncode == status, done
        assert "Traceback" not in done.stderr


def test_a_damaged_row_is_reported(configured: Path) -> None:
    """Bytes that cannot be unpacked mean a damaged database, not a bug."""
    (configured / "x.json").write_text("[{")
    newsletter("ingest", "x.json", cwd=configured)
    with sqlite3.connect(configured / "newsletter.db") as connection:
        connection.execute("UPDATE blobs SET data = x'00'")
    connection.close()
    done = newsletter("snapshots", "release", "1", cwd=configured)
    assert done.returncode == 3
    assert_one_line_each(done)
    assert "damaged" in done.stderr


def test_sources_lists_them_with_or_without_the_subcommand(configured: Path) -> None:
    """Those of the configuration, before and after the database exists, and all others."""
    for file in configured.glob("newsletter.db*"):
        file.unlink()
    rows = rows_of(newsletter("sources", "--json", cwd=configured))
    assert [(row["source"], row["configured"]) for row in rows] == [("daily-papers", True)]
    assert rows[0]["location"].startswith("https://huggingface.co/")
    assert list(configured.iterdir()) == [configured / "config.toml"]
    newsletter("ingest", days()[0], cwd=configured)
    rows = rows_of(newsletter("sources", "list", "--json", cwd=configured))
    assert [(row["source"], row["configured"], row["snapshots"]) for row in rows] == [
        ("manual", False, 1),
        ("daily-papers", True, 0),
    ]
    shown = newsletter("sources", cwd=configured)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == newsletter("sources", "list", cwd=configured).stdout
    assert "daily-papers: https://huggingface.co/" in shown.stdout


def test_a_rename_says_what_remains_to_be_done(configured: Path) -> None:
    """A source that cannot be renamed is a one-line error with status 2."""
    newsletter("ingest", days()[0], cwd=configured)
    for old, new, said in (
        ("no", "b", "there is no source no; known sources: manual"),
        ("no", "no", "the source is called no already"),
    ):
        done = newsletter("sources", "rename", old, new, cwd=configured)
        assert done.returncode == 2
        assert_one_line_each(done)
        assert said in done.stderr
    done = newsletter("sources", "rename", "manual", "lab", cwd=configured)
    assert done.returncode == 0, done.stderr
    assert "Renamed manual to lab" in done.stdout
    assert "lab is not in the configuration yet" in done.stdout
    assert "`newsletter serve`" in done.stdout


@pytest.mark.parametrize("since", ["9999-12-31T23:59:59-12:00", "soon", "2999-01-01"])
def test_an_invalid_time_is_a_one_line_error(configured: Path, since: str) -> None:
    """Suppressions can be undone only since a time in the past."""
    newsletter("ingest", days()[0], cwd=configured)
    done = newsletter("suppressions", "undo", "--since", since, cwd=configured)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--since" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_database_is_not_nothing_new(configured: Path) -> None:
    """Files beside its place show that there was one."""
    newsletter("ingest", days()[0], cwd=configured)
    newsletter("subscribers", "add", "ana@example.org", cwd=configured)
    newsletter("run", cwd=configured)
    (configured / "newsletter.db").rename(configured / "elsewhere.db")
    silence = rows_of(newsletter("status", "--json", cwd=configured))[-1]["silence"]
    assert silence.startswith("held: the database is gone from ")
    assert "newsletter restore FILE" in silence


def test_the_operator_ends_the_links_of_a_subscriber(configured: Path) -> None:
    """The row has the keys of similar commands; the subscriber is found by any spelling of the
    address.
    """
    newsletter("subscribers", "add", "root@localhost", cwd=configured)

    def settings() -> str:
        with opened(load_config(str(configured / "config.toml"))) as app:
            (root,) = app.subscribers.lifecycle.listed()
            return app.subscribers.links.settings_token(root, datetime.now(UTC))

    def opens(token: str) -> bool:
        with opened(load_config(str(configured / "config.toml"))) as app:
            return app.subscribers.settings_links.subscriber_of(token) == 1

    before = settings()
    assert opens(before)
    (row,) = rows_of(
        newsletter("subscribers", "revoke", "root@localhost", "--json", cwd=configured)
    )
    assert row.keys() >= {"address", "state", "cadence", "cursor", "next_due_at"}
    assert (row["address"], row["state"]) == ("root@localhost", "active")
    assert not opens(before)
    assert opens(settings())
    done = newsletter("subscribers", "revoke", "root@localhost", cwd=configured)
    assert (
        "root@localhost can no longer use links mailed before, except to unsubscribe" in done.stdout
    )
    done = newsletter("subscribers", "revoke", "ana@example.org", cwd=configured)
    assert done.returncode == 2
    assert "there is no subscriber ana@example.org" in done.stderr


def test_dkim_generate(tmp_path: Path) -> None:
    """The key is private and overwrites none; the record is shown, and mail is signed with it."""
    text = '[newsletter]\nsender = "news@example.org"\nowner = "me@example.org"\n'
    (tmp_path / "config.toml").write_text(text)
    (row,) = rows_of(newsletter("dkim", "generate", "--json", cwd=tmp_path))
    assert row["name"] == "news._domainkey.example.org"
    assert row["record"].startswith("v=DKIM1; k=rsa; p=MII")
    assert (tmp_path / "dkim-news.pem").stat().st_mode & 0o777 == 0o600
    assert newsletter("dkim", "generate", cwd=tmp_path).returncode
    with (tmp_path / "config.toml").open("a") as file:
        file.write('[dkim]\nkey_file = "dkim-news.pem"\n')
    newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path)
    assert rows_of(newsletter("send-test", "ada@example.net", "--json", cwd=tmp_path))
    (mail,) = (tmp_path / "outbox").glob("*.eml")
    assert mail.read_bytes().startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")


@pytest.mark.parametrize("words", ["status", "subscribers list", "ingest captures", "deliveries"])
def test_commands_that_render_nothing_import_no_templates(configured: Path, words: str) -> None:
    """Neither the HTML parser, nor Jinja, nor what migrates a database: each takes a while."""
    (configured / "captures").mkdir()
    newsletter("ingest", days()[0], cwd=configured)
    command = [sys.executable, "-X", "importtime", "-m", "newsletter", *words.split()]
    done = subprocess.run(command, cwd=configured, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "sqlalchemy" in imported
    assert not imported & {"bs4", "jinja2", "alembic", "mjml", "starlette"}
