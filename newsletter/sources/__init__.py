"""Where papers come from. A source gives bytes; what they mean is for `formats`.

To add a kind of source: one module here with a class that has `captures()`, and the
line in `factories.configured` that chooses it. Parses nothing and stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from newsletter.errors import SourceError
from newsletter.models import Capture, NotModified

Captured = Capture | NotModified | SourceError
"""What a source gives: bytes, its word that nothing changed, or why there is nothing."""


class Source(Protocol):
    """A place papers come from."""

    def captures(self) -> Iterator[Captured]:
        """What it has now, oldest first; a failure stands where its capture would."""
        ...
