"""Measurement: alternating rounds, medians, and processes with their peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Job = Callable[[], object]
"""The function to be timed."""

Side = Callable[[int], Job]
"""Prepares the round with this number, and returns the job to be timed."""

WARM_UP = 2

# As for installed programs, modules are compiled once, not at every start.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Row:
    """One result.

    Attributes:
        what: what was measured.
        unit: unit of `ours` and `other`.
        ours: our median.
        other: the peer's median, or the limit.
        ratio: ratio of ours to the other.
        goal: the maximum ratio that meets the goal.
    """

    what: str
    unit: str
    ours: float
    other: float | None = None
    ratio: float | None = None
    goal: float | None = None

    @property
    def ok(self) -> bool | None:
        """Whether the goal is reached; `None` without a goal."""
        if self.goal is None or self.ratio is None:
            return None
        return self.ratio <= self.goal


@dataclass(frozen=True, slots=True)
class Comparison:
    """Seconds of each round, without the warm-up."""

    ours: tuple[float, ...]
    other: tuple[float, ...]

    def row(self, what: str, goal: float | None = None) -> Row:
        """Returns the milliseconds of both."""
        return Row(
            what, "ms", 1000 * median(self.ours), 1000 * median(self.other), self.ratio, goal
        )

    def rate(self, what: str, things: str, amount: int) -> Row:
        """Returns the `things` per second of both; the ratio is still one of times."""
        rates = (amount / median(self.ours), amount / median(self.other))
        return Row(what, f"{things}/s", *rates, self.ratio)

    @property
    def ratio(self) -> float:
        """The median ratio of ours to the other in single rounds."""
        return median(ours / other for ours, other in zip(self.ours, self.other, strict=True))


def again(job: Job) -> Side:
    """Returns a side that runs the same job in every round."""
    return lambda _number: job


def compare(ours: Side, other: Side, rounds: int) -> Comparison:
    """Times both sides in every round, alternating which one is first."""
    taken: dict[Side, list[float]] = {ours: [], other: []}
    for number in range(WARM_UP + rounds):
        for side in (ours, other) if number % 2 else (other, ours):
            taken[side].append(_seconds(side(number)))
    return Comparison(tuple(taken[ours][WARM_UP:]), tuple(taken[other][WARM_UP:]))


def alone(what: str, side: Side, rounds: int) -> Row:
    """Returns the milliseconds of one side, for information."""
    seconds = [_seconds(side(number)) for number in range(WARM_UP + rounds)][WARM_UP:]
    return Row(what, "ms", 1000 * median(seconds))


def _seconds(job: Job) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def program(name: str) -> list[str] | None:
    """Returns the command of a program installed beside this Python, or `None`."""
    path = Path(sys.executable).parent / name
    return [str(path)] if path.is_file() else None


def newsletter(*arguments: str) -> list[str]:
    """Returns a command of `newsletter`."""
    return [*(program("newsletter") or [sys.executable, "-m", "newsletter"]), *arguments]


def completed(command: Sequence[str], *, saying: str = "") -> None:
    """Runs a command; it must succeed, and its output must contain `saying`."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_ENVIRONMENT)
    if done.returncode or saying not in done.stdout:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")


# A process inherits the peak of the one that started it, so the starting process must be small.
_SMALL_PARENT = """
import os, sys
null = os.open(os.devnull, os.O_RDWR)
files = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=files)
_, status, usage = os.wait4(child, 0)
print('{"status": %d, "peak": %d}' % (os.waitstatus_to_exitcode(status), usage.ru_maxrss))
"""


def peak_megabytes(command: Sequence[str]) -> float:
    """Returns the peak memory (RSS) of a command."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _SMALL_PARENT, *command],
        capture_output=True,
        text=True,
        check=True,
        env=_ENVIRONMENT,
    )
    said: Mapping[str, int] = json.loads(done.stdout)
    if said["status"]:
        raise RuntimeError(f"{' '.join(command)}: {said['status']}\n{done.stderr}")
    unit = 1 if sys.platform == "darwin" else 1024
    return said["peak"] * unit / 1e6
