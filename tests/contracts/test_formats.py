"""The contract of every format: no paper is invented or lost, and only our errors are raised."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter import formats
from newsletter.errors import NewsletterError, SnapshotUnreadable
from newsletter.formats import FORMATS, Document
from newsletter.models import Paper, Snapshot
from newsletter.text.clean import clean
from tests.support.builders import HOSTILE
from tests.support.captures import CAPTURES, MADE, Builder, made
from tests.support.format_captures import IDS_ONLY, NO_ABSTRACTS, TEX
from tests.support.soak import SOAK

WAYS = [
    pytest.param(name, build, id=f"{name}-{build.__name__}")
    for name, ways in CAPTURES.items()
    for build in ways
]
TITLED = [way for way in WAYS if way.values[0] not in IDS_ONLY]
WITH_ABSTRACTS = [way for way in WAYS if way.values[0] not in NO_ABSTRACTS]
PLAIN = [way for way in TITLED if way.values[0] not in TEX]
TITLES = [paper.title for paper in MADE]
ODD = (
    *HOSTILE,
    "A Lone \ud800 Surrogate",
    "2 OLMo 2 Furious",
    "Subscribe to Lamps",
    "new Lamps",
    "Nov 20 Lamps in a Row",
    "Janus: a Lamp with Two Faces",
    "[1] Lamps",
    "A" * 175,
    "Is a Question a Lamp?",
    "&nbsp;&lt;&quot;",
    "\\u0041 \\n \\",
    "<!-- Lamps -->",
    "</div></article>",
    "data-props=\"{'dailyPapers': []}\"",
)


def parsed(name: str, data: bytes) -> Snapshot:
    """Parses bytes in the format as which they are recognised."""
    snapshot = formats.parse(data)
    assert snapshot.format == name
    return snapshot


def titles(snapshot: Snapshot) -> list[str]:
    """Returns the titles in order."""
    return [paper.title for paper in snapshot.papers]


@pytest.mark.parametrize("name", [f.name for f in FORMATS])
def test_every_format_has_a_capture(name: str) -> None:
    """A new format needs one in `tests/support/captures.py`."""
    assert name in CAPTURES, f"add an invented capture of “{name}” to CAPTURES in tests/support"


def test_every_capture_has_a_format() -> None:
    """Captures of removed formats must be removed."""
    assert set(CAPTURES) <= {f.name for f in FORMATS}


def test_names_are_unique() -> None:
    """They are used by `--format` and stored with every snapshot."""
    names = [f.name for f in FORMATS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "build"), WAYS)
def test_a_capture_is_recognised_as_its_own_format(name: str, build: Builder) -> None:
    """No format earlier in the list recognises it, and the reason can be displayed."""
    found, sign = formats.sniff(Document(build(MADE)))
    assert found.name == name
    assert sign == clean(sign)


@pytest.mark.parametrize(("name", "build"), WITH_ABSTRACTS)
def test_titles_abstracts_and_order_are_preserved(name: str, build: Builder) -> None:
    """They are exact, and there are no doubts."""
    snapshot = parsed(name, build(MADE))
    assert [(p.title, p.abstract) for p in snapshot.papers] == [(p.title, p.abstract) for p in MADE]
    assert snapshot.doubts == ()


@pytest.mark.parametrize(("name", "build"), TITLED)
@given(papers=st.permutations(made("Lamps", "Oil", "Wicks", "Quays", "Lamps 2")))
def test_any_order_is_preserved(name: str, build: Builder, papers: list[Paper]) -> None:
    """The order is that of the capture."""
    assert titles(parsed(name, build(papers))) == [paper.title for paper in papers]


@pytest.mark.parametrize(("name", "build"), TITLED)
def test_a_single_paper_is_a_list(name: str, build: Builder) -> None:
    """Such a day is normal."""
    assert titles(parsed(name, build(MADE[:1]))) == TITLES[:1]


@pytest.mark.parametrize(("name", "build"), TITLED)
def test_many_papers_are_a_list(name: str, build: Builder) -> None:
    """The capture has a thousand."""
    many = made(*(f"Lamp Number {number}" for number in range(1_000)))
    assert titles(parsed(name, build(many))) == [paper.title for paper in many]


@pytest.mark.parametrize(("name", "build"), WAYS)
def test_the_encoding_of_a_saved_file_does_not_matter(name: str, build: Builder) -> None:
    """A byte order mark, CRLF, or UTF-16 in either order yields the same papers."""
    data = build(MADE)
    text, plain = data.decode(), parsed(name, data)
    for saved in (
        b"\xef\xbb\xbf" + data,
        data.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
        b"\xff\xfe" + text.encode("utf-16-le"),
        b"\xfe\xff" + text.encode("utf-16-be"),
        b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le"),
        b"\n\n" + data,
        data + b"\n \n",
    ):
        assert parsed(name, saved) == plain


@pytest.mark.parametrize(("name", "build"), WAYS)
def test_parsing_is_deterministic(name: str, build: Builder) -> None:
    """Papers, notes and doubts are the same, also if the format is given."""
    data = build(MADE)
    assert formats.parse(data) == formats.parse(data) == formats.parse(data, format=name)


@pytest.mark.parametrize(("name", "build"), TITLED)
def test_a_truncated_capture_yields_no_wrong_titles(name: str, build: Builder) -> None:
    """It is unreadable or has doubts, or yields only whole titles from the beginning."""
    papers = MADE[1:]
    data, whole = build(papers), [paper.title for paper in papers]
    for end in range(len(data)):
        try:
            snapshot = formats.parse(data[:end])
        except SnapshotUnreadable:
            continue
        found = titles(snapshot)
        assert snapshot.doubts or found == whole[: len(found)], f"cut at {end}: {found}"


@pytest.mark.parametrize(("name", "build"), TITLED)
def test_a_capture_without_its_beginning_yields_no_wrong_titles(name: str, build: Builder) -> None:
    """It is unreadable or has doubts, or yields only whole titles."""
    data = build(MADE)
    for start in range(1, len(data), 7):
        try:
            snapshot = formats.parse(data[start:])
        except SnapshotUnreadable:
            continue
        assert snapshot.doubts or set(titles(snapshot)) <= set(TITLES), f"cut at {start}"


PIECES = st.binary(max_size=4) | st.sampled_from(
    [
        b"<![", b"<!--", b"-->", b"<!", b"</", b"<", b">", b"&", b"&#x", b"&#99999999;", b'"', b"'",
        b"[", b"]", b"{", b"}", b",", b":", b"\\", b"\\ud800", b"\\u0000", b"\n", b"\r", b"\0",
        b"\xff\xfe", b"\xed\xa0\x80", b"null", b"1e999", b"9" * 5_000, b"<![CDATA[", b"]]>", b"<?",
        b"<![if x]>", b"<![x[", b"https://[",
    ]
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 9_999), st.integers(0, 5), PIECES), min_size=1, max_size=4
)


def edited(data: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    """Returns the bytes with pieces inserted and removed; places are in ten-thousandths."""
    for place, gone, put in edits:
        at = place * len(data) // 10_000
        data = data[:at] + put + data[at + gone :]
    return data


@pytest.mark.parametrize(("name", "build"), WAYS)
@settings(max_examples=5_000 if SOAK else 80)
@given(edits=EDITS)
def test_corrupted_captures_raise_only_our_errors(
    name: str, build: Builder, edits: list[tuple[int, int, bytes]]
) -> None:
    """Random bytes are inserted and removed."""
    data = edited(build(MADE), edits)
    for chosen in (None, name):
        try:
            snapshot = formats.parse(data, format=chosen)
        except NewsletterError as error:
            assert "\n" not in str(error)
        else:
            check_clean(snapshot)


@pytest.mark.parametrize("name", [f.name for f in FORMATS])
@given(data=st.binary(max_size=200) | st.text(st.characters(codec="utf-8")).map(str.encode))
def test_any_bytes_can_be_parsed_as_any_format(name: str, data: bytes) -> None:
    """The operator may give the wrong format."""
    try:
        check_clean(formats.parse(data, format=name))
    except NewsletterError as error:
        assert "\n" not in str(error)


def check_clean(snapshot: Snapshot) -> None:
    """Asserts what holds for every paper of any capture."""
    for paper in snapshot.papers:
        assert paper.title
        values = [
            paper.title, paper.abstract, *paper.authors, paper.organisation, paper.submitter,
            paper.url, paper.pdf_url, paper.code_url, paper.project_url, paper.arxiv_id, paper.doi,
        ]  # fmt: skip
        for value in values:
            assert value is None or (value and value == clean(value))


@pytest.mark.parametrize("title", ODD)
@pytest.mark.parametrize(("name", "build"), PLAIN)
def test_unusual_titles_are_never_lost(name: str, build: Builder, title: str) -> None:
    """They are cleaned and otherwise unchanged, in order; or the whole capture is held."""
    data = build(made("Before It", title, "After It"))
    try:
        data.decode()
    except UnicodeDecodeError:
        with pytest.raises(SnapshotUnreadable):
            formats.parse(data)
        return
    snapshot = parsed(name, data)
    check_clean(snapshot)
    assert titles(snapshot) == ["Before It", clean(title), "After It"]


@pytest.mark.parametrize("title", [*HOSTILE, "Subscribe to Lamps", "2 OLMo 2 Furious"])
@pytest.mark.parametrize(("name", "build"), PLAIN)
def test_an_unusual_first_title_is_not_taken_for_a_header(
    name: str, build: Builder, title: str
) -> None:
    """The first title follows the header directly."""
    assert titles(parsed(name, build(made(title, "After It")))) == [clean(title), "After It"]


@pytest.mark.parametrize("title", ODD)
@pytest.mark.parametrize(("name", "build"), [way for way in WITH_ABSTRACTS if way in PLAIN])
def test_unusual_abstracts_are_cleaned(name: str, build: Builder, title: str) -> None:
    """They may contain whatever titles may contain."""
    (usual,) = made("Lamps")
    paper = Paper("Lamps", f"{usual.abstract} {title} is where it ends.", arxiv_id="2611.00001")
    try:
        snapshot = parsed(name, build([paper]))
    except SnapshotUnreadable:
        assert "\ud800" in title
        return
    check_clean(snapshot)
    assert [p.abstract for p in snapshot.papers] == [clean(paper.abstract or "")]


NESTED = {
    "brackets": b"[" * 100_000,
    "closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "rows": b'[{"paper":' * 100_000,
    "objects": b'[{"title":"a","paper":' + b'{"a":' * 100_000,
    "tags": b"<!doctype html><html><body>" + b"<div>" * 30_000,
    "tags with data-props": b"<html><body>" + b'<div data-props="dailyPapers">' * 30_000,
    "closed tags": b'<html><body data-props="dailyPapers">'
    + b"<b data-props='x'>" * 30_000
    + b"</b>" * 30_000,
    "brackets in data-props": b'<html><body><div data-props="{&quot;dailyPapers&quot;:'
    + b"[" * 100_000
    + b'"></div>',
    "banner and brackets": b"<html>" * 30_000 + b"Get trending papers in your email inbox!",
}


@pytest.mark.parametrize("data", NESTED.values(), ids=NESTED)
def test_deep_nesting_is_unreadable(data: bytes) -> None:
    """A `RecursionError` is never raised."""
    with pytest.raises(SnapshotUnreadable):
        formats.parse(data)


@pytest.mark.parametrize("data", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("name", [f.name for f in FORMATS])
def test_deep_nesting_in_a_wrong_format_does_not_crash(name: str, data: bytes) -> None:
    """If the format is given, the capture is unreadable or has doubts."""
    with contextlib.suppress(SnapshotUnreadable):
        assert formats.parse(data, format=name).doubts


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xff\xfe\x00",
        b"\xfe\xff\xd8\x00",
        b"\xff",
        b"\x00",
        b"{}",
        b"null",
        b'"text"',
        b"[1, 2]",
        b'["a", "b"]',
        b"[{}]",
        b'[{"paper": {}}]',
        b'{"error": "Sorry, we cannot find the page you are looking for."}',
        b'{"status": 200, "data": []}',
        b"<!doctype html><html><head><title>503</title></head><body>Try later</body></html>",
        b"<html><body><div data-target='DailyPapers' data-props='{}'></div></body></html>",
        b"Lamps\n\nAnd oil.",
        b"Get trending papers in your email inbox!",
        b"new\n\nGet trending papers in your email inbox!\n\nSubscribe\n\nNov 20",
    ],
)
def test_other_data_is_unreadable(data: bytes) -> None:
    """Empty files, saved error pages and data of other programs are held with a hint."""
    with pytest.raises(SnapshotUnreadable) as caught:
        formats.parse(data)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("api-json", b"[]"),
        ("api-json", b" [ ] \n"),
        (
            "daily-papers-html",
            b"<html><body><div data-props='{&quot;dailyPapers&quot;: []}'></div></body></html>",
        ),
    ],
)
def test_an_empty_list_in_a_known_container_is_valid(name: str, data: bytes) -> None:
    """A day without papers is not an error."""
    snapshot = parsed(name, data)
    assert (snapshot.papers, snapshot.doubts) == ((), ())


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["https://[bad", "https://arxiv.org/abs/2611.00001", "2026-11-20T00:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "fullname", "hidden", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)
KEYS = (
    "id", "title", "summary", "authors", "publishedAt", "upvotes", "submittedOnDailyAt",
    "submittedOnDailyBy", "organization", "githubRepo", "projectPage",
)  # fmt: skip
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "paper": VALUES | st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)),
        "title": VALUES,
        "summary": VALUES,
        "submittedBy": VALUES,
        "organization": VALUES,
    },
)


@settings(max_examples=5_000 if SOAK else 100)
@given(st.lists(ROWS | VALUES, max_size=3))
def test_rows_may_contain_values_of_any_type(rows: list[Any]) -> None:
    """Values of the wrong type are ignored, and the other rows are still read."""
    sound = {"paper": {"id": "2611.00042"}, "title": "Oil"}
    snapshot = formats.parse(json.dumps([sound, *rows]).encode(), format="api-json")
    check_clean(snapshot)
    assert titles(snapshot)[0] == "Oil"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["\n", " \n", "%\n", "<!---->", "<!-- -->\n", "---\n", "# \n", "[ ", "\t"]
)
def test_a_long_empty_beginning_takes_linear_time(piece: str) -> None:
    """Thousands of empty lines or comments precede an unknown format."""
    with pytest.raises(NewsletterError):
        formats.parse((piece * 3000 + "x").encode())
