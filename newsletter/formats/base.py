"""What every format shares: the document it looks at and the shape of a format."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.models import DatedBy, Snapshot

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_HTML = re.compile(
    r"\s*+(?:<!--(?:(?!-->).)*+-->\s*+)*+<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)


class Document:
    """The bytes of one capture, decoded at most once.

    Args:
        data: the bytes as captured.
        near: a day near the one the capture shows: it completes a day without a year.
        dated_by: where that day is from.
    """

    def __init__(
        self, data: bytes, near: date | None = None, dated_by: DatedBy | None = None
    ) -> None:
        self.data = data
        self.near = near
        self.dated_by = dated_by

    @property
    def day(self) -> date | None:
        """The day the capture's name carries, for rows that are silent about theirs."""
        return self.near if self.dated_by is DatedBy.NAME else None

    @cached_property
    def text(self) -> str:
        """The bytes as text: UTF-8, or UTF-16 with its mark; line ends are `\\n`.

        Raises:
            SnapshotUnreadable: they are neither.
        """
        encoding = next((name for bom, name in _BOMS if self.data.startswith(bom)), "utf-8")
        try:
            text = self.data.decode(encoding)
        except UnicodeDecodeError as exc:
            name = encoding.removesuffix("-sig").upper()
            raise SnapshotUnreadable(
                f"not {name} text (byte {exc.start:,} is not valid)",
                hint="save the page again as UTF-8",
            ) from exc
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def is_html(self) -> bool:
        """Whether the text begins as a web page does."""
        return _HTML.match(self.text[:4096]) is not None

    @cached_property
    def json(self) -> Any:
        """The text as JSON values.

        Raises:
            SnapshotUnreadable: it is none, or nested too deeply.
        """
        return load_json(self.text, "the JSON")


@dataclass(frozen=True, slots=True)
class Credit:
    """Whom an edition thanks for its papers."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Format:
    """One way in which captures are written.

    Attributes:
        name: as shown in reports and given to `--format`.
        recognise: the sign by which the document is of this format, or `None`.
            Cheap; never raises but `SnapshotUnreadable` for bytes that are no text.
        parse: reads a document of this format.
            Raises `SnapshotUnreadable` when no list of papers is there.
        credit: whom to thank, if the format belongs to one place.
    """

    name: str
    recognise: Callable[[Document], str | None]
    parse: Callable[[Document], Snapshot]
    credit: Credit | None = None

    @property
    def about(self) -> str:
        """What it is, in a line: the first of its module's docstring."""
        return (sys.modules[self.parse.__module__].__doc__ or "").partition("\n")[0]


def load_json(text: str, what: str) -> Any:
    """`text` as JSON values; `what` names it in the error.

    Raises:
        SnapshotUnreadable: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        cut = exc.pos >= len(text.rstrip()) - 1 or "Unterminated" in exc.msg
        what_now = (
            "ends too early: the capture was cut" if cut else f"is broken at line {exc.lineno}"
        )
        raise SnapshotUnreadable(f"{what} {what_now}", hint="capture it again") from exc
    except RecursionError as exc:
        raise SnapshotUnreadable(f"{what} is nested too deeply", hint="capture it again") from exc
    except ValueError as exc:  # a number of thousands of digits
        raise SnapshotUnreadable(f"{what} is broken: {exc}", hint="capture it again") from exc


def iso_day(value: object) -> date | None:
    """The day an ISO 8601 time or date begins with, if it does."""
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None
