r"""Running text with TeX → Unicode: accents, letters, styles, quotes, and where formulas are.

Nothing here renders TeX. A macro that is not in the tables stays as it was written,
and so does a formula that holds one: readers of papers read `$\foo$` better than a
guess. A lone `$` is money. What stands inside a formula is the work of `tex_formulas`.
Pure; takes linear time on any text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from newsletter.text import tex_symbols
from newsletter.text.tex_formulas import plain_formula

_LETTER = r"(?:\\[ij](?![A-Za-z])|[^\W\d_])"
# A letter macro needs a brace or a space: `\vec` is no accent. Signs do not.
_ACCENT = (
    rf"\\(?:[`'^~=.\"]\s*(?:\{{\s*{_LETTER}\s*\}}|{_LETTER})"
    rf"|[uvHckrd](?:\s*\{{\s*{_LETTER}\s*\}}|\s+{_LETTER}))"
)
_NAMED = "|".join([*tex_symbols.LETTERS, *tex_symbols.SIGNS])
# Bodies cannot hold their own opening, so that a scan ends at the next one: linear time.
_MATHS = (
    r"\$(?![\s$])(?:[^$\\]|\\.){1,300}+(?<!\s)\$(?![\d$])"
    # What cannot be money may stand before a digit: `5$\pm$0.3`, `$<$5`.
    r"|\$(?:(?=\\[A-Za-z])(?:[^$\\]|\\.){1,300}+(?<!\s)|[<>=~+-]{1,3})\$(?!\$)"
    r"|\\\((?:[^\\]|\\[^()]){1,300}+\\\)"
)
_TOKEN = re.compile(
    r"(?=[\\${}`'])(?:"  # nearly every character is none of these: said first, for speed
    rf"(?P<maths>{_MATHS})"
    # Displays hold more than a line of text can show: not looked into.
    r"|(?P<display>\\\[(?:[^\\]|\\[^\[\]])*+\\\])"
    r"|(?P<script>\\text(?:super|sub)script\s*\{[^{}\\$]{1,20}\})"
    rf"|(?P<accent>\{{{_ACCENT}\}}|{_ACCENT})"
    rf"|(?P<named>\{{\\(?:{_NAMED})\s*\}}|\\(?:{_NAMED})(?![A-Za-z])(?:\{{\}}|\s+)?)"
    rf"|(?P<board>\\mathbb\s*\{{[A-Z1]\}})"
    rf"|(?P<style>\\(?:{'|'.join(tex_symbols.STYLES)})\*?\s*\{{|\{{\\(?:{tex_symbols.DECLARATIONS})(?![A-Za-z])\s*)"
    r"|(?P<escape>\\[%&#_{}$])"
    r"|(?P<space>\\,|(?<=\.)\\\ )"
    r"|(?P<open>\{+(?!\\)|\{)|(?P<close>\}+)"
    r"|(?P<quotes>``(?!`)|''(?!'))"
    # Each of these is passed over as one: a run of signs is a single step.
    r"|(?P<other>(?:\\\\)+|\\(?:[A-Za-z]+|.)?|\$+|`+|'+))",
    re.DOTALL,
)
# `$5 million, and A$` is no formula.
_MONEY = re.compile(r"\d[\d.,]*\s+[A-Za-z]{2,}")


def to_unicode(text: str) -> str:
    """The text with accents, special letters, styles and simple maths in Unicode.

    What is unknown stays literal. Text without TeX comes back unchanged, and text
    that is not blank never becomes blank.
    """
    if "\\" not in text and "$" not in text and "``" not in text:
        return text
    converted = _Converter().run(text)
    return converted if converted.strip() else text


class _Converter:
    """One pass over a text. What must be taken back later is kept by its place in `out`."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.quote: int | None = None
        self.groups: list[int] = []  # open styles, and -1 for every brace inside one

    def run(self, text: str) -> str:
        end = 0
        for match in _TOKEN.finditer(text):
            self.out.append(text[end : match.start()])
            self.put(match.lastgroup or "", match[0])
            end = match.end()
        return "".join([*self.out, text[end:]])

    def put(self, kind: str, piece: str) -> None:
        match kind:
            case "style":
                self.groups.append(len(self.out))
            case "open":
                self.groups += [-1] * len(piece) if self.groups else []
            case "close":
                piece = "".join(self.closing() for _ in piece) if self.groups else piece
            case "quotes":
                piece = self.quoting(piece)
            case "escape":
                piece = piece[1]
            case "space":
                piece = " "
            case "maths" | "script" | "accent" | "named" | "board":
                piece = _REPLACING[kind](piece)
        self.out.append(piece)

    def closing(self) -> str:
        """What a `}` becomes: nothing when it ends a style, whose opening then goes too."""
        opening = self.groups.pop() if self.groups else -1
        if opening < 0:
            return "}"
        self.out[opening] = ""
        return ""

    def quoting(self, piece: str) -> str:
        """Only a pair of `` and '' becomes quotation marks."""
        if piece == "``":
            self.quote = len(self.out)
        elif self.quote is not None:
            self.out[self.quote], self.quote, piece = "“", None, "”"
        return piece


def _accent(piece: str) -> str:
    inner = piece[1:-1] if piece[0] == "{" else piece
    base = inner[2:].strip("{} \t\n\r\f\v").removeprefix("\\")
    accented = unicodedata.normalize("NFC", base + tex_symbols.MARKS[inner[1]])
    # `don\'t` is an escaped apostrophe: no letter with that accent exists.
    return accented if len(accented) == 1 or "{" in inner else piece


def _named(piece: str) -> str:
    name = piece.strip("{}\\ \t\n\r\f\v")
    # TeX eats the space after a macro (`Stra\ss e`); after dots everyone forgets that.
    space = piece[len(piece.rstrip()) :] if name.endswith("dots") else ""
    return (tex_symbols.LETTERS.get(name) or tex_symbols.SIGNS[name]) + space


def _maths(piece: str) -> str:
    size = 1 if piece[0] == "$" else 2
    source = piece[size:-size]
    return piece if _MONEY.match(source) else plain_formula(source, piece)


def _script(piece: str) -> str:
    sign = "^" if "super" in piece else "_"
    return plain_formula(sign + piece[piece.index("{") :], piece)


_REPLACING: dict[str, Callable[[str], str]] = {
    "maths": _maths,
    "script": _script,
    "accent": _accent,
    "named": _named,
    "board": lambda piece: tex_symbols.BLACKBOARD[piece[-2]],
}
