"""Validation: everything forbidden in a mail is rejected, and ordinary editions pass."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.editions.compose import compose
from newsletter.editions.content import Content, details
from newsletter.editions.render import Renderer, ThemeSettings
from newsletter.editions.validate import MAX_ENCODED, check, fits
from newsletter.errors import EditionFaulty
from newsletter.messages.mime import encoded_size
from newsletter.models import UNSUBSCRIBE, Rendered
from tests.support.builders import bare, entries, paper

CONTENT = compose(entries([paper(n) for n in (1, 2, 3)]), details(12)[0])
RENDERED = Renderer(ThemeSettings()).render(CONTENT)


def faults(edition: Rendered, content: Content = CONTENT) -> str:
    """Returns the validation error of an edition."""
    with pytest.raises(EditionFaulty) as caught:
        check(content, edition)
    return str(caught.value)


def with_html(piece: str) -> Rendered:
    """Returns the edition with a piece of HTML added to its body."""
    assert "</main>" in RENDERED.html
    return dataclasses.replace(RENDERED, html=RENDERED.html.replace("</main>", f"{piece}</main>"))


def test_an_ordinary_edition_passes() -> None:
    """It uses the bundled theme."""
    check(CONTENT, RENDERED)


@pytest.mark.parametrize(
    "piece",
    [
        "<script>alert(1)</script>",
        "<SCRIPT src='https://example.org/x.js'></SCRIPT>",
        "<iframe src='https://example.org'></iframe>",
        "<form action='https://example.org'></form>",
        "<input name='x'>",
        "<button>x</button>",
        "<img src='https://example.org/pixel.png'>",
        "<img src='cid:x'>",
        "<svg><use/></svg>",
        "<object data='https://example.org'></object>",
        "<embed src='https://example.org'>",
        "<video src='https://example.org/x'></video>",
        "<link rel='stylesheet' href='https://example.org/x.css'>",
        "<base href='https://example.org/'>",
        "<math></math>",
        "<x-lamp></x-lamp>",
        "<mj-raw></mj-raw>",
    ],
)
def test_forbidden_tags_are_rejected(piece: str) -> None:
    """Only tags needed for text are allowed."""
    assert "a tag" in faults(with_html(piece))


@pytest.mark.parametrize("name", ["onclick", "ONLOAD", "onmouseover", "srcset"])
def test_active_attributes_are_rejected(name: str) -> None:
    """This holds for every tag."""
    assert "an attribute" in faults(with_html(f"<p {name}='x()'>a</p>"))


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java&#10;script:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "http://example.org",
        "HTTP://example.org",
        "http://localhost.example.org/",
        "http://127.0.0.1.example.org/",
        "//example.org",
        "/papers",
        "#top",
        "ftp://example.org",
        "file:///etc/passwd",
        "",
    ],
)
def test_forbidden_links_are_rejected(href: str) -> None:
    """Upper case and leading characters do not hide them."""
    assert "a link" in faults(with_html(f'<a href="{href}">a</a>'))


@pytest.mark.parametrize(
    "href",
    ["https://example.org", "https://papers.example.org/?a=1&amp;b=2", "mailto:a@example.org"],
)
def test_allowed_links_pass(href: str) -> None:
    """They are `https:` and `mailto:`."""
    check(CONTENT, with_html(f'<a href="{href}">a</a>'))


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"]
)
def test_links_to_loopback_pages_pass(base: str) -> None:
    """`base_url` may be on a loopback host."""
    check(CONTENT, with_html(f'<a href="{base}/editions/x">a</a>'))


@pytest.mark.parametrize(
    "piece",
    [
        "<table background='https://example.org/x.png'><tr><td>a</td></tr></table>",
        "<div background='https://example.org/x.png'>a</div>",
        "<p style='background:url(https://example.org/x)'>a</p>",
        "<p style='background:URL( x )'>a</p>",
        "<p style='width:expression(alert(1))'>a</p>",
        "<style>@import 'https://example.org/x.css';</style>",
        "<style>p{background:url(https://example.org/x)}</style>",
    ],
)
def test_content_that_loads_something_is_rejected(piece: str) -> None:
    """It may be in attributes, styles and style sheets."""
    assert faults(with_html(piece))


@pytest.mark.parametrize(
    "piece",
    [
        "<meta http-equiv='refresh' content='0;url=https://example.org'>",
        "<!--[if mso]><img src='https://example.org/pixel.png'><![endif]-->",
        "<!--[if mso]><a href='http://example.org'>a</a><![endif]-->",
    ],
)
def test_content_for_some_mail_programs_is_checked_too(piece: str) -> None:
    """Examples are a refresh and the conditional comments of Outlook."""
    assert faults(with_html(piece))


def test_html_without_the_unsubscribe_link_is_rejected() -> None:
    """The link must always be there."""
    edition = dataclasses.replace(
        RENDERED, html=RENDERED.html.replace(UNSUBSCRIBE, "https://x.org")
    )
    assert "no unsubscribe link" in faults(edition)


def test_text_without_the_unsubscribe_link_is_rejected() -> None:
    """The text part needs it too."""
    edition = dataclasses.replace(RENDERED, text=RENDERED.text.replace(UNSUBSCRIBE, ""))
    assert "no unsubscribe link" in faults(edition)


def test_an_unsubscribe_link_in_a_comment_does_not_count() -> None:
    """Subscribers must be able to follow the link."""
    html = (
        RENDERED.html.replace(UNSUBSCRIBE, "https://x.org") + f'<!-- <a href="{UNSUBSCRIBE}"> -->'
    )
    assert "no unsubscribe link" in faults(dataclasses.replace(RENDERED, html=html))


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("part", ["html", "text"])
def test_a_missing_title_is_rejected(part: str, which: int) -> None:
    """This holds for each title, and for HTML and text."""
    title = CONTENT.titles[which]
    changed = getattr(RENDERED, part).replace(title, "Something Else")
    assert title not in changed
    fault = faults(dataclasses.replace(RENDERED, **{part: changed}))
    assert title in fault
    assert part in fault.lower()


@pytest.mark.parametrize("part", ["html", "text"])
def test_a_wrong_order_is_rejected(part: str) -> None:
    """HTML and text have the papers in the same order."""
    one, two = CONTENT.titles[1:]
    changed = getattr(RENDERED, part).replace(one, "\x01").replace(two, one).replace("\x01", two)
    assert "in the wrong order" in faults(dataclasses.replace(RENDERED, **{part: changed}))


def test_a_title_elsewhere_does_not_count() -> None:
    """A title in an abstract is not the paper's heading."""
    papers = [bare("Harbours"), bare("Lamps", abstract="We light lamps."), bare("Oil")]
    content = compose(entries(papers), details(12)[0])
    made = Renderer(ThemeSettings()).render(content)
    check(content, made)
    html = made.html.replace(">Lamps</h2>", ">Wicks</h2>")
    assert html != made.html
    assert "Lamps" in faults(dataclasses.replace(made, html=html), content)


def test_a_title_in_hidden_text_does_not_count() -> None:
    """The title of the page and its styles are ignored."""
    title = CONTENT.titles[1]
    html = RENDERED.html.replace(title, "x").replace("<title>", f"<title>{title} ")
    assert title in faults(dataclasses.replace(RENDERED, html=html))


def test_an_edition_without_a_subject_is_rejected() -> None:
    """Every mail needs one."""
    assert "no subject" in faults(dataclasses.replace(RENDERED, subject=""))


def test_an_edition_that_is_too_large_is_rejected() -> None:
    """Mailboxes would clip it."""
    edition = with_html("<p>" + "lamp " * 20_000 + "</p>")
    assert not fits(edition)
    assert "95,000" in faults(edition)


@given(st.integers(0, 500), st.sampled_from(["x", "ä", "灯", "=", "\n"]))
def test_the_size_limit_applies_to_the_encoded_html(around: int, filling: str) -> None:
    """The check leaves room for the recipient's link."""
    size = encoded_size(filling * 1_000) / 1_000
    html = filling * int((MAX_ENCODED - 250 + around) / size)
    assert fits(Rendered("s", html, "")) is (encoded_size(html) < MAX_ENCODED)


def test_a_validation_error_is_one_line_with_a_hint() -> None:
    """Of many faults, the first few are reported."""
    error = faults(with_html("<script></script>" * 50))
    assert "\n" not in error
    assert len(error) < 400
    assert "theme" in error
