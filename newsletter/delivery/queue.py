"""What may be sent now: the longest waiting first, as fast as its rates allow."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence

from newsletter.delivery.throttle import Rates
from newsletter.storage.outbox import QueuedDelivery

PAGE = 1_000
"""Deliveries read at a time."""
MOST_HELD_BACK = 500
"""Deliveries kept in memory for a domain that is slow."""

Refill = Callable[[Collection[int], Collection[str]], list[QueuedDelivery]]
"""More that waits: without these deliveries, without these domains; at most `PAGE`."""


class Queue:
    """Deliveries that wait, in the order in which they may go.

    Args:
        rates: how fast.
        refill: reads more.
    """

    def __init__(self, rates: Rates, refill: Refill) -> None:
        self._rates = rates
        self._refill = refill
        self._ready: deque[QueuedDelivery] = deque()
        self._slow: dict[str, deque[QueuedDelivery]] = defaultdict(deque)
        self._exhausted = False

    def take(self, many: int, now: float) -> list[QueuedDelivery]:
        """Up to so many that may go now.

        Args:
            now: seconds that never go back.
        """
        taken: list[QueuedDelivery] = []
        while len(taken) < many and (one := self._next(now, taken)):
            self._rates.take(one.domain, now)
            taken.append(one)
        return taken

    def pause(self, now: float) -> float | None:
        """Seconds until one may go that may not go yet; `None` when none waits for that.

        For when no more may go now, and all that was taken is claimed.
        """
        domains = [domain for domain, rows in self._slow.items() if rows]
        if self._ready or self._more():
            domains.append("")  # the common rate: nobody has looked at their own yet
        return min((self._rates.wait(domain, now) for domain in domains), default=None)

    def look_again(self) -> None:
        """There may be more by now."""
        self._exhausted = False

    def has_more(self) -> bool:
        """Whether anything is left that may go, now or when its rate allows."""
        return bool(self._ready or any(self._slow.values()) or self._more())

    def _next(self, now: float, taken: Sequence[QueuedDelivery]) -> QueuedDelivery | None:
        if self._rates.wait("", now):
            return None
        for domain, rows in self._slow.items():
            if rows and not self._rates.wait(domain, now):
                return rows.popleft()
        while self._ready or self._more(taken):
            one = self._ready.popleft()
            if not self._rates.wait(one.domain, now):
                return one
            self._slow[one.domain].append(one)
        return None

    def _more(self, taken: Sequence[QueuedDelivery] = ()) -> bool:
        """Reads more, without what is known: held back, or taken and not yet claimed."""
        if self._exhausted:
            return False
        known = [one.id for rows in (*self._slow.values(), taken) for one in rows]
        full = [domain for domain, rows in self._slow.items() if len(rows) >= MOST_HELD_BACK]
        found = self._refill(known, full)
        self._ready.extend(found)
        self._exhausted = not found
        return bool(found)
