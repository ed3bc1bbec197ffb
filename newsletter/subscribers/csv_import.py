"""CSV of subscribers → rows and problems, line by line.

Spreadsheets differ in separator, order of columns and byte order mark: all are accepted,
and a line that cannot be parsed does not affect the lines after it. The exports of other
newsletter services are recognised by their columns. Storing the rows is the work of
`list_import`. Pure.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import COLUMNS, SubscriberRow, parse_column, unguarded
from newsletter.subscribers.other_services import SERVICES, Service, recognised
from newsletter.text.clean import clean, cut

_Record = tuple[int, list[str]]  # number of the first line, and the lines of one record
_Cells = tuple[int, str, list[str] | str]  # number of a line, the line, its cells or the error

_MARK = "\ufeff"
_BLANK = _MARK + " \t\r\n"
_SEPARATORS = ",;\t"
_LONGEST_RECORD = 20  # lines a cell may span: notes in other columns do, our columns never
_SHOWN = 60
_ALIASES = dict.fromkeys(("email", "e_mail", "email_address"), "address")


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that is not a valid subscriber row.

    Attributes:
        text: the beginning of the line, safe to display.
        what: all errors in it.
    """

    text: str
    what: str


@dataclass(frozen=True, slots=True)
class SubscriberFile:
    """A CSV file whose header has been read.

    Attributes:
        ignored: names of unknown columns, safe to display; empty for another service's export.
        service: the other service that exported it, if any.
        rows: line numbers with the rows after the header; a lazy iterator, usable once.
    """

    ignored: tuple[str, ...]
    service: Service | None
    rows: Iterator[tuple[int, SubscriberRow | Problem]]


@dataclass(frozen=True, slots=True)
class _Header:
    """The header: the separator, all cells, and the indexes of our columns.

    If another service wrote it, the only column of ours is the address, and `names` are the
    indexes of all its columns.
    """

    separator: str
    cells: tuple[str, ...]
    columns: Mapping[str, int]
    service: Service | None = None
    names: Mapping[str, int] = field(default_factory=dict)


def read(lines: Iterable[str]) -> SubscriberFile:
    """Reads the subscribers in the lines of a file. Blank lines are skipped.

    Raises:
        ValueError: the first line is not a header; the message says what to write.
    """
    records = _records(lines)
    first = next((found for found in records if "".join(found[1]).strip(_BLANK)), None)
    if first is None:
        raise ValueError(f"it is empty; its first line must be {_columns()}")
    number, (line, *more) = first
    first = number, [line.removeprefix(_MARK), *more]
    header = _header(first)
    rows = _cells(chain([first], records), header.separator)
    next(rows)  # the header
    ours = set(header.columns.values())
    others = (clean(cell) for at, cell in enumerate(header.cells) if at not in ours)
    ignored = () if header.service else tuple(cut(name, _SHOWN) for name in others if name)
    return SubscriberFile(ignored, header.service, _rows(rows, header))


def _records(lines: Iterable[str]) -> Iterator[_Record]:
    """Groups the lines into records.

    A line with a quotation mark that is not closed soon is a record of its own: a CSV parser
    would read everything after it as one cell.
    """
    numbered = enumerate(lines, 1)
    ahead: deque[tuple[int, str]] = deque()
    while (first := ahead.popleft() if ahead else next(numbered, None)) is not None:
        number, line = first
        more = 0
        if _opens(line):
            ahead.extend(islice(numbered, _LONGEST_RECORD - 1 - len(ahead)))
            more = next((at for at, (_, later) in enumerate(ahead, 1) if _opens(later)), 0)
        yield number, [line, *(ahead.popleft()[1] for _ in range(more))]


def _opens(line: str) -> bool:
    """Returns whether a line opens a quotation that it does not close, or closes one."""
    return line.count('"') % 2 == 1


def _cells(records: Iterable[_Record], separator: str) -> Iterator[_Cells]:
    """Yields the cells of each line, or why it cannot be parsed."""
    for number, lines in records:
        if len(lines) > 1 and not _belong_together(lines, separator):
            # A stray quotation mark: the lines are parsed one by one.
            yield from _cells(((number + at, [line]) for at, line in enumerate(lines)), separator)
            continue
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
        while (at := reader.line_num) < len(lines):
            try:
                yield number + at, lines[at], next(reader)
            except csv.Error as exc:
                yield number + at, lines[at], f"cannot be read as CSV ({exc})"


def _belong_together(lines: list[str], separator: str) -> bool:
    """Returns whether lines are one row: a cell spans them and contains no other address."""
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return False
    more = (cell.split("\n")[1:] for row in rows for cell in row)
    return not any("@" in line for lines_of_it in more for line in lines_of_it)


def _header(record: _Record) -> _Header:
    """Parses the header with the separator that yields the most known columns."""
    headers = [_split(record, separator) for separator in _SEPARATORS]
    best = max(headers, key=lambda header: (header.service is not None, len(header.columns)))
    if "address" in best.columns:
        return best
    if any(_is_address(header.cells[0]) for header in headers if header.cells):
        raise ValueError(f"it begins with an address; add a first line: {_columns()}")
    known = ", ".join(service.name for service in SERVICES)
    raise ValueError(
        f'its first line has no column "address"; write {_columns()}, '
        f"or import an export of one of: {known}"
    )


def _split(record: _Record, separator: str) -> _Header:
    _, _, cells = next(_cells([record], separator))
    if isinstance(cells, str):
        return _Header(separator, (), {})
    names = [re.sub(r"[ -]", "_", clean(cell).casefold()) for cell in cells]
    if service := recognised(names):
        # The first of several columns with one name: the others are fields of its own users.
        first = {name: at for at, name in reversed(list(enumerate(names)))}
        address = next(name for name in service.address if name in first)
        return _Header(separator, tuple(cells), {"address": first[address]}, service, first)
    columns: dict[str, int] = {}
    for at, name in enumerate(names):
        name = _ALIASES.get(name, name)
        if name in columns:
            raise ValueError(f'its first line has two columns "{name}"')
        if name in COLUMNS:
            columns[name] = at
    return _Header(separator, tuple(cells), columns)


def _rows(rows: Iterable[_Cells], header: _Header) -> Iterator[tuple[int, SubscriberRow | Problem]]:
    for number, line, cells in rows:
        found = cells if isinstance(cells, str) else _line(cells, header)
        if isinstance(found, str):
            yield number, Problem(_shown(line), clean(found))
        elif found is not None:
            yield number, found


def _line(cells: list[str], header: _Header) -> SubscriberRow | str | None:
    """Returns the row, or its errors, or `None` if the line has only separators."""
    if not any(map(str.strip, cells)):
        return None
    wrong = []
    if len(cells) > len(header.cells):
        wrong.append('more cells than the first line (a cell with separators in it needs "…")')
    found: dict[str, Any] = {}
    for column in COLUMNS:
        try:
            found[column] = parse_column(column, _cell(cells, header.columns.get(column)))
        except ValueError as exc:
            wrong.append(f"{column}: {exc}")
    if header.service:
        named = {name: _cell(cells, at).strip() for name, at in header.names.items()}
        try:
            found["record"] = header.service.record(named)
        except ValueError as exc:
            wrong.append(str(exc))
    return "; ".join(wrong) or SubscriberRow(**found)


def _cell(cells: list[str], at: int | None) -> str:
    return cells[at] if at is not None and at < len(cells) else ""


def _columns() -> str:
    return ",".join(COLUMNS)


def _shown(line: str) -> str:
    return cut(clean(line[: 10 * _SHOWN]), _SHOWN)


def _is_address(text: str) -> bool:
    try:
        parse_address(unguarded(text.strip()))
    except ValueError:
        return False
    return True
