"""An edition as files to look at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from pathlib import Path

from newsletter import message
from newsletter.editing import Edition
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


def write(
    edition: Edition, folder: Path, sender: message.Sender, base_url: str, now: datetime
) -> Written:
    """`edition.html`, `.txt` and `.eml` in a folder; of further parts `edition-2.*` …

    Files of an edition that lay there before are replaced or removed.

    Raises:
        OutputError: they cannot be written.
    """
    files.folder(folder)
    _remove_old(folder)
    paths: list[Path] = []
    for number, part in enumerate(edition.parts, 1):
        recipient = message.Recipient(
            address=Address("", "reader", message.NOWHERE),
            message_id=f"{edition.key[:16]}.{number}.preview@{sender.domain}",
            unsubscribe_url=f"{base_url}/unsubscribe/{TOKEN}" if base_url else "",
        )
        stem = "edition" if number == 1 else f"edition-{number}"
        paths += _write_part(part, folder, stem, sender, recipient, now, edition.key)
    return Written(edition, tuple(paths))


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


def _write_part(
    part: Rendered,
    folder: Path,
    stem: str,
    sender: message.Sender,
    recipient: message.Recipient,
    now: datetime,
    key: str,
) -> list[Path]:
    link = recipient.unsubscribe_url or sender.mailto
    html, text = folder / f"{stem}.html", folder / f"{stem}.txt"
    files.write(html, message.html_for(part, link).encode())
    files.write(text, message.text_for(part, link).encode())
    eml = folder / f"{stem}.eml"
    files.write(eml, message.build(part, sender, recipient, now, key), 0o600)  # it holds live links
    return [html, text, eml]
