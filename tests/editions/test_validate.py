"""The gate: each thing that must not be in a mail is caught, and an ordinary edition passes."""

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
    """What the gate says about an edition that it refuses."""
    with pytest.raises(EditionFaulty) as caught:
        check(content, edition)
    return str(caught.value)


def with_html(piece: str) -> Rendered:
    """The edition with a piece of HTML put into its body."""
    assert "</main>" in RENDERED.html
    return dataclasses.replace(RENDERED, html=RENDERED.html.replace("</main>", f"{piece}</main>"))


def test_an_ordinary_edition_passes() -> None:
    """As the bundled theme makes it."""
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
def test_other_tags_are_caught(piece: str) -> None:
    """Only what text needs is allowed."""
    assert "a tag" in faults(with_html(piece))


@pytest.mark.parametrize("name", ["onclick", "ONLOAD", "onmouseover", "srcset"])
def test_acting_attributes_are_caught(name: str) -> None:
    """In whatever tag."""
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
def test_other_links_are_caught(href: str) -> None:
    """Only `https:`, whatever the case and whatever stands before it."""
    assert "a link" in faults(with_html(f'<a href="{href}">a</a>'))


@pytest.mark.parametrize(
    "href",
    ["https://example.org", "https://papers.example.org/?a=1&amp;b=2", "mailto:a@example.org"],
)
def test_good_links_pass(href: str) -> None:
    """`https:` and `mailto:`."""
    check(CONTENT, with_html(f'<a href="{href}">a</a>'))


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"]
)
def test_pages_of_this_machine_pass(base: str) -> None:
    """`base_url` itself may be on a loopback host."""
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
def test_what_loads_something_is_caught(piece: str) -> None:
    """Attributes, styles and style sheets: a mail fetches nothing."""
    assert faults(with_html(piece))


@pytest.mark.parametrize(
    "piece",
    [
        "<meta http-equiv='refresh' content='0;url=https://example.org'>",
        "<!--[if mso]><img src='https://example.org/pixel.png'><![endif]-->",
        "<!--[if mso]><a href='http://example.org'>a</a><![endif]-->",
    ],
)
def test_what_only_some_programs_see_is_caught_too(piece: str) -> None:
    """A refresh, and what stands in the comments that Outlook reads."""
    assert faults(with_html(piece))


def test_an_edition_without_its_link_in_html_is_caught() -> None:
    """The unsubscribe link is never what is lost."""
    edition = dataclasses.replace(
        RENDERED, html=RENDERED.html.replace(UNSUBSCRIBE, "https://x.org")
    )
    assert "no unsubscribe link" in faults(edition)


def test_an_edition_without_its_link_in_text_is_caught() -> None:
    """In the text part too."""
    edition = dataclasses.replace(RENDERED, text=RENDERED.text.replace(UNSUBSCRIBE, ""))
    assert "no unsubscribe link" in faults(edition)


def test_an_unsubscribe_link_in_a_comment_is_none() -> None:
    """It must be a link that somebody can follow."""
    html = (
        RENDERED.html.replace(UNSUBSCRIBE, "https://x.org") + f'<!-- <a href="{UNSUBSCRIBE}"> -->'
    )
    assert "no unsubscribe link" in faults(dataclasses.replace(RENDERED, html=html))


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("part", ["html", "text"])
def test_a_missing_title_is_caught(part: str, which: int) -> None:
    """In either part, whichever it is."""
    title = CONTENT.titles[which]
    changed = getattr(RENDERED, part).replace(title, "Something Else")
    assert title not in changed
    fault = faults(dataclasses.replace(RENDERED, **{part: changed}))
    assert title in fault
    assert part in fault.lower()


@pytest.mark.parametrize("part", ["html", "text"])
def test_a_wrong_order_is_caught(part: str) -> None:
    """Both parts have the papers in the same order."""
    one, two = CONTENT.titles[1:]
    changed = getattr(RENDERED, part).replace(one, "\x01").replace(two, one).replace("\x01", two)
    assert "out of order" in faults(dataclasses.replace(RENDERED, **{part: changed}))


def test_a_title_said_elsewhere_is_still_missing() -> None:
    """A title in the preheader or in an abstract is not the paper's heading."""
    papers = [bare("Harbours"), bare("Lamps", abstract="We light lamps."), bare("Oil")]
    content = compose(entries(papers), details(12)[0])
    made = Renderer(ThemeSettings()).render(content)
    check(content, made)
    html = made.html.replace(">Lamps</h2>", ">Wicks</h2>")
    assert html != made.html
    assert "Lamps" in faults(dataclasses.replace(made, html=html), content)


def test_a_title_that_is_only_in_hidden_text_is_missing() -> None:
    """The page's title and its styles are not read."""
    title = CONTENT.titles[1]
    html = RENDERED.html.replace(title, "x").replace("<title>", f"<title>{title} ")
    assert title in faults(dataclasses.replace(RENDERED, html=html))


def test_an_edition_without_a_subject_is_caught() -> None:
    """Every mail has one."""
    assert "no subject" in faults(dataclasses.replace(RENDERED, subject=""))


def test_an_edition_that_is_too_big_is_caught() -> None:
    """Mailboxes would hide its end."""
    edition = with_html("<p>" + "lamp " * 20_000 + "</p>")
    assert not fits(edition)
    assert "95,000" in faults(edition)


@given(st.integers(0, 500), st.sampled_from(["x", "ä", "灯", "=", "\n"]))
def test_what_fits_is_what_the_mail_takes(around: int, filling: str) -> None:
    """Measured as encoded, with room for the recipient's link."""
    size = encoded_size(filling * 1_000) / 1_000
    html = filling * int((MAX_ENCODED - 250 + around) / size)
    assert fits(Rendered("s", html, "")) is (encoded_size(html) < MAX_ENCODED)


def test_a_fault_is_one_line_with_a_hint() -> None:
    """However many there are, the first few are said."""
    said = faults(with_html("<script></script>" * 50))
    assert "\n" not in said
    assert len(said) < 400
    assert "theme" in said
