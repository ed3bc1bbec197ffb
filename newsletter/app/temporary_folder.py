"""A private folder for work that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from newsletter.errors import StorageError


@contextmanager
def temporary_folder() -> Iterator[str]:
    """Makes a folder that only its owner can read, and deletes it afterwards.

    Raises:
        StorageError: none can be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="newsletter-")
    except OSError as exc:
        raise StorageError(
            f"no temporary folder can be made ({exc.strerror})", hint="make room, or set TMPDIR"
        ) from exc
    with folder as path:
        yield path
