"""What all formats share: the document they read, and their interface."""

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
        near: a day near that of the capture, used to complete a day without a year.
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
        """The day in the capture's name, for rows without one."""
        return self.near if self.dated_by is DatedBy.NAME else None

    @cached_property
    def text(self) -> str:
        """The bytes as text, from UTF-8 or from UTF-16 with a BOM; line ends are `\\n`.

        Raises:
            SnapshotUnreadable: the bytes are neither.
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
        """Whether the text begins like a web page."""
        return _HTML.match(self.text[:4096]) is not None

    @cached_property
    def json(self) -> Any:
        """The text parsed as JSON.

        Raises:
            SnapshotUnreadable: the text is not JSON, or nested too deeply.
        """
        return load_json(self.text, "the JSON")


@dataclass(frozen=True, slots=True)
class Credit:
    """The source that an edition credits for its papers."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Format:
    """A format of captures.

    Attributes:
        name: the name in reports and for `--format`.
        recognise: returns the sign by which a document is of this format, or `None`.
            Cheap. Raises only `SnapshotUnreadable`, for bytes that are not text.
        parse: parses a document of this format.
            Raises `SnapshotUnreadable` if there is no list of papers.
        credit: the credit, if the format belongs to a single publisher.
    """

    name: str
    recognise: Callable[[Document], str | None]
    parse: Callable[[Document], Snapshot]
    credit: Credit | None = None

    @property
    def about(self) -> str:
        """A one-line description: the first line of the module's docstring."""
        return (sys.modules[self.parse.__module__].__doc__ or "").partition("\n")[0]


def load_json(text: str, what: str) -> Any:
    """Parses `text` as JSON; `what` names it in the error.

    Raises:
        SnapshotUnreadable: the text is not JSON, or nested too deeply.
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
    """Returns the day of an ISO 8601 time or date, or `None`."""
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None
