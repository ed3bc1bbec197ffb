"""`sources add`, `test` and `remove`: what they show, what they write, and their errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter.app.inspection import sample
from newsletter.config.file import example_config, load_config
from tests.support.captures import MADE
from tests.support.commands import Here, assert_one_line_each, rows_of
from tests.support.format_captures import preprint_rss
from tests.support.http_server import Server, reply


@pytest.fixture
def here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Here:
    """Runs commands in a folder with the example configuration."""
    (tmp_path / "config.toml").write_text(example_config())
    return Here(capfd, monkeypatch)


@pytest.fixture
def server() -> Iterator[Server]:
    """A site with a feed, a page that is no list of papers, and nothing else."""
    opened = Server({"/feed": reply(preprint_rss(MADE)), "/page": reply(b"<html><p>Hello")})
    yield opened
    opened.close()


def config() -> str:
    """Returns the text of the configuration."""
    return Path("config.toml").read_text()


def test_a_folder_is_read_once_and_added(here: Here) -> None:
    """Its newest file is shown, its path is relative, and nothing is stored."""
    Path("captures").mkdir()
    for file in sample():
        (Path("captures") / file.name).write_bytes(file.read_bytes())
    done = here("sources", "add", "captures", "--every", "6h", "--format", "api-json")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "captures: 11 papers of 2026-11-20, read as api-json"
    assert lines[1].startswith("    Compost: ")
    assert lines[4] == "    and 8 more"
    assert lines[-2].startswith("Added captures to the configuration: ")
    assert '\nname = "captures"\npath = "captures"\nevery = "6h"\nformat = "api-json"\n' in config()
    section = load_config("config.toml").sources[1]
    assert section.path == str(Path("captures").absolute())
    assert not Path("newsletter.db").exists()


def test_a_preset_is_added_unread(here: Here) -> None:
    """The row has the same keys as after a check."""
    done = here("sources", "add", "arxiv", "cs.CL", "cs.LG", "--no-check", "--json")
    (row,) = rows_of(done)
    assert row == {
        "source": "arxiv-cs.CL-cs.LG",
        "ok": None,
        "format": None,
        "papers": None,
        "day": None,
        "titles": [],
        "notes": [],
        "doubts": [],
        "error": None,
        "location": "https://rss.arxiv.org/rss/cs.CL+cs.LG",
        "every": 6 * 3600,
        "dates": row["dates"],
    }
    assert row["dates"].startswith("The date is the day on which arXiv announced")
    assert load_config("config.toml").sources[1].url == row["location"]


def test_names_are_distinct(here: Here) -> None:
    """A default name that is taken gets a number."""
    for url in ("https://www.example.org/a", "https://example.org/b"):
        assert here("sources", "add", url, "--no-check").returncode == 0
    names = [section.name for section in load_config("config.toml").sources]
    assert names == ["daily-papers", "example.org", "example.org 2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hf-daily"], "it is configured already, as the source daily-papers"),
        (["arxiv"], "arxiv: it needs a category; write `newsletter sources add arxiv CATEGORY…`"),
        (["openreview", "x"], "openreview: OpenReview answers its API only for browsers"),
        (["arxivv", "cs.CL"], "“arxivv” is not a preset, so nothing can follow it"),
        (["nowhere"], "there is no preset, file or folder “nowhere”; name a URL"),
        (["medrxiv", "--name", "daily-papers"], "there is a source daily-papers already"),
        (["medrxiv", "--name", ""], "name: "),
        (["medrxiv", "--every", "soon"], "every: "),
        (["medrxiv", "--format", "nope"], "there is no format “nope”"),
    ],
)
def test_what_cannot_be_added(here: Here, words: list[str], said: str) -> None:
    """One line with status 2, and the file as it was."""
    done = here("sources", "add", *words, "--no-check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")
    assert_one_line_each(done)
    assert config() == example_config()


def test_a_place_that_cannot_be_read_is_not_added(here: Here, server: Server) -> None:
    """The error says why and how to add it anyway."""
    url = server.url("/feed")
    done = here("sources", "add", url)
    assert (done.returncode, done.stdout) == (3, "")
    assert "loopback address" in done.stderr
    assert "nothing was written: --no-check adds it unread" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert config() == example_config()
    assert server.requests == []
    assert here("sources", "add", url, "--no-check").returncode == 0
    assert load_config("config.toml").sources[1].url == url


def _on(server: Server, **paths: str) -> str:
    """Returns sections of sources on the server."""
    return "".join(
        f'[[sources]]\nname = "{name}"\nurl = "{server.url(path)}"\nallow_private = true\n'
        for name, path in paths.items()
    )


def test_sources_are_tested_once_without_storing_anything(here: Here, server: Server) -> None:
    """Each has a row; one that fails does not keep the others from being read."""
    Path("config.toml").write_text(_on(server, page="/page", gone="/gone", feed="/feed"))
    done = here("sources", "test", "--json")
    page, gone, feed = rows_of(done)
    assert (done.returncode, done.stderr) == (3, "")
    assert server.paths() == ["/page", "/gone", "/feed"]
    assert (page["ok"], gone["ok"], feed["ok"]) == (False, False, True)
    assert page["error"].startswith(f"{server.url('/page')}: not a capture of papers")
    assert "404" in gone["error"]
    assert feed == {
        "source": "feed",
        "ok": True,
        "format": "feed",
        "papers": 3,
        "day": None,
        "titles": [paper.title for paper in MADE],
        "notes": [],
        "doubts": [],
        "error": None,
    }
    assert sorted(path.name for path in Path().iterdir()) == ["config.toml"]


def test_sources_are_tested_by_name(here: Here, server: Server) -> None:
    """The status is 0 if those that were named can be read; unknown names are an error."""
    Path("config.toml").write_text(_on(server, gone="/gone", feed="/feed"))
    done = here("sources", "test", "feed")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "feed: 3 papers, read as feed"
    done = here("sources", "test", "gone")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: gone: http://")
    assert_one_line_each(done)
    done = here("sources", "test", "no")
    assert done.returncode == 2
    assert done.stderr == ("error: there is no source no in the configuration; it has gone, feed\n")


def test_an_empty_folder_can_be_added_and_tested(here: Here) -> None:
    """It is where captures will be saved."""
    Path("captures").mkdir()
    (row,) = rows_of(here("sources", "add", "captures", "--json"))
    assert (row["ok"], row["papers"], row["notes"]) == (True, 0, ["there are no files yet"])


def test_a_source_is_removed_with_its_history_kept(here: Here) -> None:
    """The rest of the file stays as it is."""
    here("sources", "add", "medrxiv", "--no-check")
    done = here("sources", "remove", "medrxiv-all")
    assert (done.returncode, done.stderr) == (0, "")
    assert "stay in the database" in done.stdout
    assert config() == example_config()
    done = here("sources", "remove", "medrxiv-all")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no source medrxiv-all in the configuration")
    (row,) = rows_of(here("sources", "remove", "daily-papers", "--json"))
    assert row == {
        "source": "daily-papers",
        "location": "https://huggingface.co/api/daily_papers?date={date}",
        "removed": True,
    }
    assert load_config("config.toml").sources == ()
    done = here("sources", "test")
    assert done.stdout.startswith("There are no sources in the configuration.")


def test_a_source_is_renamed_in_the_configuration_and_the_database(here: Here) -> None:
    """Its captures go on under the new name; the rest of the file stays."""
    Path("captures").mkdir()
    for file in sample():
        (Path("captures") / file.name).write_bytes(file.read_bytes())
    here("sources", "add", "captures", "--no-check")
    here("sources", "remove", "daily-papers")
    here("ingest")
    before = config()
    (row,) = rows_of(here("sources", "rename", "captures", "pages", "--json"))
    assert (row["source"], row["configured"], row["merged"]) == ("pages", True, False)
    assert config() == before.replace('name = "captures"', 'name = "pages"')
    (row,) = rows_of(here("sources", "--json"))
    assert (row["source"], row["configured"], row["snapshots"]) == ("pages", True, len(sample()))


def test_a_source_that_was_never_captured_is_renamed(here: Here) -> None:
    """Before there is a database, and with one that does not know it."""
    assert here("sources", "rename", "daily-papers", "hf").returncode == 0
    assert not Path("newsletter.db").exists()
    here("subscribers", "add", "ada@example.org")
    assert here("sources", "rename", "hf", "daily").returncode == 0
    assert [section.name for section in load_config("config.toml").sources] == ["daily"]


def test_a_name_that_cannot_be_given_changes_nothing(here: Here) -> None:
    """The configuration is as it was, whether the name is taken or refused by the database."""
    Path("captures").mkdir()
    here("sources", "add", "captures", "--no-check")
    here("subscribers", "add", "ada@example.org")
    before = config()
    for name in ("daily-papers", "manual", " ", "captures"):
        done = here("sources", "rename", "captures", name)
        assert (done.returncode, config()) == (2, before)
    done = here("sources", "rename", "nothing", "other")
    assert (done.returncode, config()) == (2, before)


def test_a_rename_that_the_database_refuses_is_undone(here: Here) -> None:
    """The configuration has the old name again."""
    Path("newsletter.db").write_bytes(b"another program's file" * 300)
    done = here("sources", "rename", "daily-papers", "hf")
    assert (done.returncode, done.stdout, config()) == (2, "", example_config())
    assert_one_line_each(done)
