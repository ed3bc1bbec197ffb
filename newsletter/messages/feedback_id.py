"""The sender id of the header Feedback-ID, by which Gmail groups complaints. Pure."""

from __future__ import annotations

import re
from hashlib import blake2b

SHORTEST, LONGEST = 5, 15
"""Gmail ignores ids of another length."""


def sender_id(domain: str) -> str:
    """Returns an id for a domain, always the same one: its letters and digits if they fit."""
    letters = re.sub(r"[^a-z0-9]", "", domain.lower())
    if SHORTEST <= len(letters) <= LONGEST:
        return letters
    digest = blake2b(domain.lower().encode(), digest_size=4).hexdigest()
    return letters[: LONGEST - len(digest)] + digest
