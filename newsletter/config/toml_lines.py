"""Finds the lines of keys and sections in the text of a configuration. Pure.

tomlkit finds the place of a change and writes what is new; all other text is copied.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile, zip_longest
from typing import TYPE_CHECKING, Any

from newsletter.errors import ConfigError

if TYPE_CHECKING:  # slow to import, and needed only to change the file
    from tomlkit.items import AbstractTable, Item
    from tomlkit.toml_document import TOMLDocument

MARK = "\0"
"""Marks a place between two lines; TOML cannot contain it."""


def parsed(text: str) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text)
    except TOMLKitError as exc:  # it is stricter than tomllib in places
        raise by_hand(f"it cannot be parsed ({exc})") from exc


def mark(item: Item) -> None:
    """Marks the first and the last line of a key."""
    item.trivia.indent = MARK + item.trivia.indent
    item.trivia.trail += MARK


def marked(document: TOMLDocument) -> list[int]:
    """Returns the numbers of lines before each mark. Marks are at the ends of lines."""
    parts = document.as_string().split(MARK)
    return [len(_lines("".join(parts[:number]))) for number in range(1, len(parts))]


def split(text: str, at: Sequence[int]) -> list[str]:
    """Returns the text in parts, divided after these numbers of lines."""
    lines, ends = _lines(text), [0, *at, None]
    return ["".join(lines[start:end]) for start, end in pairwise(ends)]


def last_line(table: AbstractTable, text: str) -> Item:
    """Returns the last key of a section, or the last of the comments that belong to it.

    Those follow without a blank line, and a blank line or the end of the file follows them. Other
    comments are about the next section.
    """
    from tomlkit.items import Comment

    following = [item for _, item in table.value.body[_last_index(table) + 1 :]]
    own = [*takewhile(lambda item: isinstance(item, Comment), following)]
    ends = own and text.rstrip().endswith(own[-1].as_string().strip())
    return own[-1] if own and (ends or len(own) < len(following)) else last_key(table)


def last_key(table: AbstractTable) -> Item:
    return table.value.body[_last_index(table)][1]


def _last_index(table: AbstractTable) -> int:
    return max(n for n, (key, _) in enumerate(table.value.body) if key is not None)


def between(before: str, after: str, block: str) -> str:
    """Returns the block between the two parts, with a blank line on each side."""
    if before and not before.endswith("\n"):
        before += "\n"
    start = "\n" if before.strip() and not before.endswith(("\n\n", "\n\r\n")) else ""
    end = "\n" if after and not after.startswith(("\n", "\r\n")) else ""
    return before + start + block + end + after


def with_value(
    document: TOMLDocument, text: str, table: Item, key: str, value: str | int | None
) -> str:
    """Returns the text with another value of a key that is set; without the key if it is `None`.

    Raises:
        ConfigError: the key is not on a line of its own in a section.
    """
    from tomlkit.items import Table

    if not isinstance(table, Table) or not in_order(document, text):
        raise by_hand(f"{key} is not written as a line of its section")
    item: Any = table.value.item(key)
    mark(item)
    before, _, after = split(text, marked(document))
    if value is None:
        return before + after
    old = item.as_string()
    table[key] = value
    item = table.value.item(key)
    if item.trivia.comment:
        gap = len(item.trivia.comment_ws)
        item.trivia.comment_ws = " " * max(min(gap, 2), gap + len(old) - len(item.as_string()))
    return before + document.as_string().split(MARK)[1] + after


def with_its_ends(changed: str, text: str) -> str:
    """Returns the changed text with the line ends of the old one, which may be those of Windows."""
    if "\r\n" in text and "\n" not in text.replace("\r\n", ""):
        changed = changed.replace("\r\n", "\n").replace("\n", "\r\n")
    return changed


def in_order(document: TOMLDocument, text: str) -> bool:
    """Returns whether tomlkit keeps the lines of the text; the form of headers may differ."""
    pairs = zip_longest(_lines(document.as_string()), _lines(text), fillvalue="")
    return all(
        one == other or one.lstrip()[:2] == other.lstrip()[:2] == "[[" for one, other in pairs
    )


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def verified(changed: str, text: str, differing: Mapping[str, Any]) -> str:
    """Returns the changed text if its tables are those of the old one, but for these.

    Raises:
        ConfigError: something else changed as well.
    """
    expected = {"sources": [], **tomllib.loads(text), **differing}
    try:
        found = {"sources": [], **tomllib.loads(changed)}
    except ValueError:
        found = {}
    if found != expected:
        raise by_hand("it is written in a way that cannot be changed safely")
    return changed


def by_hand(why: str) -> ConfigError:
    return ConfigError([f"the configuration was not changed: {why}"], hint="change it by hand")
