"""Tokenises the tags of a web page in one pass, regardless of errors and nesting.

Python's `html.parser` rescans unclosed comments and quotes; a page of 240 kB can take it half a
minute. Here each character is read a bounded number of times: an unclosed quote ends the tag, not
the search.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from newsletter.formats.markup import unescaped

_TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<silent>script|style|noscript|template|svg)\b(?![^<>]*/>).*?(?:</(?P=silent)\b[^>]*>?|\Z)"
    r"|<(?P<closes>/?)(?P<name>[A-Za-z][\w:-]*+)(?P<values>(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>"
    r"|<[!?/][^>]*>?",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""(?<![\w:-])([\w:-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"']++))""")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and the text since the previous one. The last one of a page has only text.

    Comments are left out, and so is what is not visible as text: scripts, styles, drawings.
    """

    before: str
    name: str = ""
    closes: bool = False
    values: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes; for duplicates, the first counts."""
        found = _ATTRIBUTE.findall(self.values)
        return {name.lower(): unescaped(a or b or c) for name, a, b, c in reversed(found)}


def tags(html: str) -> Iterator[Tag]:
    """Yields the tags of a page, in order, then the text after the last one."""
    at, before = 0, ""
    for token in _TOKEN.finditer(html):
        before += html[at : token.start()]
        at = token.end()
        if token["name"]:
            yield Tag(before, token["name"].lower(), bool(token["closes"]), token["values"])
            before = ""
    yield Tag(before + html[at:])
