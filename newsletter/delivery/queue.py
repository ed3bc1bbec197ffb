"""The deliveries that may be sent now: oldest first, as fast as the rate limits allow."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from newsletter.delivery.throttle import Rates
from newsletter.storage.outbox import QueuedDelivery

PAGE = 1_000
"""Deliveries read from the database at a time."""
MOST_HELD_BACK = 500
"""Deliveries kept in memory for each domain that is at its rate limit."""


class Gate(Protocol):
    """Decides whether a delivery may be sent at all; see `loop.BreakerGate`."""

    def may_try(self, one: QueuedDelivery) -> bool:
        """Whether it may be tried now."""
        ...

    def begin(self, one: QueuedDelivery) -> None:
        """Records that it is tried."""
        ...


Refill = Callable[[Collection[int], Collection[str]], list[QueuedDelivery]]
"""Reads at most `PAGE` more waiting deliveries, excluding these deliveries and domains."""


class Queue:
    """Waiting deliveries, in the order in which they may be sent.

    Args:
        rates: the rate limits.
        refill: reads more waiting deliveries, except those that the gate holds back.
        gate: holds back deliveries. They are dropped here, and read again once it lets them pass.
    """

    def __init__(self, rates: Rates, refill: Refill, gate: Gate) -> None:
        self._rates = rates
        self._gate = gate
        self._refill = refill
        self._ready: deque[QueuedDelivery] = deque()
        self._slow: dict[str, deque[QueuedDelivery]] = defaultdict(deque)
        self._exhausted = False

    def take(self, many: int, now: float) -> list[QueuedDelivery]:
        """Returns up to `many` deliveries that may be sent now, and counts them as sent.

        Args:
            now: monotonic time in seconds.
        """
        taken: list[QueuedDelivery] = []
        while len(taken) < many and (one := self._next(now, taken)):
            self._rates.take(one.domain, now)
            self._gate.begin(one)
            taken.append(one)
        return taken

    def wait(self, now: float) -> float | None:
        """Returns the seconds until a rate limit allows the next delivery, or `None` if none waits.

        Call it when `take` returns no more, and everything that it returned is claimed.
        """
        self._drop_held_back()
        domains = [domain for domain, rows in self._slow.items() if rows]
        if self._ready or self._more():
            domains.append("")  # the overall rate: their domains' rates were not checked yet
        return min((self._rates.wait(domain, now) for domain in domains), default=None)

    def look_again(self) -> None:
        """Records that the database may have more deliveries by now."""
        self._exhausted = False

    def has_more(self) -> bool:
        """Whether any delivery is left to send, now or once its rate limit allows."""
        return bool(self._ready or any(self._slow.values()) or self._more())

    def _next(self, now: float, taken: Sequence[QueuedDelivery]) -> QueuedDelivery | None:
        if self._rates.wait("", now):
            return None
        self._drop_held_back()
        for domain, rows in self._slow.items():
            if rows and not self._rates.wait(domain, now):
                return rows.popleft()
        while self._ready or self._more(taken):
            one = self._ready.popleft()
            if not self._gate.may_try(one):
                continue
            if not self._rates.wait(one.domain, now):
                return one
            self._slow[one.domain].append(one)
        return None

    def _drop_held_back(self) -> None:
        for rows in self._slow.values():
            if rows and not self._gate.may_try(rows[0]):
                rows.clear()

    def _more(self, taken: Sequence[QueuedDelivery] = ()) -> bool:
        """Reads more, except deliveries that are held back, or taken and not yet claimed."""
        if self._exhausted:
            return False
        known = [one.id for rows in (*self._slow.values(), taken) for one in rows]
        full = [domain for domain, rows in self._slow.items() if len(rows) >= MOST_HELD_BACK]
        found = self._refill(known, full)
        self._ready.extend(found)
        self._exhausted = not found
        return bool(found)
