"""Caches public pages until their content changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 256
"""Maximum number of cached pages."""


class PageCache(Generic[T]):
    """Caches values as long as the stamp stays the same.

    Args:
        stamp: identifies the current state of the archive. Must be fast.
    """

    def __init__(self, stamp: Callable[[], Hashable]) -> None:
        self._stamp = stamp
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Hashable, T]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Returns the cached value for a key, or makes it.

        The stamp is read first, so a change while the value is being made invalidates it.
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
