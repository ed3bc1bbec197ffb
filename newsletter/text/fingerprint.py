"""Equality of texts: the fingerprint of a title, and the comparable form of a text.

Decides nothing about papers: `papers.identity` decides which keys a paper has, and
`papers.changes` what counts as an update. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from newsletter.text import tex_symbols
from newsletter.text.clean import normalised
from newsletter.text.tex import to_unicode

# Differences between sources in writing the same text: spaces, groups, maths, lost macros.
_NO_CHANGE = re.compile(r"\\[A-Za-z]+|[\s${}^_\\~]+")
_LEFTOVER = re.compile(r"\\([A-Za-z]+)")
_TEX_SIGNS = re.compile("[${}^_\\\\\u00ad]")  # and the soft hyphen, which is invisible
_ASCII_GAPS = re.compile(r"[^a-z0-9+#\x80-\U0010ffff]+")
_OTHER_SIGNS = re.compile(r"[^\w+# ]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_MARKS_IN_TEXT = re.compile("[\u0300-\u036f]+")
# A character of Chinese, Japanese, Korean or Thai, or all text up to the next one or a space.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORDS = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_LATIN = re.compile("[a-z\u00df-\u02af]")
_NO_ASCII_BASE = tex_symbols.table("ß ss ø o ł l đ d ð d þ th æ ae œ oe ħ h ŧ t ŋ n ı i ȷ j")
_NO_ASCII_BASES = re.compile(f"[{''.join(_NO_ASCII_BASE)}]")


def comparable(text: str) -> str:
    """Returns the text without white space, case and TeX, for comparison.

    Unlike a fingerprint, it keeps signs: `p < 0.05` is not `p > 0.05`.
    """
    plain = normalised("NFKC", to_unicode(text))
    return _NO_CHANGE.sub("", plain).casefold()


def fingerprint(title: str) -> str:
    """Returns a key that is equal for equal titles from different sources.

    Case, white space, punctuation, accents of Latin letters and the spelling in TeX do not
    matter; digits, `+` and `#` do. A title that consists only of signs is its own key.
    """
    while not (key := _key(title)):
        plain = normalised("NFKC", to_unicode(" ".join(title.split())))
        plain = " ".join(plain.casefold().split())
        if plain == title:
            return plain
        title = plain
    return key


def share_words(one: str, other: str) -> bool:
    """Returns whether at least half of the words of the shorter fingerprint are in the other.

    In scripts without spaces each character is a word.
    """
    shorter, longer = sorted((_words(one), _words(other)), key=Counter.total)
    return 2 * (shorter & longer).total() >= shorter.total()


def _words(key: str) -> Counter[str]:
    return Counter(_WORDS.findall(key))


def _key(title: str) -> str:
    if "\\" in title or "$" in title:
        title = to_unicode(" ".join(title.split()))
    if not title.isascii():
        title = normalised("NFKC", title)
    if "\\" in title:
        title = _LEFTOVER.sub(_leftover, title)
    title = _TEX_SIGNS.sub("", title)
    title = title.lower() if title.isascii() else _folded(title)
    key = _ASCII_GAPS.sub(" ", title)
    return (key if key.isascii() else _without_signs(key)).strip()


def _leftover(match: re.Match[str]) -> str:
    name = match[1]
    return name if name in tex_symbols.NAMES else tex_symbols.GREEK.get(name, "")


def _folded(text: str) -> str:
    """Removes case and the accents of Latin letters.

    Marks on other letters distinguish words: Japanese voicing, Hebrew and Indic vowels.
    """
    return normalised("NFC", _BEYOND_ASCII.sub(_bare, text.casefold()))


def _bare(match: re.Match[str]) -> str:
    before = match.string[max(match.start() - 1, 0) : match.start()]
    text = normalised("NFD", before + match[0])
    text = _MARKS_IN_TEXT.sub(_unless_latin, text)
    return _NO_ASCII_BASES.sub(lambda base: _NO_ASCII_BASE[base[0]], text)[len(before) :]


def _unless_latin(match: re.Match[str]) -> str:
    before = match.string[max(match.start() - 1, 0) : match.start()]
    return "" if _LATIN.match(before) else match[0]


def _without_signs(text: str) -> str:
    text = _OTHER_SIGNS.sub(_mark_or_space, text)
    return " ".join(text.split())


def _mark_or_space(match: re.Match[str]) -> str:
    return match[0] if unicodedata.category(match[0])[0] == "M" else " "
