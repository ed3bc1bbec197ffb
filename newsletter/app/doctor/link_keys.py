"""The keys that links in mails are signed with."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, ok, warning

_MIN_LENGTH = 32
"""Minimum length of a key, in characters."""


def check(context: Context) -> Iterator[Finding]:
    """Checks the configured keys. Shows none of them."""
    keys = [key.get_secret_value() for key in context.config.web.secret_keys]
    if any(len(key) < _MIN_LENGTH for key in keys):
        yield warning(
            f"a key of secret_keys is shorter than {_MIN_LENGTH} characters",
            "put a new one first, such as `openssl rand -hex 32` prints; keep the old one "
            "behind it as long as its links should work",
        )
    elif keys:
        yield ok("links are signed with the first of secret_keys")
    else:
        yield ok("links are signed with a key of the database")
