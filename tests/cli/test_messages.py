"""What commands, pages and mails say: what happened, where, and what to do next."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from newsletter import cli
from newsletter.app.composition import opened
from newsletter.app.status import StatusReader
from newsletter.app.unfinished import TOPICS
from newsletter.cli.output import status_lines
from newsletter.config.file import example_config, load_config
from newsletter.models import DeliveryState, EditionState
from newsletter.planning.edition_review import EditionProgress
from newsletter.storage.editions import EditionRow
from newsletter.subscribers.address import parse_address
from tests.support.captures import api_json, made
from tests.support.commands import Here, rows_of
from tests.support.databases import new_file
from tests.support.website import opened as opened_site

Made = Callable[[Path], None]
"""Puts something at a path."""


@pytest.fixture
def newsletter(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Here:
    """Runs commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Here(capfd, monkeypatch)


def test_the_page_after_a_request_says_how_long_its_own_link_is_valid(tmp_path: Path) -> None:
    """Three days for a confirmation, thirty for a link to the settings."""
    with opened_site(tmp_path) as site:
        asked = site.subscribe().text
        number = site.joined()
        mailed = site.post(site.leaving(number), {"do": "settings"}).text
    assert "confirm" in asked
    assert "valid for 3 days" in asked
    assert "link to your settings" in mailed
    assert "valid for 30 days" in mailed
    assert "misspelt" not in mailed


def _of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url)")
        other.execute("CREATE TABLE folders (name)")
        other.commit()


def _of_a_newer_version(path: Path) -> None:
    with closing(sqlite3.connect(new_file(path))) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()


def _damaged(path: Path) -> None:
    whole = new_file(path).read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (lambda path: path.write_text('name = "x"\n'), "not a newsletter database"),
        (lambda path: path.touch(), "this file is empty"),
        (lambda _: None, "no such file"),
        (Path.mkdir, "this is a folder"),
        (_of_another_program, "belongs to another program"),
        (_of_a_newer_version, "written by a newer version"),
        (_damaged, "this backup is damaged"),
    ],
)
def test_restore_says_what_is_wrong_with_a_file_that_is_no_backup(
    newsletter: Here, tmp_path: Path, put: Made, said: str
) -> None:
    """It names that file and what to give instead, and leaves the database alone."""
    newsletter("init")
    before = (tmp_path / "newsletter.db").read_bytes()
    put(tmp_path / "given")
    done = newsletter("restore", "given")
    assert done.returncode in (2, 3)
    assert done.stderr.startswith("error: given: ")
    assert said in done.stderr
    assert "; " in done.stderr  # what to do
    assert "make room" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "newsletter.db").read_bytes() == before


def configure(text: str = "", **newsletter: object) -> None:
    """Writes a configuration without sources of the internet into the current folder."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in newsletter.items()]
    Path("config.toml").write_text("\n".join(["[newsletter]", *lines, "", text]))


def test_a_failed_fetch_names_its_address_once(newsletter: Here) -> None:
    """The line begins with the address; the error does not repeat it."""
    configure('[[sources]]\nname = "shut"\nurl = "http://127.0.0.1:9/papers"\n')
    said = newsletter("ingest").stderr
    assert said.startswith("http://127.0.0.1:9/papers  failed: 127.0.0.1 is a loopback address; ")
    assert said.count("http://") == 1


def test_config_is_taken_before_and_after_the_command(newsletter: Here) -> None:
    """Also after a command below another; the last one counts."""
    configure()
    Path("config.toml").rename("x.toml")
    for line in (
        ("--config", "x.toml", "sources", "list"),
        ("sources", "--config", "x.toml", "list"),
        ("sources", "list", "--config", "x.toml"),
        ("--config", "y.toml", "sources", "list", "--config", "x.toml"),
    ):
        assert newsletter(*line).returncode == 0
    assert "y.toml: there is no configuration" in newsletter("status", "--config", "y.toml").stderr


def with_papers(*, held: bool = False) -> None:
    """Configures a folder with a day's papers, and one subscriber who gets mail as files."""
    Path("papers").mkdir()
    data = b"<html>nothing of papers</html>" if held else api_json(made("Lamps", "Oil"))
    Path("papers/2026-11-20.json").write_bytes(data)
    os.utime("papers/2026-11-20.json", (1, 1))
    configure('[[sources]]\nname = "desk"\npath = "papers"\n', sender="a@lamps.example")


@pytest.mark.parametrize("before", [True, False])
def test_quiet_prints_nothing_when_all_is_well(newsletter: Here, *, before: bool) -> None:
    """Neither what was done nor why nothing was; JSON is as ever."""
    with_papers()

    def quiet(*command: str) -> subprocess.CompletedProcess[str]:
        return newsletter("-q", *command) if before else newsletter(*command, "--quiet")

    newsletter("subscribers", "add", "mira@example.org")
    for command in (("ingest",), ("run",), ("status",), ("run", "--due-now")):
        done = quiet(*command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), command
    assert rows_of(quiet("run", "--json"))[-1]["sent"] == 0
    assert len(quiet("subscribers", "export").stdout.splitlines()) == 2  # data, not a message


def test_quiet_prints_what_needs_attention(newsletter: Here) -> None:
    """A held capture, an error."""
    with_papers(held=True)
    newsletter("subscribers", "add", "mira@example.org")
    done = newsletter("run", "--quiet")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "2026-11-20.json  held (snapshot 1): " in done.stderr
    assert "no subscriber" in newsletter("-q", "subscribers", "pause", "x@example.org").stderr


def test_verbose_logs_each_step_to_standard_error(newsletter: Here) -> None:
    """What is printed stays as it is, JSON included."""
    with_papers()
    newsletter("subscribers", "add", "mira@example.org")
    for line in (("run", "-v", "--json"), ("--verbose", "run", "--json")):
        done = newsletter(*line)
        assert rows_of(done)[-1]["stopped"] is None
        events = [json.loads(one)["event"] for one in done.stderr.splitlines()]
        assert {"planned", "sent", "backup"} <= set(events)
        assert {"captured", "unchanged"} & set(events)
    assert newsletter("-q", "-v", "status").returncode == 2
    assert newsletter("-q", "status", "-v").returncode == 2


def test_editions_say_what_became_of_them_and_of_their_mails(newsletter: Here) -> None:
    """In words an operator knows; scripts find the state they know, too."""
    with_papers()
    newsletter("subscribers", "add", "mira@example.org")
    newsletter("subscribers", "add", "ana@example.org")
    with opened(load_config(None)) as app:
        list(app.sources.ingest_configured())
        app.planner.plan(due_now=True)
    assert "  waiting   " in newsletter("editions", "list").stdout
    newsletter("subscribers", "pause", "ana@example.org")
    newsletter("run")
    (line,) = newsletter("editions", "list").stdout.splitlines()
    assert re.search(r"^ +1  sent      \S+ \S+ UTC  2 papers · 1 sent · 1 cancelled: ", line)
    (row,) = rows_of(newsletter("editions", "list", "--json"))
    assert (row["state"], row["progress"], row["papers"]) == ("frozen", "sent", 2)
    wanted = {"sent": 1, "waiting": 0, "failed": 0, "unknown": 0, "cancelled": 1}
    assert row["mails"] == wanted


@pytest.mark.parametrize(
    ("state", "planned", "skipped", "counts", "word"),
    [
        (EditionState.HELD, False, False, {}, "held"),
        (EditionState.REJECTED, False, False, {}, "rejected"),
        (EditionState.REJECTED, False, True, {}, "skipped"),
        (EditionState.FROZEN, False, False, {}, "released"),
        (EditionState.FROZEN, True, False, {DeliveryState.QUEUED: 2}, "waiting"),
        (
            EditionState.FROZEN,
            True,
            False,
            {DeliveryState.SENT: 1, DeliveryState.DEFERRED: 1},
            "sending",
        ),
        (EditionState.FROZEN, True, False, {DeliveryState.UNKNOWN: 1}, "sent"),
        (EditionState.FROZEN, True, False, {DeliveryState.REFUSED: 1}, "not sent"),
        (EditionState.FROZEN, True, False, {}, "sent"),  # its records were pruned
    ],
)
def test_what_became_of_an_edition(
    state: EditionState,
    planned: bool,
    skipped: bool,
    counts: dict[DeliveryState, int],
    word: str,
) -> None:
    """By its own state and those of its mails."""
    at = datetime(2026, 11, 20, tzinfo=UTC)
    row = EditionRow(1, "k", (1,), state, None, "Lamps", at, at if planned else None, None)
    assert EditionProgress(row, counts, skipped=skipped).word == word


def test_a_test_mail_needs_no_database_yet(newsletter: Here) -> None:
    """It is the first thing that one tries with a new configuration."""
    configure(sender="a@lamps.example")
    done = newsletter("send-test", "mira@example.org")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sent")


def test_replayed_feeds_are_not_compared_with_each_other(newsletter: Here) -> None:
    """A small feed beside a large one has not shrunk."""
    for day in range(10, 16):
        large = made(*(f"Lamp {number} of day {day}" for number in range(30)))
        Path(f"large-2026-11-{day}.json").write_bytes(api_json(large))
    Path("small-2026-11-16.json").write_bytes(api_json(made("Oil")))
    Path("large-2026-11-16.json").write_bytes(api_json(made("Wicks")))
    folder = sorted(str(path) for path in Path().glob("*.json"))
    of_large, of_small = newsletter("replay", *folder).stdout.split("small-")
    assert "1 paper, where 30 are usual" in of_large
    assert "usual" not in of_small


def test_an_inspection_says_of_how_many_papers_it_shows_the_first(newsletter: Here) -> None:
    """No more than that is said of a short list."""
    Path("long.json").write_bytes(api_json(made(*(f"Lamp {number}" for number in range(35)))))
    Path("short.json").write_bytes(api_json(made("Lamp")))
    assert "; 35 papers, the first 5 of them:\n" in newsletter("inspect", "long.json").stdout
    assert newsletter("inspect", "short.json").stdout.splitlines()[0].endswith("; 1 paper")


def test_an_empty_folder_is_told_of(newsletter: Here) -> None:
    """Rather than nothing at all."""
    newsletter("init")
    Path("papers/older").mkdir(parents=True)
    for words in (["ingest", "papers"], ["replay", "papers"]):
        assert "note: papers: there are no files in this folder yet" in newsletter(*words).stderr


def test_a_theme_that_does_not_exist_is_told_of_without_papers(newsletter: Here) -> None:
    """Although there is no edition to show in it."""
    newsletter("init")
    done = newsletter("preview", "--theme", "nope")
    assert (done.returncode, done.stdout) == (3, "")
    assert "nope" in done.stderr


def test_subfolders_that_are_not_read_are_told_of(newsletter: Here) -> None:
    """With how many they are and how they are read."""
    with_papers()
    for name in ("papers/2025", "papers/2026", "papers/.cache"):
        Path(name).mkdir()
    for command in (("ingest",), ("ingest", "papers"), ("replay", "papers")):
        said = newsletter(*command).stderr
        assert "papers: 2 subfolders are not read, such as " in said
        assert "[[sources]]" in said
    assert newsletter("ingest", "papers/2025", "--quiet").stderr == ""


def test_a_backup_replaces_no_file_unless_told_to(newsletter: Here) -> None:
    """Neither by its name nor by that of its folder."""
    newsletter("init")
    Path("copies").mkdir()
    assert newsletter("backup", "copies").stdout.endswith(" to copies/newsletter.db.\n")
    Path("copies/newsletter.db").write_text("mine")
    for target in ("copies", "copies/newsletter.db"):
        done = newsletter("backup", target)
        assert done.returncode == 2
        assert done.stderr == (
            "error: copies/newsletter.db: this file exists already; give another name, or --force "
            "to replace it\n"
        )
        assert Path("copies/newsletter.db").read_text() == "mine"
    assert newsletter("backup", "copies", "--force").returncode == 0
    assert Path("copies/newsletter.db").read_bytes().startswith(b"SQLite")


def test_a_pause_may_have_an_end(newsletter: Here) -> None:
    """A later one replaces it; a date that is over, or too far off, is refused."""
    newsletter("init")
    newsletter("subscribers", "add", "mira@example.org")
    today = datetime.now(UTC).date()
    for days in (30, 10):
        until = str(today + timedelta(days=days))
        done = newsletter("subscribers", "pause", "mira@example.org", "--until", until)
        assert done.stdout == f"mira@example.org is paused until {until}\n"
    with opened(load_config(None)) as app:
        number = app.subscribers.lifecycle.find(parse_address("mira@example.org")).id
        view = app.subscribers.preference_centre.view(number)
    assert view
    assert str(view.details.paused_until) == until
    for days in (0, 400):
        wrong = str(today + timedelta(days=days))
        done = newsletter("subscribers", "pause", "mira@example.org", "--until", wrong)
        assert done.returncode == 2
        assert "write a date from tomorrow on, at most a year from now" in done.stderr


def test_what_was_ingested_once_leaves_the_status_after_a_week(newsletter: Here) -> None:
    """A configured source does not; neither does what is held."""
    with_papers()
    Path("once").mkdir()
    Path("once/x.json").write_bytes(api_json(made("Wicks")))
    newsletter("ingest")
    newsletter("ingest", "once", "once/x.json")
    config = load_config(None)

    def shown(days: int) -> str:
        later = datetime.now(UTC) + timedelta(days=days)
        with opened(config) as app:
            found = StatusReader(config, app.database, lambda: later).read()
        return "\n".join(status_lines(found))

    now, later = shown(0), shown(8)
    assert str(Path("once").resolve()) in now
    assert "manual: " in now
    assert str(Path("once").resolve()) not in later
    assert "manual: " not in later
    assert "desk: " in later
    Path("bad.json").write_text("{")
    newsletter("ingest", "bad.json")
    assert "manual: " in shown(8)


def test_every_time_of_day_names_its_zone(newsletter: Here) -> None:
    """In what commands print."""
    with_papers()
    newsletter("subscribers", "add", "mira@example.org")
    newsletter("run", "--due-now")
    for command in (
        ("status",),
        ("sources", "list"),
        ("snapshots", "list"),
        ("editions", "list"),
        ("deliveries", "list"),
        ("subscribers", "list"),
        ("why", "mira@example.org"),
        ("why", "Lamps"),
    ):
        said = newsletter(*command).stdout
        assert re.search(r"\d\d:\d\d", said), command
        assert not re.search(r"\d\d:\d\d(?!:| UTC|\d)", said), said


def test_the_pages_name_the_zone_of_a_time_of_day(tmp_path: Path) -> None:
    """Where a subscriber reads when the next edition comes."""
    with opened_site(tmp_path) as site:
        site.subscribe(form={"time_zone": "America/New_York"})
        site.work()
        page = site.post(site.link("confirm")).text
        settings = site.get(site.settings(site.number())).text
    assert re.search(r"\w+day 07:30 \(America/New York time\)", page)
    assert "In your time zone, which is below. Leave it empty for 07:30" in settings


ONE_OF_MANY = re.compile(
    r"(?<![\d.,-])1 (?:new |bad |active )*(?:paper|subscriber|mail|edition|source|capture|address"
    r"|problem|row|line|attempt|notice|warning|failure)e?s\b|\b1 people\b"
)


def test_one_is_never_told_in_the_plural(newsletter: Here) -> None:
    """One paper, one subscriber, one mail; in commands, files of the edition and the trace."""
    Path("papers").mkdir()
    Path("papers/2026-11-20.json").write_bytes(api_json(made("Lamps")))
    os.utime("papers/2026-11-20.json", (1, 1))
    configure('[[sources]]\nname = "desk"\npath = "papers"\n', sender="a@lamps.example")
    Path("list.csv").write_text("address\nmira@example.org\nbroken\n")
    Path("feeds.opml").write_text('<opml><body><outline xmlUrl="http://x.example/"/></body></opml>')
    lines = [
        *(("ingest",), ("subscribers", "import", "list.csv"), ("status",), ("preview",)),
        *(("why", "mira@example.org"), ("why", "Lamps"), ("run", "--due-now"), ("status",)),
        *(("editions", "list"), ("snapshots", "list"), ("deliveries",), ("inspect",)),
        *(("sources", "import", "feeds.opml"), ("prune", "--older-than", "1s")),
        *(("subscribers", "pause", "mira@example.org"), ("subscribers", "export"), ("status",)),
        *(("replay", "papers"), ("config", "check")),
    ]
    for line in lines:
        done = newsletter(*line)
        assert not ONE_OF_MANY.search(done.stdout + done.stderr), done
    for file in Path("preview").iterdir():
        assert not ONE_OF_MANY.search(file.read_text()), file


def test_what_has_no_effect_yet_is_accepted_and_said(newsletter: Here, tmp_path: Path) -> None:
    """Topics and the domain of bounces; help, pages and the example do not offer them."""
    configure(bounce_domain="bounces.lamps.example", owner="o@lamps.example")
    assert "note: newsletter.bounce_domain: " in newsletter("config", "check").stderr
    newsletter("ingest", "nothing")  # makes the database
    Path("list.csv").write_text("address,topics\nmira@example.org,oil\nana@example.org,\n")
    done = newsletter("subscribers", "import", "list.csv")
    assert done.returncode == 0
    assert done.stderr == f"note: {TOPICS}\n"
    assert TOPICS in newsletter("subscribers", "change", "ana@example.org", "--topics", "x").stderr
    assert newsletter("subscribers", "change", "ana@example.org", "--cadence", "daily").stderr == ""
    assert "oil" in newsletter("subscribers", "export").stdout
    for command in ("add", "change", "import"):
        assert "topic" not in newsletter("subscribers", command, "--help").stdout
    assert "bounce_domain" not in example_config()
    with opened_site(tmp_path) as site:
        number = site.joined()
        with site.database.write() as tx:
            tx.exec_driver_sql("UPDATE subscribers SET topics = '[\"oil\"]'")
        site.post(site.settings(number), {"do": "preferences", "cadence": "weekdays"})
        assert "opic" not in site.get(site.settings(number)).text
        assert site.person()["topics"] == '["oil"]'


def test_a_faulty_line_of_an_import_says_where_and_what_next(newsletter: Here) -> None:
    """One line each, and how to go on."""
    newsletter("init")
    Path("list.csv").write_text("address,cadence\nmira@example.org,\nbroken,hourly\nx@y@z,\n")
    done = newsletter("subscribers", "import", "list.csv")
    first, second, then = done.stderr.splitlines()
    assert first.startswith('line 3: address: an address has one "@"; cadence: ')
    assert first.endswith("(“broken,hourly”)")
    assert second.startswith("line 4: ")
    assert then == (
        "2 lines were left out; fix them and import the file again: subscribers already added do "
        "not change"
    )
    done = newsletter("subscribers", "add", "broken")
    assert done.stderr == 'error: broken: an address has one "@"\n'
    done = newsletter("subscribers", "add", "mira@example.org", "--cadence", "hourly")
    assert done.stderr.startswith("error: --cadence hourly: write ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nosuch", "newsletter: there is no command nosuch; see `newsletter --help`"),
        ("config chek", "newsletter config: there is no command chek (did you mean check?); "),
        ("ingest --formt x", "newsletter ingest: there is no option --formt (did you mean "),
        ("web extra", "newsletter web: unexpected argument: extra; "),
        ("subscribers add", "newsletter subscribers add: ADDRESS is missing; see `newsletter "),
        ("suppressions undo", "newsletter suppressions undo: --since is missing; "),
        ("status --config", "newsletter: --config needs a value; see `newsletter --help`"),
        ("editions release x", "newsletter editions release: EDITION: write its number, such as 3"),
        ("subscribers export --state x", "newsletter subscribers export: --state: write active or"),
        ("deliveries --state x", "newsletter deliveries: --state: write queued, sending, "),
        ("deliveries retry", "newsletter deliveries retry: give at least one of --state, "),
        ("subscribers change mira@example.org", "newsletter subscribers change: give at least "),
        ("subscribers pause mira@example.org --until soon", "--until soon: write a date, such as"),
        ("subscribers resume x@example.org", "there is no subscriber x@example.org; `newsletter "),
        ("subscribers import no.csv", "no.csv: no such file; check the path"),
        ("suppressions undo --since x", "--since x: write a time, such as "),
        ("suppressions undo --since 2999-01-01", "--since 2999-01-01: write a time in the past"),
        ("editions release 9", "there is no edition 9; `newsletter editions list` shows them"),
        ("why Oil", "no known paper matches “Oil”; give its arXiv id, DOI, URL or title"),
        ("why x@example.org", "there is no record of x@example.org; `newsletter subscribers list`"),
        ("inspect config.toml", "config.toml: not a capture of papers in a known format: "),
        ("inspect http://x.example/a", "http://x.example/a: only files can be inspected; save "),
        ("sources import config.toml", "config.toml: not an OPML file; export the list"),
        ("init", "config.toml: this file exists already; `newsletter init` on a terminal changes "),
        ("init no/x.toml", "no/x.toml: its folder does not exist; create it, or name another"),
        ("--config no/x.toml init", "no/x.toml: its folder does not exist; "),
        ("dkim generate", "newsletter.sender: a signature needs the domain that the mail "),
        ("doctor --dkim-selector a/b", "--dkim-selector a/b: write letters, digits, hyphens and "),
    ],
)
def test_a_mistake_is_answered_in_one_line(newsletter: Here, line: str, said: str) -> None:
    """The line says where, what is wrong, and what to write; it is not the parser's own."""
    newsletter("init")
    newsletter("subscribers", "add", "mira@example.org")
    done = newsletter(*line.split())
    assert done.returncode in (2, 3)
    assert done.stderr.startswith(f"error: {said}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_configuration_is_written_where_it_is_looked_for(newsletter: Here) -> None:
    """A command that misses a configuration names the file that `init` then writes."""
    missing = newsletter("--config", "x.toml", "status")
    assert missing.stderr.startswith("error: x.toml: there is no configuration; `newsletter init`")
    assert newsletter("--config", "x.toml", "init").stdout.startswith("Wrote x.toml.\n")
    assert newsletter("--config", "x.toml", "status").returncode == 0
    assert not Path("config.toml").exists()


def test_problems_of_the_configuration_name_their_file_and_variable(
    newsletter: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that only sending would meet; a single one does not refer to a list."""
    configure('[delivery]\ntransport = "smtp"\n')
    first, *others = newsletter("config", "check").stderr.splitlines()
    assert first == "config.toml: 3 problems"
    assert [one.partition(":")[0].strip() for one in others] == [
        "newsletter.sender",
        "newsletter.owner",
        "transports.smtp.host",
    ]
    configure()
    monkeypatch.setenv("NEWSLETTER__DELIVERY__SESSIONS", "many")
    assert newsletter("status").stderr == (
        "error: config.toml: delivery.sessions: write a whole number (set by "
        "NEWSLETTER__DELIVERY__SESSIONS); fix it, then run `newsletter config check`\n"
    )
    monkeypatch.delenv("NEWSLETTER__DELIVERY__SESSIONS")
    Path("config.toml").chmod(0o666)
    assert "note: config.toml: every account" in newsletter("config", "check").stderr


def test_an_empty_list_is_said_to_be_empty(newsletter: Here) -> None:
    """To people; scripts get no row."""
    newsletter("init")
    for what in ("snapshots", "editions", "deliveries", "subscribers"):
        assert newsletter(what, "list").stdout == "Nothing to list.\n"
        assert newsletter(what, "list", "--json").stdout == ""


def test_a_preview_without_an_edition_offers_only_what_there_is(newsletter: Here) -> None:
    """`--last` does not refer to itself; papers without subscribers lead to adding one."""
    with_papers()
    newsletter("ingest", "papers")
    last = newsletter("preview", "--last").stdout
    assert "--sample" in last
    assert "--last" not in last
    reason = (
        "nobody subscribed: 2 new papers are ready; `newsletter subscribers add ADDRESS` adds a "
        "subscriber"
    )
    assert reason in newsletter("preview").stdout
    assert reason in newsletter("status").stdout


def _commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from _commands(one, (*path, name))


_SUMMARY = 80 - len("  suppressions  ") - 2  # what a terminal of usual width has room for
COMMANDS = {" ".join(path): command for path, command in _commands(cli.cli)}
ODD = re.compile(r"\b([Nn]obody|[Ss]omebody|[Ee]verybody|[Ww]hoever|people|readers?|fares?|mend)\b")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option_in_a_line(name: str) -> None:
    """The summary of a command is not cut where commands are listed; options are explained."""
    command = COMMANDS[name]
    with click.Context(command, info_name=name) as context:
        summary = command.get_short_help_str(limit=_SUMMARY if name else 80)
        assert not summary.endswith("..."), summary
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, option
                assert option.help.endswith((".", "]")), option.help
        text = command.get_help(context)
    assert not ODD.search(text), text
    assert name == "" or "--config FILE, -q and -v" in text


def test_the_list_of_commands_is_not_cut(newsletter: Here) -> None:
    """In a terminal of usual width."""
    said = newsletter("--help").stdout.partition("Commands:")[2]
    assert "..." not in said
    for name in (name for name in COMMANDS if name and " " not in name):
        assert f"  {name} " in said


def test_pages_and_mails_speak_plainly(tmp_path: Path) -> None:
    """The front page says what comes and when; no page or mail has an odd turn."""
    odd = re.compile(r"[Ss]omebody|[Nn]obody|we hope|\bholds?\b|slip\b|can get it|[Nn]othing more")
    with opened_site(tmp_path) as site:
        front = site.get("/").text
        promise = (
            'class="promise">Every day at 07:30 <span class="zone">(UTC)</span>: the new papers'
        )
        assert promise in front
        assert "each one once.</p>" in front
        number = site.joined()
        pages = [site.get(site.leaving(number)), site.post(site.leaving(number))]
        pages += [site.post(site.leaving(number), {"do": "undo"}), site.get("/preferences/x")]
        pages += [site.get("/confirm/x"), site.get(site.settings(number)), site.subscribe()]
        site.work()
        site.post(site.settings(number), {"do": "address", "address": "jonas@example.org"})
        site.work()
        mails = [words for _, words in site.mails()]
    assert "Unsubscribed by mistake?" in pages[1].text
    assert "This link is invalid or has expired" in pages[3].text
    assert any("Someone (hopefully you) asked" in words for words in mails)
    for words in (front, *(page.text for page in pages), *mails):
        assert not odd.search(re.sub(r"<style.*?</style>|<[^>]+>", "", words)), words


def test_an_import_from_another_service_says_what_became_of_its_subscribers(
    newsletter: Here,
) -> None:
    """It names the service, warns of what its export leaves out, and counts each fate."""
    newsletter("init")
    Path("list.csv").write_text(
        "uuid,email,name,attributes,status,created_at,updated_at\n"
        "1,mira@example.org,Mira,{},enabled,,\n"
        "2,jonas@example.org,Jonas,{},disabled,,\n"
        "3,ana@example.org,Ana,{},asleep,,\n"
    )
    done = newsletter("subscribers", "import", "list.csv")
    service, warning, bad, _ = done.stderr.splitlines()
    assert service == "note: this is an export of listmonk"
    assert warning.startswith("warning: listmonk's export does not say who left a list")
    assert bad.startswith("line 4: status: “asleep” is not one of enabled, disabled, blocklisted")
    assert done.stdout == "Added 1 subscriber, 1 now unsubscribed, 1 bad line.\n"
