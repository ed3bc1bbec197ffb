"""Limits the parsing time of one source in one round."""

from __future__ import annotations

SECONDS = 60.0
"""The time for one source's captures that take long; the rest waits for the next round."""

LONG = 1.0
"""Captures that take fewer seconds do not count, however many there are."""


class ReadingTime:
    """The time that one source has left in one round.

    Args:
        seconds: the total time.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def spend(self, seconds: float, *, whole: bool = False) -> None:
        """Counts one capture. One that took little time counts only if `whole`."""
        if whole or seconds >= LONG:
            self._left -= seconds

    @property
    def is_spent(self) -> bool:
        """Whether no time is left, so that the rest waits for the next round."""
        return self._left <= 0
