"""Whether an address may be written to, or is in use already."""

from __future__ import annotations

from sqlalchemy import Connection

from newsletter.messages import tokens
from newsletter.storage import subscribers
from newsletter.subscribers.address import Address


def is_suppressed(tx: Connection, own_key: bytes, address: Address) -> bool:
    """Whether the address must not be written to."""
    return bool(subscribers.suppressed(tx, [tokens.suppression_hash(own_key, address.normal)]))


def is_taken(tx: Connection, own_key: bytes, address: Address) -> bool:
    """Whether the address is suppressed, or a subscriber has it."""
    return is_suppressed(tx, own_key, address) or subscribers.find(tx, address.normal) is not None
