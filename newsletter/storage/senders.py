"""Senders, and whether they are still alive.

A sender is a process that holds a locked file beside the database. The operating system
releases the lock when the process ends, however it ends, so there are no timeouts, and no
sender is considered dead while it is alive.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from newsletter.storage import locks

_NAME = 8  # bytes


@contextmanager
def sender(database: Path) -> Iterator[str]:
    """Registers this process as a sender. Yields its name, which is never used again.

    Raises:
        StorageError: its file cannot be created.
    """
    name = secrets.token_hex(_NAME)
    with locks.sender(database, name):
        yield name


def dead(database: Path, names: Iterable[str]) -> Iterator[str]:
    """Yields the dead senders among these, and among all that have a lock file.

    A sender's file is removed once the caller has handled it and asks for the next one.

    Raises:
        StorageError: a file cannot be checked.
    """
    for name in sorted({*names, *locks.senders(database)}):
        with locks.dead_sender(database, name) as is_dead:
            if is_dead:
                yield name


def alive(database: Path) -> set[str]:
    """Returns the senders at work. A file that cannot be checked counts as alive."""
    return {name for name in locks.senders(database) if locks.is_sender_alive(database, name)}


@contextmanager
def counted_as_alive(database: Path, names: Iterable[str]) -> Iterator[None]:
    """Counts these senders as alive beside a copy of their database."""
    with ExitStack() as held:
        for name in names:
            held.enter_context(locks.sender(database, name))
        yield


def any_alive(database: Path) -> bool:
    """Whether any sender is at work. A file that cannot be checked counts as alive."""
    return bool(alive(database))
