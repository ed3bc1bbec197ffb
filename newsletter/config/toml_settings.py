"""Sets single keys in the text of a configuration. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from newsletter.config.toml_lines import (
    MARK,
    between,
    by_hand,
    in_order,
    last_line,
    marked,
    parsed,
    split,
    verified,
    with_its_ends,
    with_value,
)

if TYPE_CHECKING:  # slow to import, and needed only to change the file
    from tomlkit.toml_document import TOMLDocument


def with_settings(text: str, settings: Mapping[str, str | int | None]) -> str:
    """Returns the configuration with these settings.

    A key that is commented out in its section becomes active there.

    Args:
        text: TOML.
        settings: values by section and key, such as `transports.smtp.host`; `None` removes one.

    Raises:
        ConfigError: the text is written in a way in which they cannot be set.
    """
    changed = text if not text or text.endswith("\n") else f"{text}\n"
    expected = tomllib.loads(text)
    for name, value in settings.items():
        section, _, key = name.rpartition(".")
        if value is not None or key in _section(expected, section):
            _expect(expected, section, key, value)
            changed = _with_setting(changed, section, key, value)
    return verified(with_its_ends(changed, text), text, expected)


def _section(tables: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """Returns a section, which may be missing."""
    for part in section.split("."):
        tables = tables.get(part, {})
    return tables


def _expect(tables: dict[str, Any], section: str, key: str, value: str | int | None) -> None:
    """Changes a key in tables, as it is to be changed in the text."""
    for part in section.split("."):
        tables = tables.setdefault(part, {})
    if value is None:
        del tables[key]
    else:
        tables[key] = value


def _with_setting(text: str, section: str, key: str, value: str | int | None) -> str:
    from tomlkit.items import Table

    document = parsed(text)
    table = _table(document, section)
    if table is not None and key in table:
        return with_value(document, text, table, key, value)
    if value is None:
        return text
    line = _line(key, value)
    if active := _uncommented(text, section, key):
        return _with_setting(active, section, key, value)
    if table is None:
        return between(text, "", f"[{section}]\n{line}")
    if not isinstance(table, Table) or not in_order(document, text):
        raise by_hand(f"[{section}] is written in a way that cannot be extended")
    if not len(table):  # only comments
        return _below_header(text, section, line)
    last_line(table, text).trivia.trail += MARK
    before, after = split(text, marked(document))
    return before + line + after


def _table(document: TOMLDocument, section: str) -> Any:
    """Returns a section, or `None`."""
    table: Any = document
    for part in section.split("."):
        table = table.get(part)
        if table is None:
            return None
    return table


def _line(key: str, value: str | int) -> str:
    import tomlkit

    return f"{key} = {tomlkit.item(value).as_string()}\n"


def _below_header(text: str, section: str, line: str) -> str:
    """Returns the text with a line below the header of a section."""
    header = _header(text, section)
    if header is None:
        raise by_hand(f"[{section}] is written in a way that cannot be extended")
    return f"{text[: header.end()]}\n{line}{text[header.end() + 1 :]}"


def _header(text: str, section: str) -> re.Match[str] | None:
    return re.search(rf"^\[{re.escape(section)}\][ \t]*(#.*)?\r?$", text, re.MULTILINE)


def _uncommented(text: str, section: str, key: str) -> str:
    """Returns the text with the first comment `# key = …` of a section as a line of it, or ""."""
    header = _header(text, section)
    if header is None:
        return ""
    start = header.end()
    following = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, start)
    end = following.start() if following else len(text)
    comment = re.compile(rf"^# ?(?={re.escape(key)}[ \t]*=)", re.MULTILINE).search(text, start, end)
    if comment is None:
        return ""
    active = text[: comment.start()] + text[comment.end() :]
    try:
        tomllib.loads(active)
    except tomllib.TOMLDecodeError:  # the comment is a sentence
        return ""
    return active
