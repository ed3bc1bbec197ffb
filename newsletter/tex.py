r"""Accents and common maths of TeX as Unicode; the rest stays literal.

Nothing here renders TeX. A macro that is not in the tables stays as it was written,
and so does a formula that holds one: readers of papers read `$\foo$` better than a
guess. A lone `$` is money. Touches no file and no clock; takes linear time on any text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from newsletter import symbols

_LETTER = r"(?:\\[ij](?![A-Za-z])|[^\W\d_])"
# A letter macro needs a brace or a space: `\vec` is no accent. Signs do not.
_ACCENT = (
    rf"\\(?:[`'^~=.\"]\s*(?:\{{\s*{_LETTER}\s*\}}|{_LETTER})"
    rf"|[uvHckrd](?:\s*\{{\s*{_LETTER}\s*\}}|\s+{_LETTER}))"
)
_NAMED = "|".join([*symbols.LETTERS, *symbols.SIGNS])
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
    rf"|(?P<style>\\(?:{'|'.join(symbols.STYLES)})\*?\s*\{{|\{{\\(?:{symbols.DECLARATIONS})(?![A-Za-z])\s*)"
    r"|(?P<escape>\\[%&#_{}$])"
    r"|(?P<space>\\,|(?<=\.)\\\ )"
    r"|(?P<open>\{+(?!\\)|\{)|(?P<close>\}+)"
    r"|(?P<quotes>``(?!`)|''(?!'))"
    # Each of these is passed over as one: a run of signs is a single step.
    r"|(?P<other>(?:\\\\)+|\\(?:[A-Za-z]+|.)?|\$+|`+|'+))",
    re.DOTALL,
)
_MATHS_TOKEN = re.compile(r"\\[A-Za-z]+\*?\s*|\\.|\s+|.", re.DOTALL)
# `$5 million, and A$` is no formula.
_MONEY = re.compile(r"\d[\d.,]*\s+[A-Za-z]{2,}")
_WORD = re.compile(r"[^\W\d_]{3}")
_DEEPEST = 20

# What sources write differently for the same text: spaces, groups, maths, lost macros.
_NO_CHANGE = re.compile(r"\\[A-Za-z]+|[\s${}^_\\~]+")


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
    letter = inner[2:].strip("{} \t\n\r\f\v").removeprefix("\\")
    accented = unicodedata.normalize("NFC", letter + symbols.MARKS[inner[1]])
    # `don\'t` is an escaped apostrophe: no letter with that accent exists.
    return accented if len(accented) == 1 or "{" in inner else piece


def _named(piece: str) -> str:
    name = piece.strip("{}\\ \t\n\r\f\v")
    # TeX eats the space after a macro (`Stra\ss e`); after dots everyone forgets that.
    space = piece[len(piece.rstrip()) :] if name.endswith("dots") else ""
    return (symbols.LETTERS.get(name) or symbols.SIGNS[name]) + space


def _maths(piece: str) -> str:
    size = 1 if piece[0] == "$" else 2
    source = piece[size:-size]
    return piece if _MONEY.match(source) else _plain(source, piece)


def _script(piece: str) -> str:
    sign = "^" if "super" in piece else "_"
    return _plain(sign + piece[piece.index("{") :], piece)


def _plain(source: str, otherwise: str) -> str:
    try:
        return _Maths(source).row().strip()
    except _NoFormError:
        return otherwise


_REPLACING: dict[str, Callable[[str], str]] = {
    "maths": _maths,
    "script": _script,
    "accent": _accent,
    "named": _named,
    "board": lambda piece: symbols.BLACKBOARD[piece[-2]],
}


class _NoFormError(Exception):
    """A formula holds something that plain text cannot show."""


class _Maths:
    """One formula as plain text."""

    def __init__(self, source: str) -> None:
        self.tokens = _MATHS_TOKEN.findall(source)[::-1]
        self.depth = 0

    def row(self, *, braced: bool = False) -> str:
        """What stands until the closing brace, or until the end."""
        row = ""
        while self.tokens:
            piece = self.tokens.pop()
            if piece == "}":
                if braced:
                    return row
                raise _NoFormError
            name = piece[1:].strip() if piece[0] == "\\" else ""
            if name in symbols.OPERATORS:
                row = self.operator(row, piece, symbols.OPERATORS[name])
            elif piece.isspace():
                row = row if row.endswith(" ") else row + " "
            else:
                row += self.atom(piece, name, row)
        if braced:
            raise _NoFormError
        return row

    def operator(self, row: str, piece: str, sign: str) -> str:
        """The sign with a space on both sides, or on neither as in `a\times b`."""
        spaced = row.endswith(" ") or piece[-1].isspace() or self.peek().isspace()
        if self.peek().isspace():
            self.tokens.pop()
        return f"{row.rstrip()} {sign} " if spaced and row.strip() else row + sign

    def atom(self, piece: str, name: str, row: str) -> str:
        """The plain form of one thing that follows `row`."""
        if name:
            return self.macro(name, row)
        if piece == "{":
            return self.group()
        if piece in "^_":
            return self.script(piece)
        if piece in "\\&#%$":
            raise _NoFormError
        return {"~": " ", "'": "′"}.get(piece, piece)

    def macro(self, name: str, row: str) -> str:
        for known in (symbols.GREEK, symbols.SYMBOLS, symbols.SPACES, symbols.ESCAPED):
            if name in known:
                return known[name]
        if name.removesuffix("*") in symbols.STYLES:
            return self.argument()
        if name in symbols.NAMES:
            before = " " if row[-1:].isalnum() or row.endswith(")") else ""
            after = " " if self.peek()[:1].isalnum() or self.peek()[:1] == "\\" else ""
            return before + name + after
        if name in symbols.DROPPED:
            if self.peek() == ".":
                self.tokens.pop()
            return ""
        return self.construct(name, row)

    def construct(self, name: str, row: str) -> str:
        """A macro that does something to its arguments."""
        if name == "|":
            return "‖"
        if name in ("mathbb", "mathds"):
            return "".join(symbols.BLACKBOARD.get(letter, letter) for letter in self.argument())
        if name in ("frac", "tfrac", "dfrac", "nicefrac"):
            return self.fraction(row)
        if name == "sqrt" and self.peek() != "[":
            return "√" + _one(self.argument())
        argument = self.argument() if name in symbols.MATHS_MARKS else ""
        if len(argument) == 1:
            return unicodedata.normalize("NFC", argument + symbols.MATHS_MARKS[name])
        raise _NoFormError

    def fraction(self, row: str) -> str:
        whole = f"{_one(self.argument())}/{_one(self.argument())}"
        # `2\frac{a}{b}c` is not 2a/bc.
        touches = row[-1:].isalnum() or self.peek()[:1].isalnum() or self.peek() == "^"
        return f"({whole})" if touches else whole

    def script(self, sign: str) -> str:
        """What is raised or lowered: in Unicode if all of it has a form and it is no word."""
        script = self.argument().strip()
        forms = symbols.RAISED if sign == "^" else symbols.LOWERED
        if not _WORD.search(script) and all(character in forms for character in script):
            return "".join(forms[character] for character in script)
        # "x_max" reads well, "x_maxy" does not.
        plain = len(script) == 1 or (sign == "_" and script.isalnum())
        if plain and not (len(script) > 1 and self.peek()[:1].isalnum()):
            return sign + script
        return sign + (script if _in_brackets(script) else f"({script})")

    def argument(self) -> str:
        """The group or the single thing that a macro or a script takes."""
        if self.peek().isspace():
            self.tokens.pop()
        if not self.tokens or self.peek() in ("}", "^", "_"):
            raise _NoFormError
        piece = self.tokens.pop()
        name = piece[1:].strip() if piece[0] == "\\" else ""
        return symbols.OPERATORS[name] if name in symbols.OPERATORS else self.atom(piece, name, "")

    def group(self) -> str:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _NoFormError
        inside = self.row(braced=True)
        self.depth -= 1
        return inside

    def peek(self) -> str:
        return self.tokens[-1] if self.tokens else ""


def _one(argument: str) -> str:
    """The argument as a single thing: in brackets unless it is one word."""
    argument = argument.strip()
    if argument.isalnum() or len(argument) == 1 or _in_brackets(argument):
        return argument
    return f"({argument})"


def _in_brackets(text: str) -> bool:
    return text[:1] == "(" and text.find(")") == len(text) - 1 and text.count("(") == 1


_LEFTOVER = re.compile(r"\\([A-Za-z]+)")
_TEX_SIGNS = re.compile("[${}^_\\\\\u00ad]")  # and the soft hyphen, which nobody sees
_ASCII_GAPS = re.compile(r"[^a-z0-9+#\x80-\U0010ffff]+")
_OTHER_SIGNS = re.compile(r"[^\w+# ]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_MARKS_IN_TEXT = re.compile("[\u0300-\u036f]+")
_LATIN = re.compile("[a-z\u00df-\u02af]")
_NO_ASCII_BASE = symbols.table("ß ss ø o ł l đ d ð d þ th æ ae œ oe ħ h ŧ t ŋ n ı i ȷ j")
_NO_ASCII_BASES = re.compile(f"[{''.join(_NO_ASCII_BASE)}]")


def comparable(text: str) -> str:
    """What remains of a text when white space, case and TeX do not count.

    Unlike a fingerprint it keeps signs: `p < 0.05` is not `p > 0.05`.
    """
    plain = unicodedata.normalize("NFKC", to_unicode(text))
    return _NO_CHANGE.sub("", plain).casefold()


def fingerprint(title: str) -> str:
    """The key by which equal titles are recognised, whatever source they come from.

    Case, white space, punctuation, accents of Latin letters and the spelling in TeX
    do not count; digits, `+` and `#` do. A title of signs only is its own key.
    """
    while not (key := _key(title)):
        plain = unicodedata.normalize("NFKC", to_unicode(" ".join(title.split())))
        plain = " ".join(plain.casefold().split())
        if plain == title:
            return plain
        title = plain
    return key


def _key(title: str) -> str:
    if "\\" in title or "$" in title:
        title = to_unicode(" ".join(title.split()))
    if not title.isascii():
        title = unicodedata.normalize("NFKC", title)
    if "\\" in title:
        title = _LEFTOVER.sub(_leftover, title)
    title = _TEX_SIGNS.sub("", title)
    title = title.lower() if title.isascii() else _folded(title)
    key = _ASCII_GAPS.sub(" ", title)
    return (key if key.isascii() else _without_signs(key)).strip()


def _leftover(match: re.Match[str]) -> str:
    name = match[1]
    return name if name in symbols.NAMES else symbols.GREEK.get(name, "")


def _folded(text: str) -> str:
    """Without case and without the accents of Latin letters.

    Marks on other letters make the word: Japanese voicing, Hebrew and Indic vowels.
    """
    return unicodedata.normalize("NFC", _BEYOND_ASCII.sub(_bare, text.casefold()))


def _bare(match: re.Match[str]) -> str:
    before = match.string[max(match.start() - 1, 0) : match.start()]
    text = unicodedata.normalize("NFD", before + match[0])
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
