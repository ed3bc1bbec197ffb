"""The limit on open files of this process: every connection, capture and mail session takes one."""

from __future__ import annotations

import resource

CONNECTIONS = 1_000
"""Connections to the pages that may be open at once."""
BACKLOG = 128
"""Connections that are accepted at a time."""
_RESERVED = 256  # for the database, mail and captures
ENOUGH = CONNECTIONS + BACKLOG + _RESERVED
"""Open files that a process needs to serve `CONNECTIONS` connections."""
_FEWEST = 32


def raise_limit() -> int:
    """Raises the limit as far as it is needed and allowed. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(ENOUGH, _number(hard))
    if _number(soft) < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted, min(ENOUGH, _number(soft)))


def allowed() -> int:
    """Returns the highest limit that this process may set for itself."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def connections(files: int) -> int:
    """Returns the number of connections to allow with this limit on open files."""
    return max(_FEWEST, min(CONNECTIONS, files - BACKLOG - _RESERVED))


def _number(limit: int) -> int:
    return ENOUGH if limit == resource.RLIM_INFINITY else limit
