"""The use cases with a temporary database, which is deleted afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.errors import StorageError
from newsletter.papers.parsers import Parsers
from newsletter.storage.database import Database


@contextmanager
def throw_away(config: Config | None = None) -> Iterator[App]:
    """Opens the use cases with a temporary database.

    Args:
        config: the configuration, of which everything but the database is used; by default one
            in which nothing is set.

    Raises:
        StorageError: there is no room for a temporary folder.
    """
    with _temporary_folder() as folder, Parsers() as parsers:
        parsers.start()  # it starts while the database is made
        database = Database(f"sqlite:///{folder}/replay.db")
        with closing(App(config or Config(), database, parsers=parsers)) as app:
            yield app


@contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="newsletter-")
    except OSError as exc:
        raise StorageError(
            f"no temporary folder can be made ({exc.strerror})", hint="make room, or set TMPDIR"
        ) from exc
    with folder as path:
        yield path
