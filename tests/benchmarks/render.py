"""Rendering 100 papers, all with excerpts, against filling MJML and compiling the result.

The peer is the usual approach: an mj-section for each paper, filled by Jinja, then
compiled to HTML. Its Jinja template is compiled before the timing, as ours is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from jinja2 import Environment
from mjml import mjml2html

from newsletter.editions import validate
from newsletter.editions.build import EditionBuilder
from newsletter.editions.compose import compose
from newsletter.editions.content import Content, Detail
from newsletter.editions.render import Renderer, ThemeSettings
from newsletter.models import UNSUBSCRIBE, Entry, EntryKind, Paper
from tests.benchmarks.invented import DAY, Invented, papers
from tests.benchmarks.measure import Row, again, alone, compare

GOAL = 0.5
PAPERS = 100
EXCERPT = 200
ROUNDS = 200

_SECTION_EACH = """<mjml><mj-head><mj-title>{{ content.subject }}</mj-title></mj-head><mj-body>
<mj-section><mj-column><mj-text font-size="30px">{{ content.count }} new papers</mj-text>
</mj-column></mj-section>
{% for p in content.blocks %}<mj-section padding="0"><mj-column>
<mj-text font-size="18px"><a href="{{ p.url }}">{{ p.title }}</a></mj-text>
<mj-text font-size="14px">▲ <b>{{ p.votes }}</b> · {{ p.byline }}</mj-text>
<mj-text>{{ p.excerpt }}</mj-text>
<mj-text font-size="14px">{% for l in p.links %}<a href="{{ l.url }}">{{ l.label }}</a> \
{% endfor %}</mj-text>
</mj-column></mj-section>
{% endfor %}<mj-section><mj-column><mj-text><a href="{{ unsubscribe }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>"""


def run() -> Iterator[Row]:
    """Ours against the peer; then the other costs of an edition."""
    entries = [_entry(at, paper) for at, paper in enumerate(papers(0, PAPERS), 1)]
    content = compose(entries, Detail(PAPERS, lead=EXCERPT, excerpt=EXCERPT))
    theme_settings = ThemeSettings()
    renderer = Renderer(theme_settings)
    values = {"content": content, "look": theme_settings, "web_url": "", "unsubscribe": UNSUBSCRIBE}
    section_each = Environment(autoescape=True).from_string(_SECTION_EACH)

    def ours() -> str:
        return renderer.html.render(values)

    def peer() -> str:
        return mjml2html(section_each.render(content=content, unsubscribe="https://example.org/u"))

    _require_all(content, ours())
    _require_all(content, peer())
    taken = compare(again(ours), again(peer), ROUNDS)
    yield taken.row(f"HTML of {PAPERS} papers vs fill one mj-section each + mjml2html", GOAL)
    yield alone(
        "subject, HTML and text of them", again(lambda: renderer.render(content)), ROUNDS // 4
    )
    yield alone(
        "theme compiled, once per process",
        again(lambda: Renderer(theme_settings).html),
        ROUNDS // 4,
    )
    for excerpts in (12, PAPERS):
        job = partial(EditionBuilder(renderer, theme_settings, excerpts).build, entries)
        yield alone(
            f"a whole edition of {PAPERS}, up to {excerpts} excerpts", again(job), ROUNDS // 10
        )
    fitting = compose(entries, Detail(12, lead=EXCERPT, excerpt=EXCERPT))
    rendered = renderer.render(fitting)
    yield alone(
        "validation of an edition with 12 excerpts",
        again(partial(validate.check, fitting, rendered)),
        ROUNDS // 4,
    )


def _entry(position: int, paper: Invented) -> Entry:
    described = Paper(
        title=paper.title,
        abstract=paper.abstract,
        authors=paper.authors,
        arxiv_id=paper.arxiv_id,
        url=paper.page,
        upvotes=paper.votes,
        listed_on=DAY,
    )
    return Entry(position, EntryKind.NEW, described, "benchmark", "api-json")


def _require_all(content: Content, html: str) -> None:
    """Checks that neither side leaves something out."""
    for block in content.blocks:
        if block.title not in html or not block.excerpt or block.excerpt not in html:
            raise RuntimeError(f"“{block.title}” is missing or incomplete")
