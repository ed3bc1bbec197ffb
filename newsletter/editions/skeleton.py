"""A theme's MJML skeleton: filled with settings, and traced back to the lines of its files.

    edition.mjml.j2 ─ [[ settings ]] → MJML

The MJML is generated from several files (parents, includes, macros), so a line of it is not a line
that the operator wrote. `trace` generates it again with marks, which say where each piece is from.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jinja2 import BaseLoader, Environment
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from newsletter.editions.template_errors import FAULTS, Place
from newsletter.editions.templating import TemplateEnvironment, skeleton_environment

_MARK = re.compile("\ue000([^\ue001]*):(\\d+)\ue001")  # private-use characters


class _Marks(Extension):
    """Puts a mark with file and line before each piece of text, and after each line end in it."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        file = stream.filename or ""
        for token in stream:
            yield _marked(token, file) if token.type == "data" else token


def _marked(token: Token, file: str) -> Token:
    lines = enumerate(token.value.split("\n"), token.lineno)
    marked = (f"\ue000{file}:{number}\ue001{line}" for number, line in lines)
    return Token(token.lineno, token.type, "\n".join(marked))


@dataclass(frozen=True, slots=True)
class Trace:
    """Generated text, and where it is from.

    Attributes:
        text: the text as generated.
        pieces: the same text in pieces of at most one line, each with its place.
    """

    text: str
    pieces: tuple[tuple[Place | None, str], ...]

    def at(self, offset: int) -> Place | None:
        """Returns the place that the character at this offset is from."""
        starts = [0]
        for _, piece in self.pieces:
            starts.append(starts[-1] + len(piece))
        found = bisect_right(starts[:-1], offset) - 1
        return self.pieces[found][0] if found >= 0 else None

    def apart(self) -> tuple[str, list[Place | None]]:
        """Returns the text with each piece on lines of its own, and the place of each line.

        Jinja reports lines only, and a line can have pieces of several places.
        """
        lines: list[str] = []
        places: list[Place | None] = []
        for place, piece in self.pieces:
            for line in piece.removesuffix("\n").split("\n"):
                lines.append(line)
                places.append(place)
        return "\n".join(lines), places


_ENDS = re.compile("end(autoescape|block|call|filter|for|if|macro|with)")


def unclosed_tag(templates: Environment, text: str) -> int | None:
    """Returns the line of the Jinja tag that is not closed, or `None` if each one is.

    Jinja itself reports where it missed the end, which may be in another file.
    """
    opened: list[tuple[str, int]] = []
    is_first = False
    for line, kind, value in templates.lex(text):
        if kind == "name" and is_first:
            if end := _ENDS.fullmatch(value):
                if opened and opened[-1][0] != end[1]:
                    return opened[-1][1]
                opened = opened[:-1]
            elif _ENDS.fullmatch(f"end{value}"):
                opened.append((value, line))
        is_first = kind == "block_begin" or (is_first and kind == "whitespace")
    return opened[-1][1] if opened else None


class Skeleton:
    """The MJML of a theme.

    Args:
        loader: finds its files.
        name: the name of its file.
    """

    def __init__(self, loader: BaseLoader, name: str) -> None:
        self._environment: TemplateEnvironment = skeleton_environment(loader)
        self.name = name

    def fill(self, values: Mapping[str, object]) -> str:
        """Returns the MJML."""
        return self._environment.get_template(self.name).render(values)

    def trace(self, values: Mapping[str, object]) -> Trace | None:
        """Returns the MJML and where it is from; `None` if the marks change it."""
        try:
            plain = self.fill(values)
            marking = self._environment.overlay(extensions=[_Marks])
            marked = marking.get_template(self.name).render(values)
        except FAULTS:
            return None
        first, *rest = _MARK.split(marked)
        places = [Place(file, int(line)) for file, line in zip(rest[::3], rest[1::3], strict=True)]
        pieces = [(None, first), *zip(places, rest[2::3], strict=True)]
        return Trace(plain, tuple(pieces)) if _MARK.sub("", marked) == plain else None
