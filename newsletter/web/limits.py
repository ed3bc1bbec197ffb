"""How often visitors may ask for mails: each network, each address, and all together."""

from __future__ import annotations

from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

NETWORK = 30
"""Requests an hour from one network, by a browser."""
SCRIPT = 10
"""Requests an hour from one network without a sign of a browser, or quicker than people are."""
ADDRESS = 3
"""Requests an hour for one address; more are answered alike, and do nothing."""
ALL = 3_000
"""Requests an hour altogether."""


class RequestLimits:
    """Counts in this process; what mails an address gets is limited by the database besides."""

    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._network = RateLimitItemPerHour(NETWORK)
        self._script = RateLimitItemPerHour(SCRIPT)
        self._address = RateLimitItemPerHour(ADDRESS)
        self._all = RateLimitItemPerHour(ALL)

    def lets_in(self, network: str, *, by_browser: bool) -> bool:
        """Whether a visitor may ask now; counts them."""
        own, kind = (self._network, "browser") if by_browser else (self._script, "script")
        return self._windows.hit(own, kind, network) and self._windows.hit(self._all, "all")

    def lets_write_to(self, address: str) -> bool:
        """Whether this address, in its normal form, may be written to; counts it."""
        return self._windows.hit(self._address, "address", address)
