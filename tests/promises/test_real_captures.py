"""Known results of real captures, and properties of every edition made from them."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path

import pytest

from newsletter.app.composition import App
from newsletter.app.throw_away import throw_away
from newsletter.editions.build import Edition
from newsletter.editions.compose import in_order
from newsletter.editions.paper_block import title_of
from newsletter.editions.validate import MAX_ENCODED
from newsletter.models import Capture, Paper
from newsletter.papers.ingest import Ingest
from newsletter.papers.report import CaptureReport
from newsletter.text.clean import without_isolates
from tests.support.databases import new_database
from tests.support.real_captures import real_captures

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    """A capture's report, edition and files."""

    report: CaptureReport
    edition: Edition
    html: str
    text: str
    eml: bytes

    @property
    def titles(self) -> list[str]:
        """The announced titles, as `--json` prints them."""
        return [title_of(entry.paper) for entry in in_order(self.report.new)]


def replayed(*paths: Path) -> list[CaptureReport]:
    """Ingests these captures in order, and returns their reports."""
    with throw_away() as app:
        return list(app.sources.replay([str(path) for path in paths]))


def made(folder: Path, out: Path, *paths: Path) -> Iterator[Made]:
    """Yields each capture with its edition, as `replay --out` makes it."""
    with throw_away() as app:
        for report in app.sources.replay([str(path) for path in paths or [folder]]):
            edition = app.builder.build(report.new) if report.new else None
            if edition:
                yield _made(app, report, edition, out)


def _made(app: App, report: CaptureReport, edition: Edition, out: Path) -> Made:
    files = {path.suffix: path for path in app.previews.write(edition, out).files}
    return Made(
        report,
        edition,
        files[".html"].read_text(),
        files[".txt"].read_text(),
        files[".eml"].read_bytes(),
    )


@pytest.fixture(params=["hf_text", "hf_api_daily", "hf_html"])
def editions(request: pytest.FixtureRequest, tmp_path: Path) -> list[Made]:
    """All editions of one folder of real captures."""
    folder = real_captures(request.param)
    return list(made(folder, tmp_path / "out"))


def test_text_captures_announce_100_43_163() -> None:
    """The folder of text captures, in order of name."""
    reports = replayed(real_captures("hf_text"))
    assert [report.counts.new for report in reports] == [100, 43, 163]
    assert [report.counts.updated for report in reports] == [0, 0, 0]


def test_eight_days_of_the_api() -> None:
    """Eight weekdays; one paper of the 10th is listed again on the 16th."""
    folder = real_captures("hf_api_daily")
    days = sorted(path for path in folder.iterdir() if not path.name.startswith("default"))
    reports = replayed(*days)
    assert [report.counts.new for report in reports] == [31, 38, 35, 29, 35, 34, 33, 26]
    assert [report.counts.relisted for report in reports] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert all(report.held is None for report in reports)


def test_the_page_of_2024() -> None:
    """Thirteen papers of 1 August 2024, read from the page's data-props."""
    (report,) = replayed(real_captures("hf_html") / "slbqc_huggingface_papers.html")
    assert report.counts.new == 13
    assert {str(entry.paper.listed_on) for entry in report.new} == {"2024-08-01"}


def test_the_order_of_captures_does_not_change_what_is_announced() -> None:
    """In either order, all editions together have the same papers."""
    paths = sorted(real_captures("hf_text").iterdir())
    for order in (paths, paths[::-1]):
        reports = replayed(*order)
        assert sum(report.counts.new for report in reports) == 306


def _api(*papers: Paper) -> Capture:
    rows = [
        {"title": p.title, "paper": {"id": p.arxiv_id, "title": p.title, "summary": p.abstract}}
        for p in papers
    ]
    return Capture(json.dumps(rows).encode(), "api.json", NOW)


@pytest.mark.parametrize("together", [True, False])
def test_similar_titles_are_two_papers(together: bool) -> None:
    """They may be in one capture or in two, with ids or without."""
    file = real_captures("pairs") / "near_titles_different_papers.json"
    pairs = json.loads(file.read_text())
    assert pairs
    for pair in pairs:
        papers = [
            Paper(pair[side]["title"], "An abstract.", arxiv_id=pair[side]["id"]) for side in "ab"
        ]
        assert _new(papers, together=together) == 2, pair
        nameless = [Paper(paper.title, "An abstract.") for paper in papers]
        assert _new(nameless, together=together) == 2, pair


@pytest.mark.parametrize("together", [True, False])
def test_different_ids_with_one_title_or_abstract_are_two_papers(together: bool) -> None:
    """Equal titles or abstracts do not matter."""
    file = real_captures("pairs") / "different_ids_same_title_or_abstract_opening.json"
    pairs = json.loads(file.read_text())
    assert pairs
    for pair in pairs:
        papers = [
            Paper(title, "The same abstract.", arxiv_id=id_)
            for title, id_ in zip(pair["titles"], pair["ids"], strict=True)
        ]
        assert _new(papers, together=together) == 2, pair


def _new(papers: list[Paper], *, together: bool) -> int:
    captures = [_api(*papers)] if together else [_api(paper) for paper in papers]
    with (
        tempfile.TemporaryDirectory() as folder,
        new_database(Path(folder) / "pairs.db") as database,
    ):
        reports = Ingest(database, lambda: NOW).captures("pairs", captures, announce_all=True)
        return sum(report.counts.new for report in reports)


def test_titles_without_an_id_gain_their_id() -> None:
    """A title announced without an id is not announced again with it."""
    pairs = json.loads((real_captures("pairs") / "text_title_to_arxiv_id.json").read_text())
    without = [Paper(title, "An abstract.") for title in pairs]
    with_id = [Paper(title, "An abstract.", arxiv_id=id_) for title, id_ in pairs.items()]
    with throw_away() as app:
        first, second = app.ingest.captures(
            "pairs", [_api(*without), _api(*with_id)], announce_all=True
        )
    assert (first.counts.new, second.counts.new) == (len(pairs), 0)


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self._hidden = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects tags and URLs."""
        self.tags.add(tag)
        self._hidden += tag in ("style", "title")
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        """Notices the end of hidden text."""
        self._hidden -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        """Collects visible text."""
        if not self._hidden:
            self.text += data


def test_html_text_and_json_have_the_same_titles(editions: list[Made]) -> None:
    """All three, in the same order, and each title exactly once as a heading."""
    for one in editions:
        headings = re.findall(r'<h[23] dir="auto"[^>]*>(.*?)</h[23]>', one.html)
        shown = [" ".join(_Page(heading).text.split()) for heading in headings]
        assert shown == one.titles == list(one.edition.titles)
        text = " ".join(without_isolates(one.text).split())
        positions = [text.find(f"{n}. {title}") for n, title in enumerate(one.titles, 1)]
        assert -1 not in positions
        assert positions == sorted(positions)


def test_no_edition_has_a_paper_of_an_earlier_one(editions: list[Made]) -> None:
    """Each has only new papers."""
    seen: set[int] = set()
    for one in editions:
        positions = {entry.position for entry in one.edition.entries}
        assert not positions & seen
        seen |= positions


def test_editions_load_nothing_and_link_to_https_only(editions: list[Made]) -> None:
    """No script, image or font; the only other link is the unsubscribe mailto."""
    for one in editions:
        page = _Page(one.html)
        assert not page.tags & {"script", "img", "link", "iframe", "form", "object", "svg"}
        assert "@import" not in one.html
        assert "url(" not in one.html
        others = {link for link in page.links if not link.startswith("https://")}
        assert len(others) == 1
        assert others.pop().startswith("mailto:")


def test_encoded_html_is_small_enough_with_every_title(editions: list[Made]) -> None:
    """Below 95,000 bytes in one part, also with 163 papers."""
    for one in editions:
        assert len(one.edition.parts) == 1
        message = message_from_bytes(one.eml, policy=policy.SMTP)
        (_, html) = message.iter_parts()
        assert len(html.as_bytes()) < MAX_ENCODED + 200


def test_messages_are_read_back_by_another_parser(editions: list[Made]) -> None:
    """No defects, both bodies complete, short lines, and only the intended headers."""
    for one in editions:
        message = message_from_bytes(one.eml, policy=policy.default.clone(raise_on_defect=True))
        text, html = message.iter_parts()
        assert html.get_content().replace("\r\n", "\n").rstrip() == one.html.rstrip()
        assert text.get_content().replace("\r\n", "\n").rstrip() == one.text.rstrip()
        assert message["Subject"] == one.edition.parts[0].subject
        assert all(len(line) <= 78 for line in one.eml.split(b"\r\n"))
        assert b"\n" not in one.eml.replace(b"\r\n", b"")
        assert set(message.keys()) == {
            "From", "To", "Subject", "Date", "Message-ID", "List-Id", "List-Unsubscribe",
            "Auto-Submitted", "Feedback-ID", "MIME-Version", "Content-Type",
        }  # fmt: skip
