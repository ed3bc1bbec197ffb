"""Rate limits for requests that cause a mail: per network, per address, and in total."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping
from time import monotonic

from newsletter.web.networks import Networks

NETWORK = 30
"""Requests per hour from one network, by a browser."""
SCRIPT = 10
"""Requests per hour from one network, by clients other than browsers or faster than a human."""
WIDE = 8
"""How many times as many requests may come from one wide network, which holds many networks."""
ADDRESS = 3
"""Requests per hour for one mailbox. Further ones get the same response, but have no effect."""
ALL = 3_000
"""Requests per hour in total."""

_HOUR = 3600.0


class RequestLimits:
    """Counts requests in this process. The database limits the mails to a mailbox as well.

    Args:
        clock: a monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._requests = HourlyCounts(clock)
        self._mailboxes = HourlyCounts(clock)

    def lets_in(self, networks: Networks, *, by_browser: bool) -> bool:
        """Returns whether a request is within all limits, and counts it if it is."""
        most, kind = (NETWORK, "browser") if by_browser else (SCRIPT, "script")
        return self._requests.admit(
            {
                (kind, "network", networks.small): most,
                (kind, "wide", networks.wide): WIDE * most,
                "all": ALL,
            }
        )

    def lets_write_to(self, mailbox: str) -> bool:
        """Counts a request for a mailbox; see `address.mailbox_key`. Returns whether to mail it."""
        return self._mailboxes.admit({mailbox: ADDRESS, ("all",): ALL})


class HourlyCounts:
    """Counts what was admitted in the last hour. Safe to use from several threads.

    Only what is admitted is remembered, so the memory is bounded by the limit that all share.

    Args:
        clock: a monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._admitted: deque[tuple[float, tuple[Hashable, ...]]] = deque()
        self._counts: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        """The number of names that are counted."""
        return len(self._counts)

    def admit(self, limits: Mapping[Hashable, int]) -> bool:
        """Counts a request under all these names, or under none if one has reached its limit.

        Returns whether it was counted.

        Args:
            limits: the highest count of each name.
        """
        with self._lock:
            now = self._clock()
            self._expire(now - _HOUR)
            if any(self._counts[name] >= most for name, most in limits.items()):
                return False
            names = tuple(limits)
            self._admitted.append((now, names))
            self._counts.update(names)
            return True

    def _expire(self, before: float) -> None:
        while self._admitted and self._admitted[0][0] <= before:
            _, names = self._admitted.popleft()
            for name in names:
                self._counts[name] -= 1
                if not self._counts[name]:
                    del self._counts[name]
