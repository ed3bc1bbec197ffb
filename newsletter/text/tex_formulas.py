r"""One TeX formula → plain text: `x_{t+1} \le \frac{a}{b}` → `xₜ₊₁ ≤ a/b`.

A formula that contains a macro without a plain form has no plain form either. Finding
formulas in running text is the work of `tex`. Pure.
"""

from __future__ import annotations

import re
import unicodedata

from newsletter.text import tex_symbols

_TOKEN = re.compile(r"\\[A-Za-z]+\*?\s*|\\.|\s+|.", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{3}")
_DEEPEST = 20
_LONGEST = 1_000
"""Maximum characters of a formula; `tex` never finds one as long."""


def plain_formula(source: str, otherwise: str) -> str:
    """Returns `source`, a formula without delimiters, as plain text, or `otherwise` if it fails."""
    if len(source) > _LONGEST:
        return otherwise
    try:
        return _Formula(source).row().strip()
    except _NoFormError:
        return otherwise


class _NoFormError(Exception):
    """A formula contains something that plain text cannot show."""


class _Formula:
    """One formula as plain text."""

    def __init__(self, source: str) -> None:
        self.tokens = _TOKEN.findall(source)[::-1]
        self.depth = 0

    def row(self, *, braced: bool = False) -> str:
        """Converts everything up to the closing brace or the end."""
        row = ""
        while self.tokens:
            piece = self.tokens.pop()
            if piece == "}":
                if braced:
                    return row
                raise _NoFormError
            name = piece[1:].strip() if piece[0] == "\\" else ""
            if name in tex_symbols.OPERATORS:
                row = self.operator(row, piece, tex_symbols.OPERATORS[name])
            elif piece.isspace():
                row = row if row.endswith(" ") else row + " "
            else:
                row += self.atom(piece, name, row)
        if braced:
            raise _NoFormError
        return row

    def operator(self, row: str, piece: str, sign: str) -> str:
        r"""Returns `row` with the sign, spaced on both sides or on neither as in `a\times b`."""
        spaced = row.endswith(" ") or piece[-1].isspace() or self.peek().isspace()
        if self.peek().isspace():
            self.tokens.pop()
        return f"{row.rstrip()} {sign} " if spaced and row.strip() else row + sign

    def atom(self, piece: str, name: str, row: str) -> str:
        """Returns the plain form of the item that follows `row`."""
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
        for known in (
            tex_symbols.GREEK,
            tex_symbols.SYMBOLS,
            tex_symbols.SPACES,
            tex_symbols.ESCAPED,
        ):
            if name in known:
                return known[name]
        if name.removesuffix("*") in tex_symbols.STYLES:
            return self.argument()
        if name in tex_symbols.NAMES:
            before = " " if row[-1:].isalnum() or row.endswith(")") else ""
            after = " " if self.peek()[:1].isalnum() or self.peek()[:1] == "\\" else ""
            return before + name + after
        if name in tex_symbols.DROPPED:
            if self.peek() == ".":
                self.tokens.pop()
            return ""
        return self.construct(name, row)

    def construct(self, name: str, row: str) -> str:
        """Converts a macro that transforms its arguments."""
        if name == "|":
            return "‖"
        if name in ("mathbb", "mathds"):
            return "".join(
                tex_symbols.BLACKBOARD.get(character, character) for character in self.argument()
            )
        if name in ("frac", "tfrac", "dfrac", "nicefrac"):
            return self.fraction(row)
        if name == "sqrt" and self.peek() != "[":
            return "√" + _one(self.argument())
        argument = self.argument() if name in tex_symbols.MATHS_MARKS else ""
        if len(argument) == 1:
            return unicodedata.normalize("NFC", argument + tex_symbols.MATHS_MARKS[name])
        raise _NoFormError

    def fraction(self, row: str) -> str:
        whole = f"{_one(self.argument())}/{_one(self.argument())}"
        # Without brackets, `2\frac{a}{b}c` would become 2a/bc.
        touches = row[-1:].isalnum() or self.peek()[:1].isalnum() or self.peek() == "^"
        return f"({whole})" if touches else whole

    def script(self, sign: str) -> str:
        """Converts a superscript or subscript, to Unicode characters if there are such."""
        script = self.argument().strip()
        forms = tex_symbols.RAISED if sign == "^" else tex_symbols.LOWERED
        if not _WORD.search(script) and all(character in forms for character in script):
            return "".join(forms[character] for character in script)
        # "x_max" reads well, "x_maxy" does not.
        plain = len(script) == 1 or (sign == "_" and script.isalnum())
        if plain and not (len(script) > 1 and self.peek()[:1].isalnum()):
            return sign + script
        return sign + (script if _in_brackets(script) else f"({script})")

    def argument(self) -> str:
        """Converts the group or the single item that is a macro's or a script's argument."""
        if self.peek().isspace():
            self.tokens.pop()
        if not self.tokens or self.peek() in ("}", "^", "_"):
            raise _NoFormError
        piece = self.tokens.pop()
        name = piece[1:].strip() if piece[0] == "\\" else ""
        return (
            tex_symbols.OPERATORS[name]
            if name in tex_symbols.OPERATORS
            else self.atom(piece, name, "")
        )

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
    """Returns the argument in brackets, unless it is a single word or has them already."""
    argument = argument.strip()
    if argument.isalnum() or len(argument) == 1 or _in_brackets(argument):
        return argument
    return f"({argument})"


def _in_brackets(text: str) -> bool:
    return text[:1] == "(" and text.find(")") == len(text) - 1 and text.count("(") == 1
