"""Growth of CPU time with the size of hostile text, up to a megabyte, in every format and function.

Each piece of `tests.support.hostile` is measured in a process of its own with a time limit.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import newsletter.formats.linear_feedparser  # noqa: F401  # once, not in every process
from tests.benchmarks.measure import Row
from tests.support import hostile
from tests.support.captures import CAPTURES
from tests.support.soak import SOAK

SIZES = (125_000, 250_000, 500_000, 1_000_000)
LIMIT = 3.0
"""Maximum seconds of CPU for the largest size."""
GROWTH = 2.5
"""Maximum factor of CPU time when the size doubles."""
NOISE = 0.05
"""Seconds of CPU below which growth cannot be distinguished from noise."""
NOTHING = 0.003
"""Seconds of CPU for the smallest size below which larger sizes need not be measured."""
EVERY = 1 if SOAK else 8
"""One in this many families is measured; with `SOAK` all of them, which takes an hour."""
TRIES = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds for the largest size of one family, and the maximum growth when doubling."""

    name: str
    seconds: float
    growth: float


def run() -> Iterator[Row]:
    """The slowest and the fastest-growing family of formats, and of functions."""
    for what, families in (("format", _formats()), ("text function", _functions())):
        measured = [_measured(name, job) for name, job in islice(families, 0, None, EVERY)]
        slowest = max(measured, key=lambda one: one.seconds)
        steepest = max(measured, key=lambda one: one.growth)
        for one, kind, unit, value, goal in (
            (slowest, "1 MB", "s", slowest.seconds, LIMIT),
            (steepest, "twice the size", "x", steepest.growth, GROWTH),
        ):
            label = f"{what}, {len(measured):,} families, {kind}: {one.name}"
            yield Row(label, unit, value, goal, value / goal, 1)


def _formats() -> Iterator[tuple[str, Callable[[int], Callable[[], object]]]]:
    """Yields every piece in every format, alternating among its captures."""
    for name, place, piece in hostile.in_captures():
        ways = list(CAPTURES[name])
        if ways[hostile.PIECES.index(piece) % len(ways)].__name__ == place.way:
            yield f"{piece!r} in {place.way} at {place.at}", partial(_reading, name, place, piece)


def _reading(name: str, place: hostile.Place, piece: str, size: int) -> Callable[[], object]:
    return partial(hostile.read, place.filled(piece, size), name)


def _functions() -> Iterator[tuple[str, Callable[[int], Callable[[], object]]]]:
    for name in hostile.FUNCTIONS:
        for head, piece, tail in islice(hostile.in_texts(), 1, None, 2):
            yield f"{piece!r} in {name} after {head!r}", partial(_calling, name, head, piece, tail)


def _calling(name: str, head: str, piece: str, tail: str, size: int) -> Callable[[], object]:
    return partial(hostile.FUNCTIONS[name], head + hostile.repeated(piece, size) + tail)


def _measured(name: str, job: Callable[[int], Callable[[], object]]) -> Measured:
    if _seconds(job(SIZES[0])) < NOTHING:
        return Measured(name, 0, 0)
    largest = _seconds(job(SIZES[-1]))
    for _ in range(TRIES - 1):  # another process may have interfered
        if largest > LIMIT:
            largest = min(largest, _seconds(job(SIZES[-1])))
    if largest < NOISE * 2:
        return Measured(name, largest, 0)
    taken = [*(_seconds(job(size)) for size in SIZES[:-1]), largest]
    for _ in range(TRIES - 1):
        if _growth(taken) > GROWTH:
            again = [_seconds(job(size)) for size in SIZES]
            taken = [min(pair) for pair in zip(taken, again, strict=True)]
    return Measured(name, largest, _growth(taken))


def _growth(taken: list[float]) -> float:
    """Returns the maximum growth among the times that exceed the noise."""
    pairs = itertools.pairwise(taken)
    return max((after / max(before, NOISE) for before, after in pairs), default=0)


def _seconds(job: Callable[[], object]) -> float:
    """Returns the CPU seconds of a job in a process of its own, at most twice the limit."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, 2 * LIMIT)
        began = time.process_time()
        try:
            job()
            os.write(writing, str(time.process_time() - began).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if answer:
        return float(answer)
    if os.waitstatus_to_exitcode(status) == -signal.SIGPROF:
        return 2 * LIMIT
    raise RuntimeError("a hostile text ended the process that read it")
