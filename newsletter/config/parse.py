"""TOML text and environment variables → `Config`, or all problems at once.

A problem names the path of its key and, for a misspelt key, the closest valid one. Pure:
text and variables are arguments; `file` reads the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from newsletter.config import values
from newsletter.config.problems import in_words
from newsletter.config.schema import Config
from newsletter.errors import ConfigError

ENVIRONMENT = "NEWSLETTER__"
"""`NEWSLETTER__TRANSPORTS__SMTP__PASSWORD` sets `transports.smtp.password`."""


def parse(text: str, environment: Mapping[str, str], *, where: str, folder: Path) -> Config:
    """Parses the configuration in `text` and the environment.

    Args:
        text: TOML.
        environment: environment variables; `NEWSLETTER__SECTION__KEY` overrides the text.
        where: the file name for error messages.
        folder: the folder to which relative paths are resolved.

    Raises:
        ConfigError: the configuration has problems; lists all of them.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # also overlong numbers, deep nesting
        raise ConfigError([str(exc)], where=where, hint="fix the line, then check again") from exc
    problems = [
        problem
        for path, value in _overrides(environment)
        if (problem := _override(tables, path, value))
    ]
    problems += _make_absolute(tables, folder)
    try:
        config = Config.model_validate(tables)
    except ValidationError as exc:
        problems += in_words(exc)
    else:
        problems += _read_as_captures(config, folder)
    if problems:
        hint = "fix it, then run `newsletter config check`"
        named = [_with_variable(problem, environment) for problem in problems]
        raise ConfigError(named, where=where, hint=hint) from None
    return config


def own_folders(config: Config, folder: Path) -> set[Path]:
    """Returns the folders that have the configuration, the database or a secret in them.

    Read as captures, those files would be stored, and quoted in reports.

    Args:
        config: the configuration.
        folder: the folder of its file.
    """
    smtp, dkim = config.transports.smtp, config.dkim
    own = (config.database.url.removeprefix("sqlite:///"), smtp.password_file)
    keys = (dkim.key_file, dkim.ed25519_key_file)
    return {folder, *(Path(file).parent for file in (*own, *keys) if file)}


def _read_as_captures(config: Config, folder: Path) -> list[str]:
    own = own_folders(config, folder)
    return [
        f"sources[{number}].path: this folder has the configuration, the database or a secret in "
        "it, which would be read as captures; keep captures in a folder of their own"
        for number, section in enumerate(config.sources, 1)
        if section.path and Path(section.path) in own
    ]


_LISTS = (("newsletter", "skip_dates"), ("web", "secret_keys"))
"""Settings that are lists; in a variable they are separated by commas."""


def _overrides(environment: Mapping[str, str]) -> Iterator[tuple[list[str], str]]:
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT):
            yield name.removeprefix(ENVIRONMENT).lower().split("__"), value


def _with_variable(problem: str, environment: Mapping[str, str]) -> str:
    """Adds to a problem the variable that sets its key, if one does."""
    key = problem.partition(":")[0].partition("[")[0]
    variable = f"{ENVIRONMENT}{key.replace('.', '__').upper()}"
    return f"{problem} (set by {variable})" if variable in environment else problem


def _override(tables: dict[str, Any], path: Sequence[str], value: str) -> str | None:
    """Sets one value, or returns the problem if the variable matches no setting."""
    section: Any = tables
    for key in path[:-1]:
        section = section.setdefault(key, {}) if isinstance(section, dict) else None
    if not isinstance(section, dict) or len(path) < 2 or isinstance(section.get(path[-1]), dict):
        return f"{ENVIRONMENT}{'__'.join(path).upper()}: no setting can be reached by this name"
    section[path[-1]] = values.several(value) if tuple(path) in _LISTS else value
    return None


_PATHS = (
    ("theme", "templates_dir"),
    ("transports", "eml", "folder"),
    ("transports", "maildir", "folder"),
    ("transports", "smtp", "password_file"),
    ("dkim", "key_file"),
    ("dkim", "ed25519_key_file"),
)
_DEFAULTS = {
    ("transports", "eml", "folder"): "outbox",
    ("transports", "maildir", "folder"): "maildir",
}


def _make_absolute(tables: dict[str, Any], folder: Path) -> list[str]:
    """Resolves all paths against `folder`, and returns the problems of those that cannot be."""
    paths: list[tuple[str, dict[str, Any], str]] = [
        (f"sources[{number}].path", table, "path")
        for number, table in enumerate(_tables(tables.get("sources")), 1)
    ]
    for path in _PATHS:
        table: Any = tables
        for key in path[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            if path in _DEFAULTS:
                table.setdefault(path[-1], _DEFAULTS[path])
            paths.append((".".join(path), table, path[-1]))
    database = tables.setdefault("database", {})
    if isinstance(database, dict):
        url = database.setdefault("url", "sqlite:///newsletter.db")
        if isinstance(url, str) and url.startswith("sqlite:///") and len(url) > 10:
            if "?" in url or "\0" in url:
                return ["database.url: write it as sqlite:///file, without options"]
            database["url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
    return [problem for name, table, key in paths if (problem := _join(name, table, key, folder))]


def _tables(value: object) -> list[dict[str, Any]]:
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def _join(name: str, table: dict[str, Any], key: str, folder: Path) -> str | None:
    if isinstance(table.get(key), str) and table[key]:
        if "\0" in table[key]:
            return f"{name}: no file has such a name"
        try:
            table[key] = str(folder / Path(table[key]).expanduser())
        except RuntimeError:
            return f"{name}: there is no such user for “~”"
    return None
