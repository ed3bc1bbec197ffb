"""The use cases with a temporary database, which is deleted afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from newsletter.app.composition import App
from newsletter.app.temporary_folder import temporary_folder
from newsletter.config.schema import Config
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
    with temporary_folder() as folder, Parsers() as parsers:
        parsers.start()  # it starts while the database is made
        database = Database(f"sqlite:///{folder}/replay.db")
        with closing(App(config or Config(), database, parsers=parsers)) as app:
            yield app
