"""`preview`, `replay` and `demo`: which edition is shown, to whom, and as configured where."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from newsletter.app.composition import opened
from newsletter.app.inspection import sample
from newsletter.config.file import load_config
from newsletter.editions.preview import TOKEN
from tests.support.commands import Here, newsletter, rows_of

CONFIG = """
[newsletter]
name = "Harbour Papers"
base_url = "https://papers.example.org"
postal_address = "1 Harbour Street"
time_zone = "Europe/Berlin"
"""
FOOT = """[% extends "bundled/themes/default/edition.mjml.j2" %]
[% block heading %]<h1>Fresh from the quay</h1>[% endblock %]
"""


@pytest.fixture
def here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Here:
    """Returns commands in a folder with a configuration."""
    (tmp_path / "config.toml").write_text(CONFIG)
    return Here(capfd, monkeypatch)


def ingest(here: Here, day: int = 0) -> None:
    """Ingests a day of the sample."""
    assert here("ingest", str(sample()[day])).returncode == 0


def message(file: Path) -> EmailMessage:
    """Returns a mail."""
    found = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


# --- nothing new


def test_nothing_new_names_what_can_be_shown(here: Here, tmp_path: Path) -> None:
    """Before there is a database, and when there is one; nothing is written."""
    for _ in range(2):
        done = here("preview")
        assert done.returncode == 0
        *reasons, hint = done.stdout.splitlines()
        assert reasons[0].startswith("nothing new: ")
        assert "`newsletter preview --last`" in hint
        assert "`newsletter preview --sample`" in hint
        (row,) = rows_of(here("preview", "--json"))
        assert (row["silence"], row["hint"]) == ("; ".join(reasons), hint)
        with opened(load_config(None)):
            pass
    assert not (tmp_path / "preview").exists()


# --- the sample


def test_the_sample_needs_no_database(here: Here, tmp_path: Path) -> None:
    """It looks as configured, and creates nothing but its files."""
    (row,) = rows_of(here("preview", "--sample", "--json"))
    assert row["papers"] == len(row["titles"]) == 9
    html = (tmp_path / "preview" / "edition.html").read_text()
    assert "Harbour Papers" in html
    assert "1 Harbour Street" in html
    assert {path.name for path in tmp_path.iterdir()} == {"config.toml", "preview"}


# --- the last edition


def test_the_last_edition_is_shown_as_it_was_sent(here: Here, tmp_path: Path) -> None:
    """Also after the theme has changed; to a subscriber, the last that was sent to them."""
    ingest(here)
    assert "nothing new: nothing was sent yet" in here("preview", "--last").stdout
    here("subscribers", "add", "ada@example.org")
    assert here("run", "--due-now").returncode == 0
    (sent,) = (tmp_path / "outbox").glob("*.eml")
    put_theme(tmp_path)
    here("subscribers", "add", "bea@example.org")
    for words in ((), ("--subscriber", "ada@example.org")):
        (row,) = rows_of(here("preview", "--last", "--json", *words))
        assert row["papers"] == len(row["titles"]) == 9
        assert row["subject"] == message(sent)["Subject"]
        shown = message(tmp_path / "preview" / "edition.eml")
        texts = [one.get_body(("plain",)) for one in (message(sent), shown)]
        first, second = [one.get_content().splitlines() for one in texts if one]
        different = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
        assert all("/unsubscribe/" in one for pair in different for one in pair)
        assert different
    silent = here("preview", "--last", "--subscriber", "bea@example.org").stdout
    assert "nothing new: nothing was sent to bea@example.org yet" in silent


@pytest.mark.parametrize("other", ["--sample", "--theme=default"])
def test_what_the_last_edition_cannot_be_shown_with(other: str, here: Here) -> None:
    """It is shown as it was sent."""
    done = here("preview", "--last", other)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


# --- for a subscriber


def test_a_subscribers_preview_is_addressed_to_them(here: Here, tmp_path: Path) -> None:
    """With links of the right form that work for no subscriber: others may open the preview."""
    ingest(here)
    here("subscribers", "add", "ada@bücher.example", "--cadence", "weekly:mon", "--send-at", "6:00")
    done = here("preview", "--subscriber", "ada@bücher.example")
    assert "for ada@bücher.example: active, weekly:mon, due Monday " in done.stdout
    assert " 06:00 in Europe/Berlin" in done.stdout
    assert "its personal links are placeholders" in done.stdout
    mail = message(tmp_path / "preview" / "edition.eml")
    assert mail["To"] == "ada@xn--bcher-kva.example"
    link = f"https://papers.example.org/unsubscribe/{TOKEN}"
    assert link in (tmp_path / "preview" / "edition.html").read_text()
    assert mail["List-Unsubscribe"].startswith(f"<{link}>")
    with opened(load_config(None)) as app:
        assert app.subscribers.links.unsubscribes(TOKEN) is None
    (row,) = rows_of(here("preview", "--subscriber", "ada@bücher.example", "--json"))
    assert row["subscriber"]["cadence"] == "weekly:mon"
    sampled = here("preview", "--sample", "--subscriber", "ada@bücher.example")
    assert "for ada@bücher.example" in sampled.stdout


def test_what_a_subscriber_gets_next(here: Here) -> None:
    """First the edition that is planned for them, then what is new, then a reason."""
    ingest(here)
    here("subscribers", "add", "ada@example.org")
    asked = ("preview", "--subscriber", "ada@example.org")
    with opened(load_config(None)) as app:
        app.planner.plan(due_now=True)
    ingest(here, 1)
    (planned,) = rows_of(here(*asked, "--json"))
    assert planned["papers"] == 9
    assert here("run").returncode == 0
    (new,) = rows_of(here(*asked, "--json"))
    assert not set(new["titles"]) & set(planned["titles"])
    assert here("run", "--due-now").returncode == 0
    said = here(*asked).stdout
    assert "nothing new: every paper so far was sent to ada@example.org\n" in said
    assert "--sample" in said


def test_a_subscriber_who_gets_nothing(here: Here) -> None:
    """A paused one gets it later; one who has left does not."""
    ingest(here)
    here("subscribers", "add", "ada@example.org")
    here("subscribers", "pause", "ada@example.org")
    assert (
        "for ada@example.org: paused" in here("preview", "--subscriber", "ada@example.org").stdout
    )
    here("subscribers", "unsubscribe", "ada@example.org")
    said = here("preview", "--subscriber", "ada@example.org").stdout
    assert "nobody subscribed: ada@example.org is unsubscribed and gets no editions\n" in said


# --- `replay` and `demo`


def put_theme(folder: Path) -> None:
    """Configures templates of the operator."""
    theme = folder / "mine" / "themes" / "default"
    theme.mkdir(parents=True)
    (theme / "edition.mjml.j2").write_text(FOOT)
    (folder / "config.toml").write_text(
        CONFIG + '[theme]\ntemplates_dir = "mine"\naccent = "#8a1c1c"\nexcerpts = 1\n'
    )


@pytest.mark.parametrize("words", [("replay", str(sample()[0]), "--out", "out"),
                                   ("demo", "--out", "out")])  # fmt: skip
def test_the_named_configuration_is_used(
    words: tuple[str, ...], here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its theme and settings, but not its database; without a name, none is looked for."""
    put_theme(tmp_path)
    page = tmp_path / "out" / sample()[0].stem / "edition.html"

    def is_ours() -> bool:
        text = page.read_text()
        page.unlink()
        found = {one in text for one in ("Fresh from the quay", "Harbour Papers", "#8a1c1c")}
        (configured,) = found
        return configured

    assert here("--config", "config.toml", *words).returncode == 0
    assert is_ours()
    assert here(*words).returncode == 0
    assert not is_ours()
    monkeypatch.setenv("NEWSLETTER_CONFIG", "config.toml")
    assert here(*words).returncode == 0
    assert is_ours()
    assert not (tmp_path / "newsletter.db").exists()


def test_a_replay_shows_the_faulty_line_of_a_template(here: Here, tmp_path: Path) -> None:
    """Below the message; the capture counts as failed."""
    put_theme(tmp_path)
    file = tmp_path / "mine" / "themes" / "default" / "subject.txt.j2"
    file.write_text("{{ content.subjct }}")
    words = ("--config", "config.toml", "replay", str(sample()[0]), "--out", "out")
    done = here(*words)
    assert done.returncode == 3
    assert f"{file}, line 1: 'Content object' has no attribute 'subjct'" in done.stderr
    assert "    > 1 | {{ content.subjct }}" in done.stderr
    missing = newsletter("--config", "gone.toml", "demo", cwd=tmp_path)
    assert missing.returncode == 2
    assert "gone.toml: there is no configuration" in missing.stderr
