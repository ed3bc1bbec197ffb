"""`python -m tests.benchmarks [NAME...]`: prints a table of the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import click

from tests.benchmarks import (
    deliver,
    diff,
    hostile,
    ingest_process,
    million,
    parse,
    render,
    replay_memory,
    schedules,
    serve,
    sign,
    start,
    timing,
    web,
)
from tests.benchmarks.measure import Row

BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    "render": render.run,
    "parse": parse.run,
    "hostile": hostile.run,
    "diff": diff.run,
    "help": start.run,
    "ingest_process": ingest_process.run,
    "replay_memory": replay_memory.run,
    "deliver": deliver.run,
    "sign": sign.run,
    "schedules": schedules.run,
    "million": million.run,
    "serve": serve.run,
    "web": web.run,
    "timing": timing.run,
}
_COLUMNS = "{:<15} {:<62} {:>19} {:>19} {:>7} {:>6}  {}"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def main(names: Sequence[str], *, as_json: bool) -> None:
    """Run the named benchmarks, or all. Exit with status 1 if one misses its goal."""
    missed = False
    if not as_json:
        click.echo(_COLUMNS.format("name", "what", "ours", "peer or limit", "ratio", "goal", ""))
    for name in names or BENCHMARKS:
        for row in BENCHMARKS[name]():
            missed = missed or row.ok is False
            if as_json:
                click.echo(json.dumps({"name": name, **asdict(row), "ok": row.ok}))
            else:
                click.echo(_line(name, row))
    if missed:
        raise SystemExit(1)


def _line(name: str, row: Row) -> str:
    return _COLUMNS.format(
        name,
        row.what,
        _figure(row.ours, row.unit),
        _figure(row.other, row.unit),
        "" if row.ratio is None else f"{row.ratio:.3g}",
        "" if row.goal is None else f"≤ {row.goal:g}",
        {True: "ok", False: "over", None: ""}[row.ok],
    ).rstrip()


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


if __name__ == "__main__":
    main()
