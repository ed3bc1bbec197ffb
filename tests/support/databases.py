"""Empty databases, copied from one that was migrated once, because migrating takes 0.1 s."""

from __future__ import annotations

import atexit
import functools
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config

import newsletter.storage.migrations as migrations
from newsletter.storage.database import Database
from newsletter.storage.database_file import APPLICATION_ID
from newsletter.storage.sqlite_engine import make_engine


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="empty-database-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Database(f"sqlite:///{folder}/empty.db").close()
    return folder / "empty.db"


def new_file(path: Path) -> Path:
    """Creates the file of an empty database with secrets of its own. Returns its path."""
    path.touch(0o600)
    shutil.copyfile(_template(), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("UPDATE secrets SET value = randomblob(length(value))")
        connection.commit()
    return path


def file_of_revision(path: Path, revision: str) -> Path:
    """Creates the file of an empty database of an earlier revision. Returns its path."""
    path.touch(0o600)
    steps = Config()
    steps.set_main_option("script_location", str(Path(migrations.__file__).parent))
    steps.set_main_option("path_separator", "os")
    engine = make_engine(path, 10)
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        steps.attributes["connection"] = connection
        command.upgrade(steps, revision)
    engine.dispose()
    return path


def new_database(path: Path) -> Database:
    """Creates and opens an empty database."""
    return Database(f"sqlite:///{new_file(path)}")
