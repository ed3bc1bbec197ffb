"""Checks whether an address is suppressed, or already in use."""

from __future__ import annotations

from sqlalchemy import Connection

from newsletter.messages import tokens
from newsletter.storage import subscribers
from newsletter.subscribers.address import Address


def is_suppressed(tx: Connection, own_key: bytes, address: Address) -> bool:
    """Returns whether the address is suppressed: no mail may be sent to it."""
    return bool(subscribers.suppressed(tx, [tokens.suppression_hash(own_key, address.normal)]))


def is_taken(tx: Connection, own_key: bytes, address: Address) -> bool:
    """Returns whether the address is suppressed or belongs to a subscriber."""
    # Both are looked up in any case, so that the response time does not reveal which it is.
    suppressed, found = is_suppressed(tx, own_key, address), subscribers.find(tx, address.normal)
    return suppressed or found is not None
