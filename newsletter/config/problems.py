"""Validation errors → problems in our words: the key, and what to write instead. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from newsletter.config.schema import Config, SourceSection

_Loc = tuple[int | str, ...]

_WORDS = {
    "bool": "write true or false",
    "date": 'write a date, such as "2026-12-24"',
    "string": "write text in quotation marks",
    "finite": "write a number",
    "float": "write a number",
    "int": "write a whole number",
    "missing": "this setting is required",
}
"""What to write, by the first word of the type of an error."""


def in_words(error: ValidationError) -> Iterator[str]:
    """Yields a line for each error: the path of its key, and what to write."""
    for problem in error.errors(include_url=False, include_input=False):
        yield f"{_path(problem['loc'])}: {_words(problem)}"


def _words(problem: ErrorDetails) -> str:
    kind, loc, limits = problem["type"], problem["loc"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"no such setting{_meant(loc)}"
    if kind == "value_error":
        return str(limits["error"])
    if kind == "literal_error":
        return f"write {limits['expected']}".replace("'", '"')
    if kind == "string_too_long":
        return f"write at most {limits['max_length']} characters"
    if kind == "string_too_short":
        return "it must not be empty"
    if kind in ("model_type", "dict_type"):
        path = ".".join(step for step in loc if isinstance(step, str))
        return f"write it as a section, {'[[sources]]' if loc[0] == 'sources' else f'[{path}]'}"
    if kind == "tuple_type":
        kind = "sections, [[sources]]" if loc == ("sources",) else "a list in square brackets"
        return f"write it as {kind}"
    if kind.startswith(("greater_than", "less_than")):
        return _range(loc, limits)
    return _WORDS.get(kind.partition("_")[0], "this value is not allowed")


def _range(loc: _Loc, limits: Mapping[str, Any]) -> str:
    """Returns the numbers that are allowed."""
    field = _field(loc)
    least, most = (
        [getattr(one, name) for one in (field.metadata if field else ()) if hasattr(one, name)]
        for name in ("ge", "le")
    )
    if least and most:
        return f"write a whole number from {least[0]} to {most[0]}"
    words = {"gt": "greater than", "ge": "of at least", "lt": "less than", "le": "of at most"}
    return " and ".join(f"write a number {words[key]} {value:g}" for key, value in limits.items())


def _path(loc: _Loc) -> str:
    path = ""
    for step in loc:
        if isinstance(step, int):
            path += f"[{step + 1}]"
        elif step != "[key]":  # the key of a table, which is named before it
            path += f".{step}" if path else step
    return path


def _meant(loc: _Loc) -> str:
    asked = str(loc[-1]).lower().replace("-", "_")
    near = difflib.get_close_matches(asked, _section(loc).model_fields, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _field(loc: _Loc) -> FieldInfo | None:
    return _section(loc).model_fields.get(str(loc[-1]))


def _section(loc: _Loc) -> type[BaseModel]:
    """Returns the section that a key is in."""
    model: type[BaseModel] = Config
    for step in loc[:-1]:
        if isinstance(step, str):
            model = _section_of(model, step)
    return model


def _section_of(model: type[BaseModel], key: str) -> type[BaseModel]:
    kind: Any = SourceSection if key == "sources" else model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else model
