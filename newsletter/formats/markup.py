"""Converts the HTML in feeds to plain text.

Only HTML tags are removed. Anything else in angle brackets is text and stays: `<think>`, `<1 GB`,
`LMK > CLS`. Each pattern scans the text once.
"""

from __future__ import annotations

import html
import re

from newsletter.text.clean import clean
from newsletter.text.tex import to_unicode

_INLINE = (
    "a|abbr|acronym|b|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|"
    "tt|u|m(?:i|o|n|s|row|sup|sub|subsup|frac|sqrt|root|text|style|over|under|underover)|"
    "jats:[a-z-]{1,30}|mml:[a-z]{1,30}"
)
_BLOCK = (
    "address|article|aside|audio|blockquote|body|br|button|caption|center|col|colgroup|dd|details|"
    "div|dl|dt|embed|fieldset|figcaption|figure|footer|h[1-6]|head|header|hr|html|iframe|img|li|"
    "link|main|math|meta|nav|noscript|ol|p|picture|pre|section|sub|sup|svg|table|tbody|td|tfoot|"
    "th|thead|tr|ul|video|wbr|mtable|mtr|mtd|semantics"
)
_UNSURE = "form|g|input|label|object|option|path|select|source|summary|textarea|time|title|var"
_VALUES = r"(?:[^<>\"']|\"[^\"<]{0,2000}\"|'[^'<]{0,2000}'){0,2000}"
_GIVEN = rf"\s+[\w:.-]{{1,50}}\s*={_VALUES}"
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<raw>script|style|template)\b.*?(?:</(?P=raw)\s*>|\Z)"
    rf"|</?(?P<inline>{_INLINE})(?:{_GIVEN})?\s*/?>"
    rf"|</?(?P<block>{_BLOCK})(?:\s{_VALUES})?/?>"
    rf"|<(?P<opened>{_UNSURE}){_GIVEN}>|</(?P<closed>{_UNSURE})\s*>",
    re.IGNORECASE | re.DOTALL,
)
_SIGNS = re.compile(
    rf"</(?:p|div|[uo]l|li|h[1-6]|table|figure|blockquote|pre|sub|sup|{_INLINE})\s*>"
    r"|<(?:p|br|hr|img|div)(?:\s[^<>]{0,2000})?/?>",
    re.IGNORECASE,
)
_SCRIPTS = re.compile(r"<(su[bp])(?:\s[^<>]{0,200})?>([^<>]{1,40})</\1\s*>", re.IGNORECASE)
_NAMELESS = re.compile(
    r"<a\s+href=[\"'](https?://[^\s\"'<>]{1,1000})[\"'][^<>]{0,500}>\s*this (?:https? )?URL\s*</a>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def text_of(value: str, *, plain: bool = False) -> str:
    """Returns the visible text. A value without signs of HTML keeps its angle brackets.

    Superscripts and subscripts become Unicode where possible (`10<sup>5</sup>` is `10⁵`),
    otherwise plain characters (`ξ<sub>ion</sub>` is `ξion`). A link labelled "this https URL", as
    arXiv writes it, becomes its URL.

    Args:
        value: HTML, or text that may be HTML.
        plain: whether it should be text; then, without signs of HTML, `&lt;` is not decoded
            either.
    """
    text = value
    if "<" in value and _SIGNS.search(value):
        text = _NAMELESS.sub(r"\1", text)
        text = _without_tags(_SCRIPTS.sub(_script, text))
    elif plain:
        return clean(value)
    return clean(unescaped(text)) or clean(value)


def unescaped(value: str) -> str:
    """Decodes character references such as `&amp;` once. Those without the `;` are text."""
    return _ENTITY.sub(lambda found: html.unescape(found[0]), value) if "&" in value else value


def _without_tags(value: str) -> str:
    """Replaces block tags with spaces and removes others; ambiguous words stay if unmatched."""
    opened: set[str] = set()

    def gap(found: re.Match[str]) -> str:
        if found["closed"] and found["closed"].lower() not in opened:
            return found[0]
        if found["opened"]:
            opened.add(found["opened"].lower())
        return " " if found["block"] or found["raw"] else ""

    return _TAG.sub(gap, value)


def _script(found: re.Match[str]) -> str:
    """Turns `<sup>5</sup>` into `⁵` if all its characters exist in Unicode, else into `5`."""
    mark, inner = ("^", "_")[found[1].lower() == "sub"], found[2]
    raised = to_unicode(f"${mark}{{{inner}}}$") if inner.isalnum() and inner.isascii() else inner
    return inner if raised.startswith(mark) else raised
