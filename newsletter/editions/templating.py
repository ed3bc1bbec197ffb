"""Where templates are found, and the Jinja environment. Shared by themes and notices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
)

import newsletter
from newsletter.errors import RenderError
from newsletter.text.clean import isolate, wrap

TEXT_COLUMNS = 72

FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template can raise: Jinja's errors, and those of the expressions in it."""


def bundled_templates() -> Path:
    """Returns our templates' folder: inside the wheel, or beside the package in a checkout."""
    packaged = Path(newsletter.__file__).parent / "templates"
    return packaged if packaged.is_dir() else packaged.parent.parent / "templates"


def loader(templates_dir: Path | None) -> BaseLoader:
    """Returns a loader that looks for each file in the operator's folder first, then in ours.

    Raises:
        RenderError: there is no such folder.
    """
    bundled = FileSystemLoader(bundled_templates())
    # The prefix lets a template extend the one it replaces.
    ours: list[BaseLoader] = [PrefixLoader({"bundled": bundled}), bundled]
    if templates_dir is None:
        return ChoiceLoader(ours)
    if not templates_dir.is_dir():
        raise RenderError(
            "no such folder", where=str(templates_dir), hint="check [theme] templates_dir"
        )
    return ChoiceLoader([FileSystemLoader(templates_dir), *ours])


def environment(loader: BaseLoader) -> Environment:
    """Returns a Jinja environment with our filters and autoescape for all but text templates."""
    environment = Environment(
        loader=loader,
        # `select_autoescape` knows neither `.mjml.j2` nor a template without a name.
        autoescape=_escapes,  # noqa: S701  # on for all but text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: Mapping[str, Any] = {"isolate": isolate, "hang": _hang, "grouped": _grouped}
    environment.filters.update(filters)
    return environment


def _escapes(name: str | None) -> bool:
    """Returns whether to autoescape: everything but text, including a template without a name."""
    return not (name or "").endswith(".txt.j2")


def _hang(text: str, indent: int = 0, first: str = "", *, whole: bool = False) -> str:
    """Wraps text to 72 columns with a hanging indent of `indent`; `first` precedes line one.

    With `whole`, the text is broken at spaces only, so that rejoining the lines restores it.
    """
    lines = wrap(text, TEXT_COLUMNS - indent, whole=whole)
    padded = [" " * indent + line for line in lines]
    if padded and first:
        padded[0] = first.rjust(indent - 1) + " " + padded[0][indent:]
    return "\n".join(padded)


def _grouped(number: int) -> str:
    return f"{number:,}"
