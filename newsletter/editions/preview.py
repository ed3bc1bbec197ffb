"""Writes an edition as files for preview."""

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
"""Placeholder for a recipient's token, of the same length.

It stands in every preview, also in one for a subscriber: a preview is shown to others, and none
of them may change what the subscriber gets.
"""

NO_RECIPIENT = Address("", "reader", mime.NOWHERE)
"""The address in a preview that is for no subscriber."""

EDITION_FILE = re.compile(r"edition(-\d+)?\.(html|txt|eml)")
"""Matches the file names of an edition."""


@dataclass(frozen=True, slots=True)
class Written:
    """An edition and the files it was written to."""

    edition: Edition
    files: tuple[Path, ...]


class PreviewWriter:
    """Writes editions as files, with links that work for no subscriber.

    Args:
        sender: the sender of the newsletter.
        base_url: base URL of the web pages, or empty without a web server.
        clock: returns the current time, timezone-aware.
    """

    def __init__(self, sender: mime.Sender, base_url: str, clock: Callable[[], datetime]) -> None:
        self._sender = sender
        self._base_url = base_url
        self._clock = clock

    def write(self, edition: Edition, folder: Path, to: Address = NO_RECIPIENT) -> Written:
        """Writes `edition.html`, `.txt` and `.eml`; further parts become `edition-2.*` and so on.

        Existing edition files in the folder are replaced or removed.

        Args:
            edition: the edition.
            folder: where the files are written.
            to: the address of the recipient.

        Raises:
            OutputError: the files cannot be written.
        """
        files.folder(folder)
        _remove_old(folder)
        paths: list[Path] = []
        for number, part in enumerate(edition.parts, 1):
            stem = "edition" if number == 1 else f"edition-{number}"
            paths += self._write_part(
                part, folder / stem, self._recipient(edition, number, to), edition
            )
        return Written(edition, tuple(paths))

    def _recipient(self, edition: Edition, number: int, to: Address) -> mime.Recipient:
        base = self._base_url
        return mime.Recipient(
            address=to,
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
        files.write(eml, mail, 0o600)  # it may name a subscriber
        return [html, text, eml]


def clear(folder: Path) -> None:
    """Removes an edition's files, and the folder if it is empty then.

    Raises:
        OutputError: they cannot be removed.
    """
    if folder.is_dir():
        _remove_old(folder)
        if not files.listed(folder):
            files.remove(folder)


def _remove_old(folder: Path) -> None:
    for old in files.listed(folder):
        if EDITION_FILE.fullmatch(old.name):
            files.remove(old)
