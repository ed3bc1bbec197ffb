"""How long one source may keep its parser busy in one round."""

from __future__ import annotations

SECONDS = 60.0
"""For the captures of one source that take long; what is left waits for the next round."""

LONG = 1.0
"""Captures that take fewer seconds do not count, however many they are."""


class ReadingTime:
    """The time that one source has left in one round.

    Args:
        seconds: how much there is.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def spend(self, seconds: float, *, whole: bool = False) -> None:
        """Counts one capture; if it took little time, only if `whole`."""
        if whole or seconds >= LONG:
            self._left -= seconds

    @property
    def is_spent(self) -> bool:
        """Whether the rest waits for the next round."""
        return self._left <= 0
