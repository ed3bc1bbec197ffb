"""Where papers come from. A source returns bytes, which `formats` parses.

To add a kind of source, write a module here with a class that has `captures()`, and choose it in
`factories.configured`. Parses nothing and stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from newsletter.errors import SourceError
from newsletter.models import Capture, NotModified

Captured = Capture | NotModified | SourceError
"""What a source yields: a capture, the response that nothing changed, or an error."""


class Source(Protocol):
    """A place papers come from."""

    def captures(self) -> Iterator[Captured]:
        """Yields the current captures, oldest first. An error takes the place of its capture."""
        ...
