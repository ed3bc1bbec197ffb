"""The transports that write messages to files: whether their folder is writable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, failure, ok


def check_eml(context: Context) -> Iterator[Finding]:
    """Checks the folder of the `eml` transport."""
    if context.config.delivery.transport == "eml":
        yield _folder(Path(context.config.transports.eml.folder))


def check_maildir(context: Context) -> Iterator[Finding]:
    """Checks the folder of the `maildir` transport."""
    if context.config.delivery.transport == "maildir":
        yield _folder(Path(context.config.transports.maildir.folder))


def _folder(folder: Path) -> Finding:
    if _is_writable(folder):
        return ok(f"mails become files in {folder}; nothing leaves this machine")
    return failure(f"{folder} may not be written to", "check its owner and mode, or name another")


def _is_writable(folder: Path) -> bool:
    """Returns whether a folder is writable; the transport creates it if it is missing."""
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
