"""Cleans untrusted text once, on input, and measures and wraps text for output. Pure.

Removes nothing visible: control characters and bidi marks become a space, characters that
cannot be encoded become U+FFFD.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

_CONTROLS = (
    "\x00-\x1f\x7f-\x9f"  # C0 and C1, tab and line ends among them
    "\u2028\u2029"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi marks, embeddings, isolates
)
_BROKEN = "\ud800-\udfff\ufdd0-\ufdef" + "".join(
    chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
_UNSAFE = re.compile(f"[{_CONTROLS}]")
_UNENCODABLE = re.compile(f"[{_BROKEN}]")
_UNLINKABLE = re.compile(f'[{_CONTROLS}{_BROKEN}\\s<>"\\\\]')
_LONG_RUN = re.compile("[\u0300-\U0010ffff]{31,}")
_MOST_MARKS = 30
_JOINER = "\u034f"
_ISOLATES = re.compile("[\u2068\u2069]")


MAX_CHARACTERS_PER_COLUMN = 4
"""Maximum characters per column on average; more are a flood of zero-width marks."""


def clean(text: str) -> str:
    """Returns one line of safe text: controls and bidi marks become spaces, invalid ones U+FFFD."""
    if not text.isascii():
        text = _UNENCODABLE.sub("\ufffd", text)
    return " ".join(_UNSAFE.sub(" ", text).split())


def normalised(form: Literal["NFC", "NFKC", "NFD"], text: str) -> str:
    """Normalises Unicode in linear time.

    Sorting a run of combining marks takes quadratic time, so a run that is longer than in any real
    text is divided by an invisible joiner, as in the Stream-Safe Text Format (UAX #15).
    """
    return unicodedata.normalize(form, _LONG_RUN.sub(_divided, text))


def _divided(run: re.Match[str]) -> str:
    made, marks = list[str](), 0
    for character in run[0]:
        marks = marks + 1 if _is_mark(character) else 0
        if marks > _MOST_MARKS:
            made.append(_JOINER)
            marks = 1
        made.append(character)
    return "".join(made)


@cache
def _is_mark(character: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def clean_or_none(value: object) -> str | None:
    """Returns the cleaned string, or `None` if it is not a string or has no visible character."""
    cleaned = clean(value) if isinstance(value, str) else ""
    return cleaned if any(_columns(character) for character in cleaned) else None


def is_plain(text: str) -> bool:
    """Returns whether the text is safe as a URL: no controls, spaces, quotes or angle brackets."""
    return _UNLINKABLE.search(text) is None


def isolate(text: str) -> str:
    """Isolates the text from the direction of its surroundings (U+2068 … U+2069).

    Left-to-right text is returned unchanged.
    """
    if text.isascii() or not any(
        unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text
    ):
        return text
    return f"\u2068{text}\u2069"


def without_isolates(text: str) -> str:
    """Reverses `isolate`."""
    return _ISOLATES.sub("", text)


def width(text: str) -> int:
    """Returns the width in terminal columns: 2 for wide characters, 0 for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, columns: int) -> str:
    """Returns the text, cut at a word with ` …` appended if it is wider than `columns`."""
    longest = columns * MAX_CHARACTERS_PER_COLUMN
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
    """Wraps text to lines of at most `columns` columns, at spaces; wide text breaks anywhere.

    A single longer word, such as a URL, stays whole on a line of its own. With `whole`, wide
    text, too, is broken only at spaces.
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
