"""Who is sending, and whether they still live.

A sender is a process that holds a locked file beside the database. The operating system
frees the lock when the process ends, however it ends; so there are no time-outs, and no
sender is thought dead while it lives.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from newsletter.storage import locks

_NAME = 8  # bytes


@contextmanager
def sender(database: Path) -> Iterator[str]:
    """A sender of this process; its name, never used before and never again.

    Raises:
        StorageError: its file cannot be made.
    """
    name = secrets.token_hex(_NAME)
    with locks.sender(database, name):
        yield name


def dead(database: Path, names: Iterable[str]) -> Iterator[str]:
    """Those of these senders, and of all that left a file, that live no more.

    Their files go when the caller has dealt with them and asks for the next.

    Raises:
        StorageError: a file cannot be looked at.
    """
    for name in sorted({*names, *locks.senders(database)}):
        with locks.dead_sender(database, name) as is_dead:
            if is_dead:
                yield name
