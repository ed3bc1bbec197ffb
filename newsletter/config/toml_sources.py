"""Adds, renames and removes the [[sources]] sections in the text of a configuration. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from newsletter.config.toml_lines import (
    MARK,
    between,
    by_hand,
    in_order,
    last_key,
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


def with_sources(text: str, tables: Sequence[Mapping[str, str]]) -> str:
    """Returns the configuration with these sources after the last one.

    Args:
        text: TOML.
        tables: the keys and values of each section.

    Raises:
        ConfigError: the text is written in a way that cannot be extended.
    """
    import tomlkit
    from tomlkit.items import AoT, Array

    if not tables:
        return text
    document = parsed(text)
    sources = document.get("sources")
    block = _sections(tables)
    if isinstance(sources, Array):
        for table in tables:
            sources.append(tomlkit.inline_table())
            sources[-1].update(table)
        changed = document.as_string()
    elif isinstance(sources, AoT) and len(sources) and in_order(document, text):
        last_line(sources[-1], text).trivia.trail += MARK
        before, after = split(text, marked(document))
        changed = between(before, after, block)
    else:  # none, or not next to each other
        changed = between(text, "", block)
    return verified(with_its_ends(changed, text), text, {"sources": [*_sources(text), *tables]})


def without_source(text: str, name: str) -> str:
    """Returns the configuration without the section of a source. Comments around it stay.

    Raises:
        ConfigError: the text is written in a way from which it cannot be removed.
    """
    from tomlkit.items import Array

    document = parsed(text)
    sources: Any = document["sources"]
    number = next(n for n, table in enumerate(sources) if table["name"] == name)
    rest = [table for table in _sources(text) if table["name"] != name]
    if isinstance(sources, Array):
        del sources[number]
        return verified(document.as_string(), text, {"sources": rest})
    if not in_order(document, text):
        raise by_hand("its [[sources]] sections are not next to each other")
    sources[number].trivia.indent = MARK + sources[number].trivia.indent
    last_key(sources[number]).trivia.trail += MARK
    before, _, after = split(text, marked(document))
    if not before or before.endswith(("\n\n", "\n\r\n")):  # leave one blank line, not two
        after = after.removeprefix("\r").removeprefix("\n")
    return verified(before + after, text, {"sources": rest})


def with_source_renamed(text: str, old: str, new: str) -> str:
    """Returns the configuration with another name for a source.

    Raises:
        ConfigError: the text is written in a way in which it cannot be renamed.
    """
    from tomlkit.items import Array

    document = parsed(text)
    sources: Any = document["sources"]
    number = next(n for n, table in enumerate(sources) if table["name"] == old)
    if isinstance(sources, Array):
        sources[number]["name"] = new
        changed = document.as_string()
    else:
        changed = with_value(document, text, sources[number], "name", new)
    renamed = _sources(text)
    renamed[number]["name"] = new
    return verified(changed, text, {"sources": renamed})


def _sections(tables: Iterable[Mapping[str, str]]) -> str:
    """Returns the sections as TOML, with a blank line between them."""
    return "\n".join(_section(table).as_string() for table in tables)


def _section(keys: Mapping[str, str]) -> TOMLDocument:
    import tomlkit

    table = tomlkit.table()
    table.update(keys)
    document, sources = tomlkit.document(), tomlkit.aot()
    sources.append(table)
    document.append("sources", sources)
    return document


def _sources(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(text).get("sources", [])
    return found
