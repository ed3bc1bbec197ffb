"""Every transport by its name in the configuration. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from newsletter.transports.base import Settings, Transport
from newsletter.transports.eml import Eml
from newsletter.transports.maildir import Maildir
from newsletter.transports.null import Null
from newsletter.transports.smtp import Smtp


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
"""Every transport by its name in the configuration, made from its settings.

They raise `ValueError` without the setting that they need.
"""
