"""JSON on one line, safe to print on a terminal. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

# Not escaped by `json`: DEL, C1 controls, bidi marks, other line ends, lone surrogates.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def json_line(value: Any, *, ascii_only: bool = False) -> str:
    """Returns the value as JSON in which characters that act on a terminal are escaped.

    Parsers get the same value: an escape sequence is another spelling of its character.
    """
    text = json.dumps(value, ensure_ascii=ascii_only)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
