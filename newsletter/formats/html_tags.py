"""The tags of a web page one after another, in one pass, however broken or deep it is.

Python's `html.parser` looks at unclosed comments and quotes again and again; a page of
240 kB can keep it busy for half a minute. Here each character is seen a bounded number
of times: a quote that stays open ends the tag, not the search.
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
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and the text since the one before it; at the end of the page there is only text.

    Comments are left out, and so is what readers do not see as text: scripts, styles,
    drawings.
    """

    before: str
    name: str = ""
    closes: bool = False
    values: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """Its attributes; of one given twice, the first counts."""
        found = _ATTRIBUTE.findall(self.values)
        return {name.lower(): unescaped(a or b or c) for name, a, b, c in reversed(found)}


def tags(html: str) -> Iterator[Tag]:
    """The tags of a page, in order, then the text after the last one."""
    at, before = 0, ""
    for token in _TOKEN.finditer(html):
        before += html[at : token.start()]
        at = token.end()
        if token["name"]:
            yield Tag(before, token["name"].lower(), bool(token["closes"]), token["values"])
            before = ""
    yield Tag(before + html[at:])
