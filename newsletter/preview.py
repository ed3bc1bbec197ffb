"""An edition as files to look at, and the folder that holds them served to this machine."""

from __future__ import annotations

import http.server
import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from functools import partial
from pathlib import Path

import click

from newsletter import files, message
from newsletter.models import Rendered
from newsletter.planning import Edition
from newsletter.transports import TRANSPORTS

TOKEN = "preview"  # noqa: S105  # valid nowhere
"""Stands where a recipient's token would."""

_EDITION_FILE = re.compile(r"edition(-\d+)?\.(html|txt|eml)")


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
    for old in folder.iterdir():
        if _EDITION_FILE.fullmatch(old.name):
            files.remove(old)
    paths: list[Path] = []
    for number, part in enumerate(edition.parts, 1):
        recipient = message.Recipient(
            address=Address("", "reader", message.NOWHERE),
            message_id=f"{edition.key}.{number}.{TOKEN}@{sender.address.domain}",
            unsubscribe_url=f"{base_url}/unsubscribe/{TOKEN}" if base_url else "",
        )
        stem = "edition" if number == 1 else f"edition-{number}"
        paths += _write_part(part, folder, stem, sender, recipient, now)
    return Written(edition, tuple(paths))


def _write_part(
    part: Rendered,
    folder: Path,
    stem: str,
    sender: message.Sender,
    recipient: message.Recipient,
    now: datetime,
) -> list[Path]:
    link = recipient.unsubscribe_url or sender.mailto
    html, text = folder / f"{stem}.html", folder / f"{stem}.txt"
    files.write(html, message.html_for(part, link).encode())
    files.write(text, message.text_for(part, link).encode())
    data = message.build(part, sender, recipient, now)
    return [html, text, Path(TRANSPORTS["eml"](folder).send(stem, data))]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing about each request."""

    def end_headers(self) -> None:
        """Adds that nothing is to be kept: the files change."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


def serve_folder(folder: Path, page: str, port: int = 0) -> None:
    """Serves `folder` on a loopback port until Ctrl-C, and says where."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        click.echo(f"http://127.0.0.1:{server.server_address[1]}/{page}  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("")
