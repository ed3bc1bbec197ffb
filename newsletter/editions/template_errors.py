"""A template's exception → an error of one line that names the operator's file and line.

The lines around the fault are kept with the error, to be shown below its message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

from newsletter.errors import TemplateFaulty, printable

FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template can raise: Jinja's errors, and those of the expressions in it."""

AROUND = 2
"""Lines that are shown before and after the faulty one."""

_WIDEST = 160  # characters of a line that are shown
_OBJECT = re.compile(r"'(?:[a-z_]\w*\.)+(\w+ object)'")  # without the name of our module


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a template file; lines are counted from 1."""

    file: str
    line: int


def template_error(
    exc: Exception,
    name: str,
    folder: Path | None,
    mapped: Callable[[Place], Place | None] = lambda place: place,
) -> TemplateFaulty:
    """Returns the error to report for an exception that a template raised.

    Args:
        exc: one of `FAULTS`, as Jinja raised it.
        name: the template that was asked for, named if the exception does not tell the place.
        folder: the operator's templates; a place in them is preferred.
        mapped: returns the place in a file for a place in generated text, or `None`.
    """
    if isinstance(exc, TemplateFaulty):
        return exc
    return fault_at(place_of(exc, folder, mapped), said(exc), name)


def fault_at(place: Place | None, what: str, name: str) -> TemplateFaulty:
    """Returns the error for a fault at this place, or anywhere in the template `name`."""
    where = f"{place.file}, line {place.line}" if place else name
    lines = excerpt(place) if place else ()
    return TemplateFaulty(what, where=where, hint="fix the template", excerpt=lines)


def said(exc: Exception) -> str:
    """Returns what is wrong, in one line."""
    if isinstance(exc, RecursionError):
        return "it extends or includes itself; the one it replaces is bundled/…"
    if isinstance(exc, TemplateNotFound) and not isinstance(exc, TemplateSyntaxError):
        return f"there is no template {exc.name or exc.message}"
    if isinstance(exc, TemplateError):
        return _OBJECT.sub(r"'\1'", exc.message or type(exc).__name__).rstrip(".")
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__


def place_of(
    exc: Exception,
    folder: Path | None,
    mapped: Callable[[Place], Place | None] = lambda place: place,
) -> Place | None:
    """Returns the innermost line of the operator's templates that led to the exception.

    If none of them did, it is the innermost line of any template; `None` if it is not known.
    """
    places = [place for one in _places(exc) if (place := mapped(one))]
    own = [one for one in places if folder and Path(one.file).is_relative_to(folder)]
    candidates = own or places
    return candidates[-1] if candidates else None


def _places(exc: Exception) -> Iterator[Place]:
    """Yields the lines of templates in the traceback, which Jinja has rewritten."""
    traceback = exc.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        file = frame.f_code.co_filename
        if "__jinja_exception__" in frame.f_globals and file != "<unknown>":
            yield Place(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    if isinstance(exc, TemplateSyntaxError) and exc.filename:
        yield Place(exc.filename, exc.lineno)


def excerpt(place: Place) -> tuple[str, ...]:
    """Returns the line at a place and those around it, numbered, the line itself marked."""
    try:
        text = Path(place.file).read_text("utf-8", errors="replace")
    except OSError:
        return ()
    lines = text.split("\n")
    first, last = max(1, place.line - AROUND), min(len(lines), place.line + AROUND)
    width = len(str(last))
    return tuple(
        f"{'>' if number == place.line else ' '} {number:>{width}} | {_shown(lines[number - 1])}"
        for number in range(first, last + 1)
    )


def _shown(line: str) -> str:
    text = printable(line.expandtabs(4)).rstrip()
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
