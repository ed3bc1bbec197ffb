"""Caches public pages until their content changes, and makes each of them once at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from newsletter.errors import OutputError

T = TypeVar("T")

MOST = 256
"""Maximum number of cached pages."""
WAIT = 5.0
"""Seconds that a request waits for the same page to be made for another one."""


class PageCache(Generic[T]):
    """Caches values as long as the stamp stays the same.

    Args:
        stamp: identifies the current state of the archive. Must be fast.
        wait: seconds to wait for a value that is being made.
    """

    def __init__(self, stamp: Callable[[], Hashable], wait: float = WAIT) -> None:
        self._stamp = stamp
        self._wait = wait
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Hashable, T]] = OrderedDict()
        self._making: dict[Hashable, tuple[threading.Lock, int]] = {}

    def get(
        self, key: Hashable, make: Callable[[], T], worth: Callable[[T], bool] = lambda _made: True
    ) -> T:
        """Returns the cached value for a key, or makes it.

        The stamp is read first, so a change while the value is being made invalidates it.

        Args:
            key: identifies the value.
            make: makes it.
            worth: whether to keep a value, which may push out another one.

        Raises:
            OutputError: making it for another request takes too long.
        """
        stamp = self._stamp()
        if found := self._found(key, stamp):
            return found[1]
        with self._alone(key):
            if found := self._found(key, stamp):
                return found[1]
            made = make()
            if worth(made):
                self._keep(key, stamp, made)
            return made

    def _found(self, key: Hashable, stamp: Hashable) -> tuple[Hashable, T] | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] != stamp:
                return None
            self._kept.move_to_end(key)
            return found

    def _keep(self, key: Hashable, stamp: Hashable, made: T) -> None:
        with self._lock:
            self._kept[key] = stamp, made
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)

    @contextmanager
    def _alone(self, key: Hashable) -> Iterator[None]:
        """Lets one thread at a time make the value for a key."""
        with self._lock:
            turn, users = self._making.get(key, (threading.Lock(), 0))
            self._making[key] = turn, users + 1
        try:
            if not turn.acquire(timeout=self._wait):
                raise OutputError(
                    f"the page takes longer than {self._wait:g} s", hint="ask again in a minute"
                )
            try:
                yield
            finally:
                turn.release()
        finally:
            with self._lock:
                turn, users = self._making.pop(key)
                if users > 1:
                    self._making[key] = turn, users - 1
