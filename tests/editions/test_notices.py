"""Subject and text of notices, from the bundled templates or the operator's."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.editions.notice_kinds import (
    CHANGE,
    CHANGED,
    CONFIRM,
    KNOWN,
    REPORT,
    SETTINGS,
    TEST,
    WEEKLY,
)
from newsletter.editions.notices import Notices
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
    """Returns subject and text of a notice with typical facts, some replaced by `facts`."""
    return Notices(folder).words(kind, **{**FACTS[kind], **facts})


def report(*troubles: str) -> tuple[str, str]:
    """Returns a report of these troubles."""
    return words(REPORT, troubles=troubles)


def template(folder: Path, kind: str, text: str | bytes) -> Path:
    """Writes a template of the operator's, and returns their templates folder."""
    path = folder / "mail" / f"{kind}.txt.j2"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


# --- bundled templates


def test_every_notice_is_tested_here() -> None:
    """A new template needs facts in this file."""
    assert sorted(FACTS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_notice_is_a_subject_and_text(kind: str) -> None:
    """The subject is one line with the newsletter's name; the lines of the text are short."""
    subject, text = words(kind)
    assert subject == clean(subject)
    assert "Lamps" in subject
    assert subject not in text
    assert text == text.strip() + "\n"
    assert max(width(line) for line in text.split("\n")) <= TEXT_COLUMNS
    assert "\n\n\n" not in text


def test_the_text_of_a_test_mail() -> None:
    """It has its purpose, the time and the server."""
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
    """The number is in the subject; each is an item of the list, in order."""
    found, text = report(*troubles)
    assert found == subject
    assert re.findall(r"^- (.*)$", text, re.MULTILINE) == troubles
    assert ("Everything that was reported before is settled." in text) is (not troubles)
    assert "`newsletter status` shows the current state." in text.replace("\n", " ")


def test_a_long_trouble_is_not_cut() -> None:
    """It is broken only at spaces, so that commands in it can be copied."""
    _, text = report(LONG + "`newsletter snapshots release 3`", "Two.")
    first, _, rest = text.partition("\n\n- Two.")
    assert " ".join(first.split()) == "- " + (LONG + "`newsletter snapshots release 3`")
    assert rest


@pytest.mark.parametrize("title", [title for title in HOSTILE if clean(title)])
def test_hostile_text_stays_text(title: str) -> None:
    """It is neither executed nor escaped, because the mail is not HTML."""
    title = clean(title)
    subject, text = words(REPORT, name=title, troubles=[title])
    assert subject == f"{title}: 1 thing to look at"
    assert "- " + title in " ".join(text.split())
    assert f"from {title} arrives" in " ".join(words(TEST, name=title)[1].split())


@given(st.lists(TITLES, max_size=4), TITLES)
def test_any_text_is_preserved(troubles: list[str], name: str) -> None:
    """It may come from a server or a source; the subject stays one line."""
    subject, text = words(REPORT, name=name, troubles=troubles)
    assert subject.startswith(name)
    assert "\n" not in subject
    shown = "".join(text.split())
    at = 0
    for trouble in troubles:
        at = shown.index("-" + "".join(trouble.split()), at)


# --- the operator's templates


def test_the_operators_template_is_used(tmp_path: Path) -> None:
    """Its first line is the subject; surrounding white space is removed."""
    folder = template(tmp_path, TEST, "  Hello from {{ name }}  \n\n\n  It left {{ at }}.\n\n\n")
    assert words(TEST, folder) == ("Hello from Lamps", "It left 2026-11-20 07:30 UTC.\n")


def test_other_notices_use_the_bundled_templates(tmp_path: Path) -> None:
    """Templates are replaced file by file."""
    assert words(TEST, tmp_path) == words(TEST)
    folder = template(tmp_path, TEST, "Hello\nthere\n")
    assert words(TEST, folder) == ("Hello", "there\n")
    assert words(REPORT, folder) == words(REPORT)


def test_a_template_can_include_the_bundled_one(tmp_path: Path) -> None:
    """The template that it replaces has another name."""
    folder = template(
        tmp_path, TEST, "Hello\n{% include 'bundled/mail/test.txt.j2' %}\nYours, {{ name|upper }}\n"
    )
    subject, text = words(TEST, folder)
    assert subject == "Hello"
    assert text == "\n".join(words(TEST)) + "Yours, LAMPS\n"


def test_a_template_of_one_line_is_only_a_subject(tmp_path: Path) -> None:
    """The text is empty."""
    assert words(TEST, template(tmp_path, TEST, "Hello {{ name }}")) == ("Hello Lamps", "\n")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_line_ends_of_templates_are_normalised(ends: str, tmp_path: Path) -> None:
    """They may come from another system."""
    folder = template(tmp_path, TEST, f"Hello{ends}{ends}One{ends}{ends}Two{ends}")
    assert words(TEST, folder) == ("Hello", "One\n\nTwo\n")


def test_a_changed_template_is_reloaded(tmp_path: Path) -> None:
    """The program does not have to be restarted."""
    notices = Notices(template(tmp_path, TEST, "Hello\n"))
    assert notices.words(TEST)[0] == "Hello"
    path = template(tmp_path, TEST, "Good morning\n") / "mail/test.txt.j2"
    os.utime(path, (1, 1))
    assert notices.words(TEST)[0] == "Good morning"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ name", "end of"),
        ("{% if name %}Hello", "endif"),
        ("{% nothing %}", "nothing"),
        ("{{ no_such }}", "'no_such' is undefined"),
        ("{{ name.colour }}", "colour"),
        ("{{ name|sparkle }}", "sparkle"),
        ("{% include 'mail/nowhere.txt.j2' %}", "nowhere"),
        ("{% extends 'mail/test.txt.j2' %}", "extends or includes itself"),
        ("{{ 1 / 0 }}", "zero"),
        ("{{ name + 1 }}", "str"),
        ("{{ name() }}", "callable"),
        ("{{ [].pop() }}", "empty list"),
        ("{{ at|hang(name) }}", "int"),
        (b"Hello \xe4\n", "it is not UTF-8 text"),
    ],
)
def test_a_broken_template_is_reported(text: str | bytes, reason: str, tmp_path: Path) -> None:
    """The error has its name, what is wrong and what to do, on one line."""
    folder = template(tmp_path, TEST, text)
    with pytest.raises(RenderError) as caught:
        words(TEST, folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}/mail/test.txt.j2, line 1: ")
    assert reason in message
    assert message.endswith("; fix the template")
    assert message == clean(message)


def test_a_broken_template_does_not_affect_others(tmp_path: Path) -> None:
    """The report is still rendered."""
    notices = Notices(template(tmp_path, TEST, "{{ name"))
    with pytest.raises(RenderError):
        notices.words(TEST, **FACTS[TEST])
    assert notices.words(REPORT, **FACTS[REPORT]) == words(REPORT)


@pytest.mark.parametrize("kind", ["nowhere", "", "../mail/test", "/etc/passwd"])
def test_an_unknown_notice_is_an_error(kind: str) -> None:
    """A path outside the folder is unknown too."""
    with pytest.raises(RenderError) as caught:
        Notices().words(kind)
    assert caught.value.where == f"mail/{kind}.txt.j2"


def test_a_missing_fact_is_an_error() -> None:
    """Nothing is omitted silently."""
    with pytest.raises(RenderError) as caught:
        Notices().words(TEST, name="Lamps")
    assert "undefined" in str(caught.value)


@pytest.mark.parametrize("made", [False, True])
def test_a_missing_templates_folder_is_an_error(made: bool, tmp_path: Path) -> None:
    """It is missing or a file; the error names the setting."""
    folder = tmp_path / "templates"
    if made:
        folder.write_text("Hello\n")
    with pytest.raises(RenderError) as caught:
        Notices(folder)
    assert str(caught.value) == f"{folder}: no such folder; check [theme] templates_dir"


def test_the_original_error_is_kept(tmp_path: Path) -> None:
    """Its traceback has the line in the template."""
    folder = template(tmp_path, TEST, "Hello\n\n{{ 1 / 0 }}\n")
    with pytest.raises(RenderError) as caught:
        words(TEST, folder)
    frames = "".join(traceback.format_exception(caught.value))
    assert re.search(r"test\.txt\.j2\", line 3", frames)
