"""Pauses between requests to the domains that ask for them, kept by all threads together.

Reads no clock and does not wait: the caller does both.
"""

from __future__ import annotations

import threading

CRAWL_DELAYS = {"arxiv.org": 3.0}
"""Seconds between two requests to a domain and everything under it, where it asks for that."""


class CrawlDelay:
    """When each of these domains may be asked again."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def reserve(self, host: str, now: float, ends: float) -> float | None:
        """Seconds to wait before asking the host; `None` if its turn comes after `ends`."""
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
