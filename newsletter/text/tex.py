r"""Running text with TeX → Unicode: accents, letters, styles, quotes; finds formulas.

This is not a TeX renderer. A macro that is not in the tables stays as written, and so does
a formula that contains one: `$\foo$` is better than a guess. A lone
`$` is money. Formulas themselves are converted by `tex_formulas`. Pure; takes linear time
on any text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from newsletter.text import tex_symbols
from newsletter.text.tex_formulas import plain_formula

_LETTER = r"(?:\\[ij](?![A-Za-z])|[^\W\d_])"
# Accents named by a letter need a brace or a space, because `\vec` is no accent; signs do not.
_ACCENT = (
    rf"\\(?:[`'^~=.\"]\s*(?:\{{\s*{_LETTER}\s*\}}|{_LETTER})"
    rf"|[uvHckrd](?:\s*\{{\s*{_LETTER}\s*\}}|\s+{_LETTER}))"
)
_NAMED = "|".join([*tex_symbols.LETTERS, *tex_symbols.SIGNS])
# A body cannot contain its own opening delimiter, so a scan ends at the next one: linear time.
_MATHS = (
    r"\$(?![\s$])(?:[^$\\]|\\.){1,300}+(?<!\s)\$(?![\d$])"
    # A formula that cannot be money may precede a digit: `5$\pm$0.3`, `$<$5`.
    r"|\$(?:(?=\\[A-Za-z])(?:[^$\\]|\\.){1,300}+(?<!\s)|[<>=~+-]{1,3})\$(?!\$)"
    r"|\\\((?:[^\\]|\\[^()]){1,300}+\\\)"
)
_TOKEN = re.compile(
    r"(?=[\\${}`'])(?:"  # few characters are one of these: tested first, for speed
    rf"(?P<maths>{_MATHS})"
    # Displayed formulas rarely fit into a line of text, so they are left as they are.
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
    # A run of these signs is skipped in a single step.
    r"|(?P<other>(?:\\\\)+|\\(?:[A-Za-z]+|.)?|\$+|`+|'+))",
    re.DOTALL,
)
# `$5 million, and A$` is not a formula.
_MONEY = re.compile(r"\d[\d.,]*\s+[A-Za-z]{2,}")


def to_unicode(text: str) -> str:
    """Converts accents, special letters, styles and simple maths to Unicode.

    Unknown macros stay as written. Text without TeX is returned unchanged, and text that is
    not blank never becomes blank.
    """
    if "\\" not in text and "$" not in text and "``" not in text:
        return text
    converted = _Converter().run(text)
    return converted if converted.strip() else text


class _Converter:
    """One pass over a text. Output that may have to be changed later is tracked by its index."""

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
        """Returns the output for a `}`: nothing if it ends a style, whose opening is removed."""
        opening = self.groups.pop() if self.groups else -1
        if opening < 0:
            return "}"
        self.out[opening] = ""
        return ""

    def quoting(self, piece: str) -> str:
        """Converts a pair of `` and '' to quotation marks; an unpaired one stays."""
        if piece == "``":
            self.quote = len(self.out)
        elif self.quote is not None:
            self.out[self.quote], self.quote, piece = "“", None, "”"
        return piece


def _accent(piece: str) -> str:
    inner = piece[1:-1] if piece[0] == "{" else piece
    base = inner[2:].strip("{} \t\n\r\f\v").removeprefix("\\")
    accented = unicodedata.normalize("NFC", base + tex_symbols.MARKS[inner[1]])
    # `don\'t` has an escaped apostrophe: there is no letter with that accent.
    return accented if len(accented) == 1 or "{" in inner else piece


def _named(piece: str) -> str:
    name = piece.strip("{}\\ \t\n\r\f\v")
    # TeX drops the space after a macro (`Stra\ss e`), but after dots authors expect it to stay.
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
