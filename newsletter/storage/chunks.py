"""Queries with many values, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam

_CHUNK = 500
"""Values in one `IN (…)`, far below any database's limit."""


def in_chunks(
    tx: Connection, query: Select[Any], column: Any, values: Iterable[Any]
) -> Iterable[Row[Any]]:
    """Yields the rows of `query` whose `column` has one of the values."""
    wanted = sorted(values)
    filtered = query.where(column.in_(bindparam("wanted", expanding=True)))
    for start in range(0, len(wanted), _CHUNK):
        yield from tx.execute(filtered, {"wanted": wanted[start : start + _CHUNK]})
