"""MJML → HTML, and where in the MJML a mistake is.

The compiler names the position of some mistakes only, and accepts unknown tags in places; both
are looked for here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from mjml import mjml2html

DEEPEST = 500
"""Maximum nesting of MJML tags."""

TAGS = frozenset({"mjml"} | {f"mj-{name}" for name in (
    "accordion", "accordion-element", "accordion-text", "accordion-title", "all", "attributes",
    "body", "breakpoint", "button", "carousel", "carousel-image", "class", "column", "divider",
    "font", "group", "head", "hero", "image", "include", "navbar", "navbar-link", "preview", "raw",
    "section", "social", "social-element", "spacer", "style", "table", "text", "title", "wrapper",
)})  # fmt: skip
"""The tags of MJML; all others are HTML."""

_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr",
})  # fmt: skip
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(/?)>|<(?![!?])")
_POSITION = re.compile(r" in root template(?: at position (\d+):(\d+))?$")


class MjmlFaulty(Exception):
    """The MJML has a mistake in it.

    Args:
        what: what is wrong.
        at: where in the MJML it is, in characters; `None` if that is not known.
    """

    def __init__(self, what: str, at: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.at = at


def compiled(mjml: str) -> str:
    """Compiles MJML, which contains Jinja in place of papers, to HTML.

    Raises:
        MjmlFaulty: the MJML does not compile, or is nested too deeply.
    """
    if _depth(mjml) > DEEPEST:  # the compiler never returns from thousands
        raise MjmlFaulty("the MJML is nested too deeply; close its tags")
    _check_tags(mjml)
    try:
        html = mjml2html(mjml, disable_comments=True, fonts={})
    except ValueError as exc:
        raise _fault(mjml, str(exc)) from exc
    return re.sub(r"\n\s+", "\n", html)  # indentation would be repeated for every paper


def _depth(mjml: str) -> int:
    """Returns how deeply the tags are nested."""
    depth = deepest = 0
    for tag in re.finditer(r"<(/?)[a-zA-Z][^<>]*?(/?)>", mjml):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        deepest = max(deepest, depth)
    return deepest


def _check_tags(mjml: str) -> None:
    """Refuses unknown tags: the compiler would copy most of them into the mail."""
    for tag in re.finditer(r"<(mj[\w:.-]*)", _without_comments(mjml)):
        name = tag[1]
        if name not in TAGS and (name.startswith("mj-") or name == "mj"):
            near = difflib.get_close_matches(name, TAGS, n=1)
            meant = f" (did you mean <{near[0]}>?)" if near else ""
            raise MjmlFaulty(f"MJML has no tag <{name}>{meant}", tag.start())


def _without_comments(mjml: str) -> str:
    """Returns the text with spaces in place of comments, so that positions stay the same."""
    return _COMMENT.sub(lambda comment: " " * len(comment[0]), mjml)


def _fault(mjml: str, message: str) -> MjmlFaulty:
    """Returns the compiler's message in our words, with its position or the likeliest one."""
    found = _POSITION.search(message)
    what = f"the MJML does not compile: {_POSITION.sub('', message)}"
    start, end = len(mjml), len(mjml)
    if found and found[1]:  # in bytes
        data = mjml.encode()
        start, end = (len(data[: int(at)].decode(errors="ignore")) for at in found.groups())
        start += _leading_space(mjml[start:end])
    # The compiler notices a tag that is not closed only where its parent ends.
    suspect = next(_suspects(_without_comments(mjml)), None)
    if suspect and suspect[1] < start:
        return MjmlFaulty(f"{what}; {suspect[0]}", suspect[1])
    if start == len(mjml):
        return MjmlFaulty(what)
    return MjmlFaulty(f"{what}, “{' '.join(mjml[start:end].split())[:40]}”", start)


def _leading_space(text: str) -> int:
    return len(text) - len(text.lstrip())


def _suspects(mjml: str) -> Iterator[tuple[str, int]]:
    """Yields what looks wrong, and where: stray `<`, and tags that are not closed in turn."""
    if not re.match(r"\s*(<[!?][^>]*>\s*)*<mjml\b", mjml):
        yield (
            "it must begin with <mjml>; parents and blocks are written `[% … %]` in this file",
            _leading_space(mjml),
        )
        return
    opened: list[tuple[str, int]] = []
    for tag in _TAG.finditer(mjml):
        name, at = tag[2], tag.start()
        if name is None and mjml[at + 1 : at + 2].isalpha():
            yield "this tag does not end, or a quotation mark in it is not closed", at
        elif name is None:
            yield "`<` must begin a tag here; in an expression write `is lt(…)` instead", at
        elif not tag[1] and not tag[4] and name not in _VOID:
            opened.append((name, at))
        elif tag[1] and opened and opened[-1][0] == name:
            opened.pop()
        elif tag[1]:
            expected = f"stands where </{opened[-1][0]}> is expected" if opened else "closes no tag"
            yield f"</{name}> {expected}", at
            return
    if opened:
        yield f"<{opened[-1][0]}> is not closed", opened[-1][1]
