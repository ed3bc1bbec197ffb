"""The time of `newsletter --help`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tests.benchmarks.measure import Row, again, compare, completed, newsletter

LIMIT = 100.0
ROUNDS = 20


def run() -> Iterator[Row]:
    """The whole process against the limit, and against an empty Python process."""
    ours = partial(completed, newsletter("--help"), saying="ingest")
    bare = partial(completed, [sys.executable, "-c", "pass"])
    beside = compare(again(ours), again(bare), ROUNDS).row("newsletter --help vs python -c pass")
    ratio = beside.ours / LIMIT
    yield replace(beside, what="newsletter --help vs limit", other=LIMIT, ratio=ratio, goal=1.0)
    yield beside
