"""Text from outside: made safe once, where it comes in; measured and wrapped where it goes out.

Touches no file and no clock. Removes nothing that a reader could miss: characters
that could act (controls, bidi marks) become a space, those that no encoder takes
become U+FFFD.
"""

from __future__ import annotations

import re
import unicodedata

_CONTROLS = (
    "\x00-\x1f\x7f-\x9f"  # C0 and C1, tab and line ends among them
    "\u2028\u2029"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi marks, embeddings, isolates
)
_BROKEN = "\ud800-\udfff\ufdd0-\ufdef" + "".join(
    chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
_ACTING = re.compile(f"[{_CONTROLS}]")
_UNENCODABLE = re.compile(f"[{_BROKEN}]")
_UNLINKABLE = re.compile(f'[{_CONTROLS}{_BROKEN}\\s<>"\\\\]')
_ISOLATES = re.compile("[\u2068\u2069]")


MARKS_A_COLUMN = 4
"""Characters that may share a column; more are a flood of marks that take no room."""


def clean(text: str) -> str:
    """One line of safe text: controls and bidi marks to spaces, broken characters to U+FFFD."""
    if not text.isascii():
        text = _UNENCODABLE.sub("\ufffd", text)
    return " ".join(_ACTING.sub(" ", text).split())


def clean_or_none(value: object) -> str | None:
    """`clean` of a string; `None` for anything else and for what nobody can see."""
    cleaned = clean(value) if isinstance(value, str) else ""
    return cleaned if any(_columns(character) for character in cleaned) else None


def is_plain(text: str) -> bool:
    """Whether nothing in the text acts, breaks or ends an address: no space, mark or bracket."""
    return _UNLINKABLE.search(text) is None


def isolate(text: str) -> str:
    """The text kept apart from the direction of what surrounds it (U+2068 … U+2069).

    Left-to-right text needs none and gets none.
    """
    if text.isascii() or not any(
        unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text
    ):
        return text
    return f"\u2068{text}\u2069"


def without_isolates(text: str) -> str:
    """The text as it was before `isolate`."""
    return _ISOLATES.sub("", text)


def width(text: str) -> int:
    """Columns the text takes in a terminal: 2 for wide characters, 0 for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, columns: int) -> str:
    """At most `columns` columns of the text, cut at a word and ended by ` …` when shortened."""
    longest = columns * MARKS_A_COLUMN
    if width(text[: longest + 1]) <= columns and len(text) <= longest:
        return text
    end, used = 0, 0
    for character in text[:longest]:
        used += _columns(character)
        if used > columns - 2:
            break
        end += 1
    kept = text[:end]
    if " " in kept and text[end] != " ":
        kept = kept.rsplit(" ", 1)[0]
    return kept.rstrip(" ,;:—–-(") + " …"


def wrap(text: str, columns: int, *, whole: bool = False) -> list[str]:
    """Lines of at most `columns` columns, broken at spaces; wide text breaks anywhere.

    A single longer word (a URL) stays whole on a line of its own; so does wide text
    when `whole` asks that only spaces become line ends.
    """
    lines: list[str] = []
    line, used = "", 0
    for word in text.split(" "):
        wide = width(word)
        gap = 1 if line else 0
        if used + gap + wide <= columns:
            line, used = f"{line} {word}" if line else word, used + gap + wide
        elif wide > columns and wide > len(word) and not whole:
            *full, line = _break_wide(line + " " * gap + word, columns)
            lines += full
            used = width(line)
        else:
            lines += [line] if line else []
            line, used = word, wide
    return [*lines, line] if line else lines


def _break_wide(text: str, columns: int) -> list[str]:
    lines, line, used = [], "", 0
    for character in text:
        wide = _columns(character)
        if used + wide > columns:
            lines.append(line)
            line, used = "", 0
        line, used = line + character, used + wide
    return [*lines, line.strip()]
