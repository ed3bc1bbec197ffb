"""Entries → edition: how a list of new papers is made, made to fit, and looked at.

entries ─ compose ─ render ─ fits? ─ gate → Edition
             └── less detail, then several parts ──┘
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from newsletter import formats
from newsletter.editions import validate
from newsletter.editions.compose import compose, in_order
from newsletter.editions.content import Content, Part, details
from newsletter.editions.render import Renderer, ThemeSettings
from newsletter.errors import EditionFaulty
from newsletter.models import Entry, Rendered
from newsletter.storage.editions import key_of

UNNAMED = ("manual", "replay")
"""Sources whose names say nothing to a reader; nor does the path of a folder."""


@dataclass(frozen=True, slots=True)
class Edition:
    """A list of new papers as it will be sent: the same bytes for everyone but their links.

    Attributes:
        key: its name, the same for the same papers in the same look.
        parts: usually one; more where there is no web page for what does not fit.
    """

    key: str
    entries: tuple[Entry, ...]
    titles: tuple[str, ...]
    parts: tuple[Rendered, ...]


class EditionBuilder:
    """Makes editions.

    Args:
        renderer: puts them into the theme.
        look: settings that shape an edition.
        excerpts: papers with an excerpt.
        base_url: where the pages of editions are; empty when there is no web side.
    """

    def __init__(
        self, renderer: Renderer, theme_settings: ThemeSettings, excerpts: int, base_url: str = ""
    ) -> None:
        self._renderer = renderer
        self._theme_settings = theme_settings
        self._excerpts = excerpts
        self._base_url = base_url

    def build(self, entries: Sequence[Entry]) -> Edition:
        """The edition of these entries.

        Raises:
            EditionFaulty: it fails its own check.
            RenderError: the theme cannot be rendered.
        """
        edition, fault = self.build_unchecked(entries)
        if fault:
            raise fault
        return edition

    def build_unchecked(self, entries: Sequence[Entry]) -> tuple[Edition, EditionFaulty | None]:
        """The edition of these entries, and what its own check says against it.

        Raises:
            RenderError: the theme cannot be rendered, or the edition made to fit.
        """
        ordered = in_order(entries)
        positions = [entry.position for entry in ordered]
        shaped_by = (
            self._theme_settings,
            self._excerpts,
            self._base_url,
            self._renderer.fingerprint,
        )
        shape = hashlib.blake2b(" ".join(map(str, shaped_by)).encode()).hexdigest()
        key = key_of(positions, self._theme_settings.language, self._theme_settings.theme, shape)
        made = self._parts(ordered, f"{self._base_url}/editions/{key}" if self._base_url else "")
        edition = Edition(
            key=key,
            entries=tuple(ordered),
            titles=tuple(title for content, _ in made for title in content.titles),
            parts=tuple(rendered for _, rendered in made),
        )
        return edition, _fault(made)

    def _parts(self, ordered: Sequence[Entry], web_url: str) -> list[tuple[Content, Rendered]]:
        whom = thanks(ordered)
        for detail in details(self._excerpts):
            content = compose(ordered, detail, whom)
            rendered = self._renderer.render(content, web_url)
            if validate.fits(rendered):
                return [(content, rendered)]

        def titles_only(part: Part) -> tuple[Content, Rendered]:
            short = compose(ordered, detail, whom, part, more_on_web=bool(web_url))
            return short, self._renderer.render(short, web_url)

        if web_url:
            most = _largest(len(ordered), lambda n: validate.fits(titles_only(Part(last=n))[1]))
            return [titles_only(Part(last=most))]
        return [titles_only(part) for part in _split(len(ordered), titles_only)]


def _fault(made: Sequence[tuple[Content, Rendered]]) -> EditionFaulty | None:
    try:
        for content, rendered in made:
            validate.check(content, rendered)
    except EditionFaulty as fault:
        return fault
    return None


def _split(count: int, made: Callable[[Part], tuple[Content, Rendered]]) -> list[Part]:
    """The fewest parts of about equal length that all fit."""
    for number in range(2, count + 1):
        bounds = [round(count * at / number) for at in range(number + 1)]
        parts = [
            Part(at + 1, number, first, last) for at, (first, last) in enumerate(pairwise(bounds))
        ]
        if all(validate.fits(made(part)[1]) for part in parts):
            return parts
    raise EditionFaulty("a single paper does not fit into a mail", where="edition")


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` that fits; smaller ones fit too."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def thanks(entries: Sequence[Entry]) -> list[tuple[str, str | None]]:
    """Whom to thank: the places the formats belong to, else the sources' names."""
    found: dict[str, str | None] = {}
    for entry in entries:
        credit = formats.credit_of(entry.format)
        if credit:
            found[credit.text] = credit.url
        elif entry.source not in UNNAMED and "/" not in entry.source:
            found[entry.source] = None
    return list(found.items())
