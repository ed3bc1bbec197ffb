"""Finds the unused bytes in the pages of a SQLite file. Pure.

The format is described at https://www.sqlite.org/fileformat.html: section 1.3 has the header, 1.6
the pages of a b-tree.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADERS = {2: 12, 5: 12, 10: 8, 13: 8}
"""The size of a b-tree page's header, by the page's type, which is its first byte.

All other pages begin with the number of a page, whose first byte is 0 in files of less than
16,777,216 pages."""
_BLOCK = 4
"""Bytes at the beginning of a free block: where the next one is, and its size."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is divided into pages.

    Attributes:
        page: size of a page in bytes.
        usable: how many of them SQLite uses.
    """

    page: int
    usable: int


def layout(header: bytes) -> Layout | None:
    """Returns the layout of a file, or `None` if its pages cannot be told apart.

    Args:
        header: the first 100 bytes of the file.
    """
    (size,) = struct.unpack_from(">H", header, 16)
    has_pointer_maps = any(header[52:56])  # auto-vacuum; no database of ours has it
    if has_pointer_maps or not size:
        return None
    page = 65_536 if size == 1 else size
    return Layout(page, page - header[20])


def pages_to_overwrite(data: bytes, pages: Layout) -> Iterator[int]:
    """Yields the offsets of the pages in `data` whose unused bytes are not all zero.

    Args:
        data: whole pages, without the first one of the file.
    """
    for start in range(0, len(data), pages.page):
        page = data[start : start + pages.page]
        if any(page[first:end].strip(b"\0") for first, end in unused(page, pages)):
            yield start


def unused(page: bytes, pages: Layout) -> list[tuple[int, int]]:
    """Returns the ranges of a b-tree page that SQLite never reads; none if the page is malformed.

    Pages that belong to no b-tree have none: SQLite overwrites them with zeros when it frees them.
    """
    header = _HEADERS.get(page[0])
    if header is None or len(page) != pages.page:
        return []
    block, cells, content = struct.unpack_from(">HHH", page, 1)
    end_of_cells, content = header + 2 * cells, content or 65_536
    if not end_of_cells <= content <= pages.usable:
        return []
    ranges, lowest = [(end_of_cells, content)], content
    while block:
        if not lowest <= block <= pages.usable - _BLOCK:
            return []
        following, size = struct.unpack_from(">HH", page, block)
        if not _BLOCK <= size <= pages.usable - block:
            return []
        ranges.append((block + _BLOCK, block + size))
        block, lowest = following, block + size
    return ranges
