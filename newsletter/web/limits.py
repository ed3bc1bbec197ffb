"""Rate limits for requests that cause a mail: per network, per address, and in total."""

from __future__ import annotations

from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

NETWORK = 30
"""Requests per hour from one network, by a browser."""
SCRIPT = 10
"""Requests per hour from one network, by clients other than browsers or faster than a human."""
ADDRESS = 3
"""Requests per hour for one address. Further ones get the same response, but have no effect."""
ALL = 3_000
"""Requests per hour in total."""


class RequestLimits:
    """Counts requests in this process. The database limits the mails to an address as well."""

    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._network = RateLimitItemPerHour(NETWORK)
        self._script = RateLimitItemPerHour(SCRIPT)
        self._address = RateLimitItemPerHour(ADDRESS)
        self._all = RateLimitItemPerHour(ALL)

    def lets_in(self, network: str, *, by_browser: bool) -> bool:
        """Counts a request from a network. Returns whether it is within the limits."""
        own, kind = (self._network, "browser") if by_browser else (self._script, "script")
        return self._windows.hit(own, kind, network) and self._windows.hit(self._all, "all")

    def lets_write_to(self, address: str) -> bool:
        """Counts a request for a normalised address. Returns whether it may be mailed."""
        return self._windows.hit(self._address, "address", address)
