"""Transports: the ways to send mail. A transport takes finished bytes and never reads them.

To add one, write a module here with a class that has `encoded` and `session`, and add it to
`TRANSPORTS`. The contract test in `tests/contracts` runs for every entry of that table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from newsletter.transports.base import OutgoingMessage, Session, SessionFailed, Settings, Transport
from newsletter.transports.eml import Eml
from newsletter.transports.maildir import Maildir
from newsletter.transports.null import Null
from newsletter.transports.replies import Reply, ReplyKind
from newsletter.transports.smtp import Smtp
from newsletter.transports.wire import SmtpSettings

__all__ = [
    "TRANSPORTS",
    "OutgoingMessage",
    "Reply",
    "ReplyKind",
    "Session",
    "SessionFailed",
    "Settings",
    "SmtpSettings",
    "Transport",
]


def _smtp(settings: Settings) -> Transport:
    if settings.smtp is None:
        raise ValueError("a transport to a server needs its settings")
    return Smtp(settings.smtp, settings.stop)


def _folder(settings: Settings) -> Path:
    if settings.folder is None:
        raise ValueError("a transport into a folder needs one")
    return settings.folder


TRANSPORTS: Mapping[str, Callable[[Settings], Transport]] = {
    "smtp": _smtp,
    "eml": lambda settings: Eml(_folder(settings)),
    "maildir": lambda settings: Maildir(_folder(settings)),
    "null": lambda _: Null(),
}
"""Builds each transport from its settings, by its name in the configuration.

Raises `ValueError` if a setting that the transport needs is missing.
"""
