"""Whether an address may be written to, or is in use already."""

from __future__ import annotations

from sqlalchemy import Connection

from newsletter import tokens
from newsletter.recipients import Address
from newsletter.storage import people


def is_suppressed(tx: Connection, own_key: bytes, address: Address) -> bool:
    """Whether the address must not be written to."""
    return bool(people.suppressed(tx, [tokens.mark(own_key, address.normal)]))


def is_taken(tx: Connection, own_key: bytes, address: Address) -> bool:
    """Whether the address is suppressed, or a subscriber has it."""
    return is_suppressed(tx, own_key, address) or people.find(tx, address.normal) is not None
