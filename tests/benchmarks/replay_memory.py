"""Peak memory of `newsletter replay`, and whether it grows with the number of captures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from tests.benchmarks.invented import api_json, papers, text_capture
from tests.benchmarks.measure import Row, newsletter, peak_megabytes

FEW, MANY = 20, 200
A_DAY = 30
_FIRST_DAY = date(2026, 1, 5)


def run() -> Iterator[Row]:
    """Three large text captures; then few and many captures of the API."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield Row("newsletter --help", "MB", peak_megabytes(newsletter("--help")))
        yield Row("replay 3 texts of 100, 80 and 176", "MB", _peak(_texts(folder / "texts")))
        few = _peak(_days(folder / "few", FEW))
        many = _peak(_days(folder / "many", MANY))
        what = f"replay {MANY} days of {A_DAY} vs {FEW} days"
        yield Row(what, "MB", many, few, many / few)


def _peak(captures: Path) -> float:
    out = captures.with_name(f"{captures.name}-out")
    peak = peak_megabytes(newsletter("replay", str(captures), "--out", str(out)))
    if len(list(out.glob("*/edition.html"))) != len(list(captures.iterdir())):
        raise RuntimeError(f"{captures}: not an edition for each capture")
    return peak


def _texts(folder: Path) -> Path:
    folder.mkdir()
    for at, (first, count) in enumerate(((0, 100), (80, 80), (140, 176))):
        day = _FIRST_DAY + timedelta(days=at)
        (folder / f"{day}.txt").write_bytes(text_capture(papers(first, count), day))
    return folder


def _days(folder: Path, count: int) -> Path:
    """Captures of consecutive days; each repeats a few papers of the day before."""
    folder.mkdir()
    for at in range(count):
        day = _FIRST_DAY + timedelta(days=at)
        rows = papers(at * (A_DAY - 3), A_DAY)
        (folder / f"{day}.json").write_bytes(api_json(rows, day))
    return folder
