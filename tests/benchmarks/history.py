"""Creates a database with many known papers, with a few statements."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    String,
    Table,
    cast,
    func,
    insert,
    literal,
    select,
    update,
)

from newsletter.models import SnapshotState
from newsletter.storage.columns import Utc
from newsletter.storage.database import Database
from newsletter.storage.schema import (
    entries,
    log_head,
    paper_keys,
    papers,
    sightings,
    snapshots,
    source_days,
    sources,
    texts,
)

A_DAY = 274
"""Papers of one day, and of one snapshot; a million are those of ten years."""

NOW = datetime(2026, 11, 19, 12, tzinfo=UTC)
_FIRST_DAY = date(2016, 1, 1)
_TITLE = " ravomer under nalstotra with dribase of ploti seneke"

_n = papers.c.id
_day_number = (_n - 1) // A_DAY
# Multiplying by an odd number only shuffles: all titles differ, in no particular order.
_title = func.printf("%08x", (_n * 2654435761) % 2**32).concat(_TITLE)
_arxiv = func.printf(
    "%02d%02d.%05d", 8 + _n // 84_000, 1 + _n // 7_000 % 12, 10_000 + _n % 7_000, type_=String
)
_day = func.date(str(_FIRST_DAY), cast(_day_number, String) + " days")


def made(path: Path, count: int, source: str) -> Path:
    """Creates a database in which `source` has listed `count` papers, each with two keys."""
    with Database(f"sqlite:///{path}") as database, database.write() as tx:
        tx.exec_driver_sql("PRAGMA cache_size=-500000")
        number = tx.execute(
            insert(sources)
            .values(name=source, opened_at=NOW, captured_at=NOW)
            .returning(sources.c.id)
        ).scalar_one()
        if count:
            _fill(tx, count, number)
    return path


def copied(original: Path, path: Path) -> Path:
    """Copies a closed database to `path`, which may exist. Returns the path."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(original, path)
    with path.open("r+b") as file:
        os.fsync(file)  # otherwise the first commit would wait for it
    return path


def _fill(tx: Connection, count: int, source: int) -> None:
    days = -(-count // A_DAY)
    tx.execute(insert(source_days), [{"source_id": source, "day": _date(at)} for at in range(days)])
    tx.execute(insert(snapshots), [_snapshot(at, source) for at in range(days)])
    counted = select(literal(1).label("n")).cte(recursive=True)
    counted = counted.union_all(select(counted.c.n + 1).where(counted.c.n < count))
    votes = counted.c.n % 100
    _copy(
        tx,
        papers,
        {"id": counted.c.n, "version": 1, "upvotes": votes, "new_at": counted.c.n, "silent": False},
    )
    record = func.json_object("title", _title, "arxiv_id", _arxiv, type_=String)
    _copy(tx, texts, {"paper_id": _n, "version": 1, "record": record})
    listed = {"paper_id": _n, "source_id": source, "snapshot_id": _day_number + 1}
    _copy(
        tx,
        entries,
        {
            "position": _n,
            "kind": "new",
            "version": 1,
            "day": _day,
            "at": literal(NOW, Utc()),
            **listed,
        },
    )
    said = {"record": record, "listed": True, "withdrawn": False}
    _copy(tx, sightings, {**listed, **said, "first_day": _day, "last_day": _day})
    _copy(tx, paper_keys, {"key": literal("arxiv:").concat(_arxiv), "paper_id": _n})
    _copy(tx, paper_keys, {"key": literal("title:").concat(_title), "paper_id": _n})
    tx.execute(update(log_head).values(position=count))


def _copy(tx: Connection, table: Table, columns: dict[str, Any]) -> None:
    """Inserts a row for every number, in the order of the table's key."""
    chosen = [
        (value if hasattr(value, "label") else literal(value)).label(name)
        for name, value in columns.items()
    ]
    query = select(*chosen).order_by(*(key.name for key in table.primary_key))
    tx.execute(insert(table).from_select(list(columns), query, include_defaults=False))


def _date(number: int) -> date:
    return _FIRST_DAY + timedelta(days=number)


def _snapshot(number: int, source: int) -> dict[str, Any]:
    return {
        "source_id": source,
        "sha256": number.to_bytes(32, "big"),
        "size": 400_000,
        "origin": f"captures/{_date(number)}.json",
        "captured_at": NOW,
        "state": SnapshotState.ACCEPTED,
        "format": "api-json",
        "papers": A_DAY,
        "new": A_DAY,
        "opening": False,
    }
