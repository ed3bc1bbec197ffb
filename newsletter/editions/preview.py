"""An edition as files to look at."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from pathlib import Path

from newsletter.editions.build import Edition
from newsletter.messages import mime
from newsletter.models import Rendered
from newsletter.text import files

TOKEN = "preview-valid-nowhere-000000"  # noqa: S105
"""Stands where a recipient's token would, and is as long."""

EDITION_FILE = re.compile(r"edition(-\d+)?\.(html|txt|eml)")
"""Names of the files of an edition."""


@dataclass(frozen=True, slots=True)
class Written:
    """An edition as files."""

    edition: Edition
    files: tuple[Path, ...]


class PreviewWriter:
    """Writes editions as files, addressed to a recipient who does not exist.

    Args:
        sender: whose newsletter it is.
        base_url: of the web pages; empty where there are none.
        clock: the current instant, aware.
    """

    def __init__(self, sender: mime.Sender, base_url: str, clock: Callable[[], datetime]) -> None:
        self._sender = sender
        self._base_url = base_url
        self._clock = clock

    def write(self, edition: Edition, folder: Path) -> Written:
        """Writes `edition.html`, `.txt` and `.eml`; of further parts `edition-2.*` …

        Files of an edition that lay there before are replaced or removed.

        Raises:
            OutputError: they cannot be written.
        """
        files.folder(folder)
        _remove_old(folder)
        paths: list[Path] = []
        for number, part in enumerate(edition.parts, 1):
            stem = "edition" if number == 1 else f"edition-{number}"
            paths += self._write_part(
                part, folder / stem, self._recipient(edition, number), edition
            )
        return Written(edition, tuple(paths))

    def _recipient(self, edition: Edition, number: int) -> mime.Recipient:
        base = self._base_url
        return mime.Recipient(
            address=Address("", "reader", mime.NOWHERE),
            message_id=f"{edition.key[:16]}.{number}.preview@{self._sender.domain}",
            unsubscribe_url=f"{base}/unsubscribe/{TOKEN}" if base else "",
        )

    def _write_part(
        self, part: Rendered, stem: Path, recipient: mime.Recipient, edition: Edition
    ) -> list[Path]:
        link = recipient.unsubscribe_url or self._sender.mailto
        mail = mime.build(part, self._sender, recipient, self._clock(), edition.key)
        html, text, eml = (stem.with_name(f"{stem.name}.{end}") for end in ("html", "txt", "eml"))
        files.write(html, mime.html_for(part, link).encode())
        files.write(text, mime.text_for(part, link).encode())
        files.write(eml, mail, 0o600)  # it holds live links
        return [html, text, eml]


def clear(folder: Path) -> None:
    """Removes an edition's files, and the folder if nothing else is in it.

    Raises:
        OutputError: they stay.
    """
    if folder.is_dir():
        _remove_old(folder)
        if not files.listed(folder):
            files.remove(folder)


def _remove_old(folder: Path) -> None:
    for old in files.listed(folder):
        if EDITION_FILE.fullmatch(old.name):
            files.remove(old)
