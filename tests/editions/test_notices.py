"""The words of notices: their first line is the subject, the operator's templates win."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.editions.notices import (
    CHANGE,
    CHANGED,
    CONFIRM,
    KNOWN,
    REPORT,
    SETTINGS,
    TEST,
    WEEKLY,
    Notices,
)
from newsletter.editions.templating import TEXT_COLUMNS, bundled_templates
from newsletter.errors import RenderError
from newsletter.text.clean import clean, width
from tests.support.builders import HOSTILE

LINK = "https://lamps.example.org/confirm/" + "A" * 36

FACTS: Mapping[str, Mapping[str, object]] = {
    TEST: {"name": "Lamps", "at": "2026-11-20 07:30 UTC", "through": "mail.example.org:465"},
    REPORT: {
        "name": "Lamps",
        "troubles": ["The source harbour fails: no such page."],
        "faults": ["newsletter.alert_url: the server answered 500; check the URL"],
    },
    WEEKLY: {
        "name": "Lamps",
        "since": "2026-11-16",
        "papers": 1_204,
        "mails": 31_000,
        "active": 4_400,
        "paused": 12,
        "came": 40,
        "left": 3,
        "ended": ["2 refused", "1 unknown"],
        "troubles": ["The source harbour fails: no such page."],
    },
    CONFIRM: {"name": "Lamps", "link": LINK, "settings": LINK},
    KNOWN: {"name": "Lamps", "settings": LINK},
    SETTINGS: {"name": "Lamps", "settings": LINK},
    CHANGE: {"name": "Lamps", "link": LINK, "settings": LINK},
    CHANGED: {"name": "Lamps"},
}
KINDS = sorted(
    path.name.removesuffix(".txt.j2") for path in (bundled_templates() / "mail").iterdir()
)
LONG = "Snapshot 3 of harbour is held: " + "it has more than ten times as many papers; " * 9

TITLES = st.text(st.characters(codec="utf-8")).filter(lambda text: bool(clean(text))).map(clean)


def words(kind: str, folder: Path | None = None, **facts: object) -> tuple[str, str]:
    """Subject and text of a notice with ordinary facts, but for those that are given."""
    return Notices(folder).words(kind, **{**FACTS[kind], **facts})


def report(*troubles: str) -> tuple[str, str]:
    """A report of these troubles."""
    return words(REPORT, troubles=troubles)


def template(folder: Path, kind: str, text: str | bytes) -> Path:
    """A template of the operator's, in their folder of templates."""
    path = folder / "mail" / f"{kind}.txt.j2"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


# --- ours


def test_every_notice_is_tried_here() -> None:
    """A new template needs its facts in this file."""
    assert sorted(FACTS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_notice_is_a_subject_and_text(kind: str) -> None:
    """The subject one line with the newsletter's name, the text in lines that mail shows whole."""
    subject, text = words(kind)
    assert subject == clean(subject)
    assert "Lamps" in subject
    assert subject not in text
    assert text == text.strip() + "\n"
    assert max(width(line) for line in text.split("\n")) <= TEXT_COLUMNS
    assert "\n\n\n" not in text


def test_the_words_of_a_test() -> None:
    """What it was sent for, when, and through what."""
    subject, text = words(TEST)
    assert subject == "A test mail from Lamps"
    assert text == (
        "This is a test of whether mail from Lamps arrives. It did.\n\n"
        "It was sent at 2026-11-20 07:30 UTC through mail.example.org:465.\n\n"
        "Editions are sent the same way, each with a link to unsubscribe.\n"
    )


@pytest.mark.parametrize(
    ("troubles", "subject"),
    [
        ([], "Lamps: all is well again"),
        (["One."], "Lamps: 1 thing to look at"),
        (["One.", "Two."], "Lamps: 2 things to look at"),
        ([f"{n}." for n in range(100)], "Lamps: 100 things to look at"),
    ],
)
def test_a_report_counts_its_troubles(troubles: list[str], subject: str) -> None:
    """In the subject; each is an item of its own, in order."""
    found, text = report(*troubles)
    assert found == subject
    assert re.findall(r"^- (.*)$", text, re.MULTILINE) == troubles
    assert ("Everything that was reported before is settled." in text) is (not troubles)
    assert "`newsletter status` shows the current state." in text.replace("\n", " ")


def test_a_long_trouble_is_whole() -> None:
    """Broken at spaces only, so that a command in it can be copied."""
    _, text = report(LONG + "`newsletter snapshots release 3`", "Two.")
    first, _, rest = text.partition("\n\n- Two.")
    assert " ".join(first.split()) == "- " + (LONG + "`newsletter snapshots release 3`")
    assert rest


@pytest.mark.parametrize("title", [title for title in HOSTILE if clean(title)])
def test_hostile_words_stay_words(title: str) -> None:
    """Nothing is run, nothing is escaped: it is text, and not HTML."""
    title = clean(title)
    subject, text = words(REPORT, name=title, troubles=[title])
    assert subject == f"{title}: 1 thing to look at"
    assert "- " + title in " ".join(text.split())
    assert f"from {title} arrives" in " ".join(words(TEST, name=title)[1].split())


@given(st.lists(TITLES, max_size=4), TITLES)
def test_any_words_are_said(troubles: list[str], name: str) -> None:
    """Whatever a server or a source has said; the subject stays one line."""
    subject, text = words(REPORT, name=name, troubles=troubles)
    assert subject.startswith(name)
    assert "\n" not in subject
    said = "".join(text.split())
    at = 0
    for trouble in troubles:
        at = said.index("-" + "".join(trouble.split()), at)


# --- the operator's


def test_the_operators_template_wins(tmp_path: Path) -> None:
    """Its first line is the subject; what is around it and behind it is cut off."""
    folder = template(tmp_path, TEST, "  Hello from {{ name }}  \n\n\n  It left {{ at }}.\n\n\n")
    assert words(TEST, folder) == ("Hello from Lamps", "It left 2026-11-20 07:30 UTC.\n")


def test_other_notices_stay_ours(tmp_path: Path) -> None:
    """One wins file by file, also in a folder that has none of them."""
    assert words(TEST, tmp_path) == words(TEST)
    folder = template(tmp_path, TEST, "Hello\nthere\n")
    assert words(TEST, folder) == ("Hello", "there\n")
    assert words(REPORT, folder) == words(REPORT)


def test_a_template_can_add_to_ours(tmp_path: Path) -> None:
    """The one that it replaces is there under another name."""
    folder = template(
        tmp_path, TEST, "Hello\n{% include 'bundled/mail/test.txt.j2' %}\nYours, {{ name|upper }}\n"
    )
    subject, text = words(TEST, folder)
    assert subject == "Hello"
    assert text == "\n".join(words(TEST)) + "Yours, LAMPS\n"


def test_a_template_of_one_line_is_a_subject(tmp_path: Path) -> None:
    """Of a mail that says nothing more."""
    assert words(TEST, template(tmp_path, TEST, "Hello {{ name }}")) == ("Hello Lamps", "\n")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_template_from_another_system(ends: str, tmp_path: Path) -> None:
    """Its line ends are ours."""
    folder = template(tmp_path, TEST, f"Hello{ends}{ends}One{ends}{ends}Two{ends}")
    assert words(TEST, folder) == ("Hello", "One\n\nTwo\n")


def test_a_mended_template_is_read_again(tmp_path: Path) -> None:
    """Also by a program that goes on running."""
    notices = Notices(template(tmp_path, TEST, "Hello\n"))
    assert notices.words(TEST)[0] == "Hello"
    path = template(tmp_path, TEST, "Good morning\n") / "mail/test.txt.j2"
    os.utime(path, (1, 1))
    assert notices.words(TEST)[0] == "Good morning"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ name", "end of"),
        ("{% if name %}Hello", "endif"),
        ("{% nothing %}", "nothing"),
        ("{{ nobody }}", "'nobody' is undefined"),
        ("{{ name.colour }}", "colour"),
        ("{{ name|sparkle }}", "sparkle"),
        ("{% include 'mail/nowhere.txt.j2' %}", "nowhere"),
        ("{% extends 'mail/test.txt.j2' %}", "recursion"),
        ("{{ 1 / 0 }}", "zero"),
        ("{{ name + 1 }}", "str"),
        ("{{ name() }}", "callable"),
        ("{{ [].pop() }}", "empty list"),
        ("{{ at|hang(name) }}", "int"),
        (b"Hello \xe4\n", "codec"),
    ],
)
def test_a_broken_template_is_said(text: str | bytes, says: str, tmp_path: Path) -> None:
    """With its name, what is wrong, and what to do, on one line."""
    folder = template(tmp_path, TEST, text)
    with pytest.raises(RenderError) as caught:
        words(TEST, folder)
    said = str(caught.value)
    assert said.startswith("mail/test.txt.j2: the template is wrong (")
    assert says in said
    assert said.endswith("; fix the template")
    assert said == clean(said)


def test_a_broken_template_breaks_no_other(tmp_path: Path) -> None:
    """The report still goes out."""
    notices = Notices(template(tmp_path, TEST, "{{ name"))
    with pytest.raises(RenderError):
        notices.words(TEST, **FACTS[TEST])
    assert notices.words(REPORT, **FACTS[REPORT]) == words(REPORT)


@pytest.mark.parametrize("kind", ["nowhere", "", "../mail/test", "/etc/passwd"])
def test_there_is_no_such_notice(kind: str) -> None:
    """And no way out of the folder."""
    with pytest.raises(RenderError) as caught:
        Notices().words(kind)
    assert caught.value.where == f"mail/{kind}.txt.j2"


def test_a_missing_fact_is_an_error() -> None:
    """Nothing is left out silently."""
    with pytest.raises(RenderError) as caught:
        Notices().words(TEST, name="Lamps")
    assert "undefined" in str(caught.value)


@pytest.mark.parametrize("made", [False, True])
def test_there_is_no_such_folder(made: bool, tmp_path: Path) -> None:
    """It is missing, or it is a file: said at once, with the setting to check."""
    folder = tmp_path / "templates"
    if made:
        folder.write_text("Hello\n")
    with pytest.raises(RenderError) as caught:
        Notices(folder)
    assert str(caught.value) == f"{folder}: no such folder; check [theme] templates_dir"


def test_the_first_cause_is_kept(tmp_path: Path) -> None:
    """For whoever looks for the line in the template."""
    folder = template(tmp_path, TEST, "Hello\n\n{{ 1 / 0 }}\n")
    with pytest.raises(RenderError) as caught:
        words(TEST, folder)
    frames = "".join(traceback.format_exception(caught.value))
    assert re.search(r"test\.txt\.j2\", line 3", frames)
