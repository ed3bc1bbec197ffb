"""Crawl delays of the domains that ask for one, shared by all threads.

Neither reads a clock nor waits: the caller does both.
"""

from __future__ import annotations

import threading

CRAWL_DELAYS = {"arxiv.org": 3.0}
"""Seconds between two requests to a domain and its subdomains, for domains that ask for that."""


class CrawlDelay:
    """Tracks when each of these domains may be requested again."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def reserve(self, host: str, now: float, ends: float) -> float | None:
        """Reserves a request. Returns the seconds to wait, or `None` if it would miss `ends`."""
        host = host.rstrip(".")
        for domain, seconds in CRAWL_DELAYS.items():
            if host == domain or host.endswith(f".{domain}"):
                with self._lock:
                    at = max(now, self._free_at.get(domain, now))
                    if at >= ends:
                        return None
                    self._free_at[domain] = at + seconds
                return at - now
        return 0.0
