"""Numbers with their nouns. Pure."""

from __future__ import annotations


def plural(count: int, noun: str, many: str = "") -> str:
    """Returns a count with its noun: `1 paper`, `2 papers`, `1,200 addresses`.

    Args:
        count: the number.
        noun: the noun in the singular.
        many: its plural, if that is not the singular with an `s`.
    """
    return f"{count:,} {noun if count == 1 else many or f'{noun}s'}"
