"""Pages that are the same for everybody, kept until something they show changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 256
"""Pages kept."""


class PageCache(Generic[T]):
    """Remembers what was made, as long as the stamp is the same.

    Args:
        stamp: tells in what state the archive is; quick.
    """

    def __init__(self, stamp: Callable[[], Hashable]) -> None:
        self._stamp = stamp
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Hashable, T]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for the key, or is made now.

        The stamp is taken before: what changes while it is made makes it old at once.
        """
        stamp = self._stamp()
        with self._lock:
            found = self._kept.get(key)
        if found and found[0] == stamp:
            return found[1]
        made = make()
        with self._lock:
            self._kept[key] = stamp, made
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return made
