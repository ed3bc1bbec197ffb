"""The contract of every theme: HTML and text have the same papers, escaped and readable."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

import pytest

from newsletter.editions import validate
from newsletter.editions.build import Edition, EditionBuilder
from newsletter.editions.compose import compose
from newsletter.editions.content import Content, details
from newsletter.editions.render import Renderer, ThemeSettings
from newsletter.editions.templating import bundled_templates
from newsletter.models import UNSUBSCRIBE, Entry, Paper, Rendered
from newsletter.text.clean import clean, width, without_isolates
from newsletter.text.colour import AA, PAGE_DARK, PAGE_LIGHT, contrast
from tests.support.builders import HOSTILE, bare, day, entries, paper

THEMES = sorted(folder.name for folder in (bundled_templates() / "themes").iterdir())
WEB = "https://papers.example.org/editions/abc"

AUTHORS = (
    "Mira Okafor", "Jonas Lindqvist", "Ana Beltrán", "Yuki Tanaka", "Efua Brandvold", "李小明",
    "שרה כהן", "Hana Kuroshio",
)  # fmt: skip


def rich(number: int, days: int = 1) -> Paper:
    """Returns a paper with every field, on one of `days` days."""
    return paper(
        number,
        authors=AUTHORS[: number % 9],
        organisation="Board of the Northern Harbours",
        submitter="keeper",
        upvotes=number * 7 % 40,
        code_url=f"https://github.com/lamps/{number}?a=1&b=2",
        project_url=f"https://lamps.example.org/{number}",
        published_on=day(-3),
        listed_on=day(-(number % days)),
    )


def hostile(title: str) -> Paper:
    """Returns a paper with the same hostile text in every text field."""
    return Paper(
        title=title,
        abstract=f"{title} We introduce {title}, and light it. {title}",
        authors=(title, "Mira Okafor", f"{title} the Second", title),
        arxiv_id="2611.00001",
        doi=f"10.1000/{title}",
        url=f"javascript:{title}",
        pdf_url=f"https://example.org/{title}",
        code_url=f'https://github.com/"onclick="{title}',
        project_url=f"http://example.org/{title}",
        organisation=title,
        submitter=title,
        categories=(title,),
        upvotes=1_234,
        listed_on=day(0),
    )


EDITIONS: dict[str, Sequence[Paper]] = {
    "one": [rich(1)],
    "three": [rich(n) for n in (1, 2, 3)],
    "forty on several days": [rich(n, days=4) for n in range(1, 41)],
    "undated": [rich(1), bare("Lamps of March", day_label="11 March"), bare("Undated Lamps")],
    "undated only": [bare(f"Undated Lamps {n}") for n in range(1, 21)],
    "only titles": [bare(f"Lamps and Nothing Else {n}") for n in range(1, 16)],
    "hostile": [hostile(title) for title in HOSTILE],
    "hostile on several days": [
        Paper(clean(title), listed_on=day(-number % 3), day_label=None, authors=(title,))
        for number, title in enumerate(HOSTILE)
    ],
}


@functools.cache
def renderer(theme_settings: ThemeSettings) -> Renderer:
    """Returns a shared renderer for these settings, because compiling a theme is slow."""
    return Renderer(theme_settings)


def edition(theme: str, papers: Sequence[Paper], **theme_settings: str) -> tuple[Content, Rendered]:
    """Renders the papers in a theme."""
    content = compose(entries(papers), details(12)[0], [("Harbour & <Sons>", "https://x.org?a&b")])
    return content, renderer(ThemeSettings(theme=theme, **theme_settings)).render(content, WEB)


class Page(HTMLParser):
    """The visible text of a page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.sheets: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self._text: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """The visible text, with white space collapsed."""
        return " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag not in ("meta", "br", "hr"):
            self._open.append((tag, self._hides(tag, values)))
        if not self.hidden or tag in ("html", "meta"):
            self.tags.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "style":
            self.sheets.append(data)
        elif not self.hidden:
            self._text.append(data)

    @property
    def hidden(self) -> bool:
        """Whether the current text is hidden."""
        return any(hides for _, hides in self._open)

    @staticmethod
    def _hides(tag: str, values: dict[str, str]) -> bool:
        return tag in ("head", "title", "style") or "display:none" in values.get("style", "")


def in_order(titles: Sequence[str], text: str) -> bool:
    """Returns whether the text contains every title, in order."""
    at = 0
    for title in titles:
        at = text.find(title, at)
        if at < 0:
            return False
        at += len(title)
    return True


def collapsed(text: str) -> str:
    """Returns the text part for comparison: white space collapsed, isolates removed."""
    return " ".join(without_isolates(text).split())


both = pytest.mark.parametrize("theme", THEMES)
every_edition = pytest.mark.parametrize("papers", EDITIONS.values(), ids=EDITIONS)


def test_there_are_themes() -> None:
    """At least the default theme is found."""
    assert "default" in THEMES


@both
@every_edition
def test_an_edition_passes_validation(theme: str, papers: Sequence[Paper]) -> None:
    """This holds for hostile papers too."""
    content, rendered = edition(theme, papers)
    validate.check(content, rendered)


@both
@every_edition
def test_html_and_text_have_the_same_titles_in_order(theme: str, papers: Sequence[Paper]) -> None:
    """Titles are compared without tags, entities and isolates, and with white space collapsed."""
    content, rendered = edition(theme, papers)
    assert len(content.titles) == len(papers)
    assert in_order(content.titles, Page(rendered.html).text)
    assert in_order(content.titles, collapsed(rendered.text))


@both
def test_every_title_appears_once(theme: str) -> None:
    """A paper is a heading in HTML and an item in the text; its title is not repeated."""
    content, rendered = edition(theme, EDITIONS["forty on several days"])
    shown, text = Page(rendered.html).text, collapsed(rendered.text)
    for title in content.titles:
        assert shown.count(title) == 1
        assert text.count(title) == 1


@both
@every_edition
def test_papers_cannot_add_markup(theme: str, papers: Sequence[Paper]) -> None:
    """Editions of hostile papers have the same tags as those of harmless ones."""
    _, rendered = edition(theme, papers)
    assert not re.search(r"<(?:script|think|b onclick)", rendered.html)
    assert not {name for _, values in Page(rendered.html).tags for name in values} & {
        "onclick",
        "onload",
    }


@both
def test_templates_in_papers_are_not_evaluated(theme: str) -> None:
    """`{{7*7}}` is unchanged in every field and in the newsletter's own name."""
    braces = "{{7*7}} {% set x = 1 %} [[ 7*7 ]] [% x %] {# gone #} [# gone #]"
    _, rendered = edition(theme, [hostile(braces)], name=braces, postal_address=braces)
    for text in (Page(rendered.html).text, collapsed(rendered.text), rendered.subject):
        assert "49" not in text
    assert braces in Page(rendered.html).text
    assert braces in collapsed(rendered.text)


@both
def test_papers_cannot_contain_the_unsubscribe_placeholder(theme: str) -> None:
    """It has control characters, which are removed from papers."""
    _, plain = edition(theme, [rich(1)])
    _, rendered = edition(theme, [hostile(UNSUBSCRIBE)])
    assert rendered.html.count(UNSUBSCRIBE) == plain.html.count(UNSUBSCRIBE)
    assert rendered.text.count(UNSUBSCRIBE) == plain.text.count(UNSUBSCRIBE)
    assert UNSUBSCRIBE not in rendered.subject


@both
def test_missing_fields_leave_no_trace(theme: str) -> None:
    """There is no label, separator, zero or `None`."""
    _, rendered = edition(theme, [bare("Lamps")])
    for text in (Page(rendered.html).text, collapsed(rendered.text)):
        assert "None" not in text
        assert "▲" not in text
        assert " · · " not in text
        assert "upvote" not in text
        assert "ubmitted by" not in text


@both
@pytest.mark.parametrize(
    "papers",
    [
        [bare("Lamps", upvotes=3)],
        [bare("Lamps", authors=("A B",))],
        [bare("Lamps", organisation="Board")],
        [bare("Lamps", submitter="keeper")],
        [bare("Lamps", abstract="We light it.")],
        [bare("Lamps", code_url="https://github.com/lamps/a")],
        [bare("Lamps", upvotes=3, organisation="Board")],
        [bare("Lamps", upvotes=3, submitter="keeper")],
        [bare("Lamps", code_url="https://github.com/lamps/a", submitter="keeper")],
    ],
)
def test_fields_are_separated_by_single_dots(theme: str, papers: list[Paper]) -> None:
    """No line begins or ends with a separator."""
    _, rendered = edition(theme, papers)
    lines = re.split(r"<br ?/?>|</?(?:p|h\d|small|td|div)\b[^>]*>|\n", rendered.html)
    for line in lines:
        seen = re.sub(r"<[^>]*>", "", line).strip()
        assert not seen.startswith("· ")
        assert not seen.endswith(" ·")


@both
@pytest.mark.parametrize("language", ["en", "de", "ja"])
def test_the_html_declares_its_language(theme: str, language: str) -> None:
    """Screen readers and the choice of glyphs depend on it."""
    _, rendered = edition(theme, [rich(1)], language=language)
    (html,) = [values for tag, values in Page(rendered.html).tags if tag == "html"]
    assert html["lang"] == language
    assert html["dir"] == "ltr"


@both
def test_light_and_dark_are_declared(theme: str) -> None:
    """Both meta tags are present; mail clients need both."""
    _, rendered = edition(theme, [rich(1)])
    metas = {
        values["name"]: values["content"]
        for tag, values in Page(rendered.html).tags
        if tag == "meta" and "name" in values
    }
    assert metas["color-scheme"] == "light dark"
    assert metas["supported-color-schemes"] == "light dark"


_COLOUR = re.compile(r"(?<![\w-])color:\s*([^;}!]+)")
_BACKGROUND = re.compile(r"background(?:-color)?:\s*(#\w+)")
_DARK = re.compile(r"@media[^{]*prefers-color-scheme:\s*dark[^{]*\{((?:[^{}]*\{[^{}]*\})*)[^{}]*\}")


def colours_in(css: str) -> Iterator[str]:
    """Yields the text colours in CSS declarations."""
    yield from (value.strip() for value in _COLOUR.findall(css))


@both
def test_every_colour_is_readable_on_the_light_page(theme: str) -> None:
    """The contrast is at least 4.5:1, in style attributes and in rules outside dark mode."""
    _, rendered = edition(theme, EDITIONS["forty on several days"])
    page = Page(rendered.html)
    sheet = "\n".join(page.sheets)
    light = [rule for rule in _DARK.sub("", sheet).split("}") if "data-ogs" not in rule]
    styles = [values["style"] for _, values in page.tags if "style" in values]
    assert {value for style in styles for value in _BACKGROUND.findall(style)} <= {
        PAGE_LIGHT,
        "#fff",
    }
    found = {colour for css in [*styles, *light] for colour in colours_in(css)}
    assert found
    assert {colour for colour in found if contrast(colour, PAGE_LIGHT) < AA} == set()


@both
def test_every_colour_is_readable_on_the_dark_page(theme: str) -> None:
    """The contrast is at least 4.5:1, in the media query and in the rules for Outlook."""
    _, rendered = edition(theme, EDITIONS["forty on several days"])
    sheet = "\n".join(Page(rendered.html).sheets)
    dark = "".join(_DARK.findall(sheet))
    outlook = "".join(rule for rule in _DARK.sub("", sheet).split("}") if "data-ogs" in rule)
    assert set(_BACKGROUND.findall(dark)) == {PAGE_DARK}
    found = set(colours_in(dark)) | set(colours_in(outlook))
    assert found
    assert {colour for colour in found if contrast(colour, PAGE_DARK) < AA} == set()


@both
def test_the_configured_accents_are_used(theme: str) -> None:
    """One is for the light page, one for the dark page."""
    _, rendered = edition(theme, [rich(1)], accent="#0a6040", accent_dark="#66ddaa")
    sheet = "\n".join(Page(rendered.html).sheets)
    assert "#0a6040" in rendered.html
    assert "#66ddaa" in "".join(_DARK.findall(sheet))
    assert "#1d4fb8" not in rendered.html


@both
@every_edition
def test_every_paper_is_linked(theme: str, papers: Sequence[Paper]) -> None:
    """The page of a paper, if known, is a link in HTML and a URL in the text."""
    content, rendered = edition(theme, papers)
    linked = {values.get("href", "") for tag, values in Page(rendered.html).tags if tag == "a"}
    for block in content.blocks:
        if block.url:
            assert block.url in linked
            assert block.url in rendered.text


@both
@pytest.mark.parametrize("kind", [name for name in EDITIONS if "hostile" not in name])
def test_the_text_part_is_plain(theme: str, kind: str) -> None:
    """It has no entities, a signature separator, and 72 columns except for single words."""
    _, rendered = edition(theme, EDITIONS[kind])
    lines = rendered.text.split("\n")
    assert lines.count("-- ") == 1
    assert not re.search(r"&(?:amp|lt|gt|quot|#\d+);", rendered.text)
    for line in lines:
        if width(line) > 72:
            assert " " not in re.sub(r"^ *(?:\d+\.|[A-Za-z]+:)? *", "", line)


@both
def test_both_parts_link_to_unsubscribe_and_to_the_web_page(theme: str) -> None:
    """The HTML has these links at the top too, because the end may be clipped."""
    _, rendered = edition(theme, [rich(1)])
    assert rendered.html.count(f'href="{UNSUBSCRIBE}"') >= 2
    assert rendered.html.count(f'href="{WEB}"') >= 1
    assert UNSUBSCRIBE in rendered.text
    assert WEB in rendered.text


# --- size


def long_list(count: int) -> list[Entry]:
    """Returns papers with titles, authors and URLs of typical length."""
    return entries(
        [
            paper(
                number,
                title=f"Lamp {number:04}: Answering Rather Many Questions in the Northern Harbours",
                authors=(f"Mira Okafor {number}", *AUTHORS[1:6]),
                upvotes=number % 50,
                code_url=f"https://github.com/lamps/harbour-{number}",
                listed_on=day(-(number % 3)),
            )
            for number in range(1, count + 1)
        ]
    )


def planned(theme: str, count: int, base_url: str = "") -> Edition:
    """Builds an edition of `count` papers."""
    theme_settings = ThemeSettings(theme=theme)
    return EditionBuilder(renderer(theme_settings), theme_settings, 12, base_url).build(
        long_list(count)
    )


def all_titles(edition: Edition) -> list[str]:
    """Returns the titles of the whole edition in reading order."""
    return [entry.paper.title for entry in edition.entries]


@both
@pytest.mark.parametrize("base_url", ["", "https://papers.example.org"])
def test_163_papers_fit_into_one_mail(theme: str, base_url: str) -> None:
    """All titles are in it."""
    made = planned(theme, 163, base_url)
    (only,) = made.parts
    assert list(made.titles) == all_titles(made)
    assert validate.fits(only)
    assert in_order(made.titles, Page(only.html).text)
    assert in_order(made.titles, collapsed(only.text))


@both
def test_without_web_pages_the_rest_is_in_further_parts(theme: str) -> None:
    """Together they have every title once, and each subject has its part number."""
    made = planned(theme, 400)
    assert len(made.parts) > 1
    wanted = all_titles(made)
    assert list(made.titles) == wanted
    htmls = [Page(part.html).text for part in made.parts]
    texts = [collapsed(part.text) for part in made.parts]
    assert in_order(wanted, " ".join(htmls))
    assert in_order(wanted, " ".join(texts))
    for title in wanted:
        assert sum(html.count(title) for html in htmls) == 1
        assert sum(text.count(title) for text in texts) == 1
    for number, part in enumerate(made.parts, 1):
        label = f"({number}/{len(made.parts)})"
        assert validate.fits(part)
        assert label in part.subject
        assert label in Page(part.html).text
        assert label in part.text


@both
def test_with_web_pages_the_rest_is_on_the_web(theme: str) -> None:
    """The mail has `N more on the web`, with the correct number and a link."""
    made = planned(theme, 400, "https://papers.example.org")
    (only,) = made.parts
    shown = list(made.titles)
    assert shown == all_titles(made)[: len(shown)]
    more = f"{400 - len(shown)} more on the web"
    assert 0 < len(shown) < 400
    assert more in Page(only.html).text
    assert more in collapsed(only.text)
    assert f"https://papers.example.org/editions/{made.key}" in only.html
    assert validate.fits(only)
    assert in_order(shown, Page(only.html).text)
    assert in_order(shown, collapsed(only.text))


@both
def test_the_same_entries_yield_the_same_edition(theme: str) -> None:
    """Key and bytes are equal for any order of the entries."""
    theme_settings = ThemeSettings(theme=theme)
    rows = long_list(12)
    one = EditionBuilder(renderer(theme_settings), theme_settings, 12).build(rows)
    other = EditionBuilder(renderer(theme_settings), theme_settings, 12).build(rows[::-1])
    assert one == other


@both
def test_other_theme_settings_yield_another_edition(theme: str) -> None:
    """Every setting that changes the bytes changes the key."""
    rows = long_list(3)
    looks = [
        ThemeSettings(theme=theme),
        ThemeSettings(theme=theme, name="Other"),
        ThemeSettings(theme=theme, accent="#0a6040"),
    ]
    keys = {
        EditionBuilder(renderer(theme_settings), theme_settings, 12).build(rows).key
        for theme_settings in looks
    }
    keys.add(EditionBuilder(renderer(looks[0]), looks[0], 3).build(rows).key)
    assert len(keys) == 4
