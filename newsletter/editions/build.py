"""Entries → edition: builds an edition, makes it fit the size limit, and validates it.

entries ─ compose ─ render ─ fits? ─ validate → Edition
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
"""Sources whose names mean nothing to subscribers. The same is true of folder paths."""


@dataclass(frozen=True, slots=True)
class Edition:
    """A list of new papers as it will be sent; only the unsubscribe links differ by recipient.

    Attributes:
        key: identifies the edition; equal for the same papers, theme and settings.
        parts: usually one; more if it does not fit and there is no web page for the rest.
    """

    key: str
    entries: tuple[Entry, ...]
    titles: tuple[str, ...]
    parts: tuple[Rendered, ...]


class EditionBuilder:
    """Builds editions.

    Args:
        renderer: renders them in the theme.
        theme_settings: the settings of the theme.
        excerpts: number of papers with an excerpt.
        base_url: base URL of the web pages, or empty without a web server.
    """

    def __init__(
        self, renderer: Renderer, theme_settings: ThemeSettings, excerpts: int, base_url: str = ""
    ) -> None:
        self._renderer = renderer
        self._theme_settings = theme_settings
        self._excerpts = excerpts
        self._base_url = base_url

    def build(self, entries: Sequence[Entry]) -> Edition:
        """Builds the edition of these entries.

        Raises:
            EditionFaulty: it fails validation.
            RenderError: the theme cannot be rendered.
        """
        edition, fault = self.build_unchecked(entries)
        if fault:
            raise fault
        return edition

    def build_unchecked(self, entries: Sequence[Entry]) -> tuple[Edition, EditionFaulty | None]:
        """Builds the edition of these entries; returns it with its validation error, if any.

        Raises:
            RenderError: the theme cannot be rendered, or the edition cannot be made to fit.
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
        credited = credits_of(ordered)
        for detail in details(self._excerpts):
            content = compose(ordered, detail, credited)
            rendered = self._renderer.render(content, web_url)
            if validate.fits(rendered):
                return [(content, rendered)]

        def titles_only(part: Part) -> tuple[Content, Rendered]:
            short = compose(ordered, detail, credited, part, more_on_web=bool(web_url))
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
    """Returns the smallest number of parts, of about equal length, that all fit."""
    for number in range(2, count + 1):
        bounds = [round(count * at / number) for at in range(number + 1)]
        parts = [
            Part(at + 1, number, first, last) for at, (first, last) in enumerate(pairwise(bounds))
        ]
        if all(validate.fits(made(part)[1]) for part in parts):
            return parts
    raise EditionFaulty("a single paper does not fit into a message", where="edition")


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """Returns the largest number up to `most` that fits, assuming that smaller ones fit too."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def credits_of(entries: Sequence[Entry]) -> list[tuple[str, str | None]]:
    """Returns the credits, each a text and a URL: for known formats their site, else the source."""
    found: dict[str, str | None] = {}
    for entry in entries:
        credit = formats.credit_of(entry.format)
        if credit:
            found[credit.text] = credit.url
        elif entry.source not in UNNAMED and "/" not in entry.source:
            found[entry.source] = None
    return list(found.items())
