"""The Daily Papers API as archives altered it: rows as Python's `repr`, or in a wrapper.

From December 2024 each row was a Python dict as a string; later the list was wrapped in
`{"status", "date", "count", "data"}`.
"""

from __future__ import annotations

import ast
import re
import warnings

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import hugging_face
from newsletter.formats.base import Document, Format, iso_day
from newsletter.models import Snapshot

NAME = "api-legacy-json"
LONGEST_ROW = 1_000_000
"""Maximum length of a row in characters; one with 664 authors has 200,000."""
DEEPEST_ROW = 20
_ROWS_OF_TEXT = re.compile(r"""\s*\[\s*"\s*\{\s*(?:'|\\")""")
_WRAPPED = re.compile(
    r"""\s*\{(?=[^\[\]{}]{0,2000}"data"\s*:\s*\[\s*(?:"\s*\{\s*(?:'|\\")|\{\s*"(?:paper|title)"))"""
    r"""|\s*\{(?=[^\[\]{}]{0,2000}"count"\s*:\s*0\b[^\[\]{}]{0,2000}"data"\s*:\s*\[\s*\])"""
)
_TOKEN = re.compile(
    r"""[bu]?'(?:[^'\\]|\\.)*'|[bu]?"(?:[^"\\]|\\.)*"|(?P<open>[\[({])|(?P<close>[\])}])"""
    r"""|-?\d[\w.+-]{0,30}|True|False|None|[\s,:]+""",
    re.DOTALL,
)


def recognise(document: Document) -> str | None:
    """Recognises an array of strings that begin like Python dicts, or an object with `data`."""
    head = document.text[:4096]
    if _ROWS_OF_TEXT.match(head):
        return "a JSON array of Python dicts as text"
    return "a JSON object with rows in “data”" if _WRAPPED.match(head) else None


def parse(document: Document) -> Snapshot:
    """Parses the rows, in order. The day is the wrapper's, or else that of the capture's name."""
    answer = document.json
    wrapped = isinstance(answer, dict)
    rows = answer.get("data") if wrapped else answer
    if not isinstance(rows, list) or (wrapped and "error" in answer):
        raise SnapshotUnreadable("the JSON is no list of rows", hint="is it the right address?")
    day = (iso_day(answer.get("date")) if wrapped else None) or document.day
    return hugging_face.snapshot_of(NAME, [_row(row) for row in rows], day)


def _row(row: object) -> object:
    """Returns a row, evaluated if it is a string; `None` if the string is not a plain literal."""
    if not isinstance(row, str):
        return row
    if len(row) > LONGEST_ROW or not _is_plain(row):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes, since this is not our code
            return ast.literal_eval(row.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _is_plain(row: str) -> bool:
    """Returns whether a string has only shallow literals, so it is cheap and safe to evaluate."""
    at, depth = 0, 0
    while at < len(row):
        token = _TOKEN.match(row, at)
        if token is None:
            return False
        depth += (token["open"] is not None) - (token["close"] is not None)
        if depth > DEEPEST_ROW:
            return False
        at = token.end()
    return True


FORMAT = Format(NAME, recognise, parse, hugging_face.CREDIT)
