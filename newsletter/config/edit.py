"""Adds and removes [[sources]] sections, and keeps the rest of the file as it was written.

tomlkit finds the place of a change and writes what is new; all other text is copied.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter.config.file import config_path, load_config
from newsletter.config.parse import parse
from newsletter.config.schema import Config
from newsletter.errors import ConfigError, OutputError
from newsletter.text import files

if TYPE_CHECKING:  # slow to import, and needed only to change the file
    from tomlkit.items import AbstractTable, Item
    from tomlkit.toml_document import TOMLDocument

_MARK = "\0"
"""Marks a place between two lines; TOML cannot contain it."""


@dataclass(frozen=True, slots=True)
class ConfigDraft:
    """A configuration file that is to be changed.

    Attributes:
        file: the file itself, which may have been reached through a link.
        folder: the folder to which the paths in it are relative.
        content: its bytes as they were read.
        config: the configuration in them.
    """

    file: Path
    folder: Path
    content: bytes
    config: Config

    @property
    def text(self) -> str:
        """The TOML, with its line ends."""
        return self.content.decode()

    def replace(self, text: str) -> None:
        """Writes the changed text. The file keeps its owner and its mode.

        Raises:
            ConfigError: the text is not a valid configuration.
            OutputError: the file was changed since it was read, or cannot be written.
        """
        parse(text, os.environ, where=str(self.file), folder=self.folder)
        try:
            found = self.file.stat()
            with files.replacing(self.file, found.st_mode & 0o777) as written:
                written.write(text.encode())
                _keep_owner(written.fileno(), found)
                if self.file.read_bytes() != self.content:
                    raise OutputError(
                        "was changed meanwhile, so nothing was written",
                        where=str(self.file),
                        hint="run the command again",
                    )
        except OSError as exc:
            raise OutputError(
                f"cannot be written ({exc.strerror})",
                where=str(self.file),
                hint="check the disk, and the owner and mode of the file and its folder",
            ) from exc


def draft(path: str | None) -> ConfigDraft:
    """Reads the configuration at `path` to change it.

    Raises:
        ConfigError: it is missing, unreadable or invalid.
    """
    load_config(path)
    named = config_path(path).absolute()
    file = named.resolve()
    content = file.read_bytes()
    config = parse(content.decode(), os.environ, where=str(file), folder=named.parent)
    return ConfigDraft(file, named.parent, content, config)


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

    document = _parsed(text)
    sources = document.get("sources")
    block = _sections(tables)
    if isinstance(sources, Array):
        for table in tables:
            sources.append(tomlkit.inline_table())
            sources[-1].update(table)
        changed = document.as_string()
    elif isinstance(sources, AoT) and len(sources) and _in_order(document, text):
        _last_line(sources[-1], text).trivia.trail += _MARK
        before, after = _split(text, _marked(document))
        changed = _between(before, after, block)
    else:  # none, or not next to each other
        changed = _between(text, "", block)
    if "\r\n" in text and "\n" not in text.replace("\r\n", ""):
        changed = changed.replace("\r\n", "\n").replace("\n", "\r\n")
    return _verified(changed, text, [*_sources(text), *tables])


def without_source(text: str, name: str) -> str:
    """Returns the configuration without the section of a source. Comments around it stay.

    Raises:
        ConfigError: the text is written in a way from which it cannot be removed.
    """
    from tomlkit.items import Array

    document = _parsed(text)
    sources: Any = document["sources"]
    number = next(n for n, table in enumerate(sources) if table["name"] == name)
    rest = [table for table in _sources(text) if table["name"] != name]
    if isinstance(sources, Array):
        del sources[number]
        return _verified(document.as_string(), text, rest)
    if not _in_order(document, text):
        raise _by_hand("its [[sources]] sections are not next to each other")
    sources[number].trivia.indent = _MARK + sources[number].trivia.indent
    _last_key(sources[number]).trivia.trail += _MARK
    before, _, after = _split(text, _marked(document))
    if not before or before.endswith(("\n\n", "\n\r\n")):  # leave one blank line, not two
        after = after.removeprefix("\r").removeprefix("\n")
    return _verified(before + after, text, rest)


def _parsed(text: str) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text)
    except TOMLKitError as exc:  # it is stricter than tomllib in places
        raise _by_hand(f"it cannot be parsed ({exc})") from exc


def _in_order(document: TOMLDocument, text: str) -> bool:
    """Returns whether tomlkit keeps the lines of the text; the form of headers may differ."""
    pairs = zip_longest(_lines(document.as_string()), _lines(text), fillvalue="")
    return all(
        one == other or one.lstrip()[:2] == other.lstrip()[:2] == "[[" for one, other in pairs
    )


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _marked(document: TOMLDocument) -> list[int]:
    """Returns the numbers of lines before each mark. Marks are at the ends of lines."""
    parts = document.as_string().split(_MARK)
    return [len(_lines("".join(parts[:number]))) for number in range(1, len(parts))]


def _split(text: str, at: Sequence[int]) -> list[str]:
    """Returns the text in parts, divided after these numbers of lines."""
    lines, ends = _lines(text), [0, *at, None]
    return ["".join(lines[start:end]) for start, end in pairwise(ends)]


def _last_key(table: AbstractTable) -> Item:
    return table.value.body[_last_index(table)][1]


def _last_index(table: AbstractTable) -> int:
    return max(n for n, (key, _) in enumerate(table.value.body) if key is not None)


def _last_line(table: AbstractTable, text: str) -> Item:
    """Returns the last key of a section, or the last of the comments that belong to it.

    Those follow without a blank line, and a blank line or the end of the file follows them. Other
    comments are about the next section.
    """
    from tomlkit.items import Comment

    following = [item for _, item in table.value.body[_last_index(table) + 1 :]]
    own = [*takewhile(lambda item: isinstance(item, Comment), following)]
    ends = own and text.rstrip().endswith(own[-1].as_string().strip())
    return own[-1] if own and (ends or len(own) < len(following)) else _last_key(table)


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


def _between(before: str, after: str, block: str) -> str:
    """Returns the block between the two parts, with a blank line on each side."""
    if before and not before.endswith("\n"):
        before += "\n"
    start = "\n" if before.strip() and not before.endswith(("\n\n", "\n\r\n")) else ""
    end = "\n" if after and not after.startswith(("\n", "\r\n")) else ""
    return before + start + block + end + after


def _sources(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(text).get("sources", [])
    return found


def _verified(changed: str, text: str, sources: Sequence[Mapping[str, Any]]) -> str:
    """Returns the changed text if it differs from the old one in its sources only."""
    expected = {**tomllib.loads(text), "sources": list(sources)}
    try:
        found = {"sources": [], **tomllib.loads(changed)}
    except ValueError:
        found = {}
    if found != expected:
        raise _by_hand("it is written in a way that cannot be changed safely")
    return changed


def _keep_owner(descriptor: int, before: os.stat_result) -> None:
    """Gives a new file the owner and the mode of the one that it replaces."""
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o777)


def _by_hand(why: str) -> ConfigError:
    return ConfigError([f"the configuration was not changed: {why}"], hint="change it by hand")
