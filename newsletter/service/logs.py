"""Logging: readable lines on a terminal, JSON elsewhere.

Logged values may come from outside: file names, servers' replies, captures. So secrets in URLs are
masked, and characters that act on a terminal are escaped (JSON) or replaced (readable lines).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Literal

import structlog

from newsletter.errors import one_line, printable
from newsletter.masks import masked
from newsletter.text.json_line import json_line

Form = Literal["auto", "console", "json"]
_Event = MutableMapping[str, Any]


def configure(form: Form, *, verbose: bool = False, quiet: bool = False) -> None:
    """Configures logging to standard error, in one format for our logs and those of libraries.

    Args:
        form: the format.
        verbose: whether our debug messages are logged.
        quiet: whether only warnings and errors are logged.
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderers: list[structlog.typing.Processor] = (
        [_without_controls, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [lambda _, __, event: json_line(event)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_secrets,
                *renderers,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING if quiet else logging.INFO)
    logging.getLogger("newsletter").setLevel(logging.DEBUG if verbose else logging.NOTSET)
    for name in ("apscheduler", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True  # its URLs would contain tokens


def _without_secrets(_: object, __: str, event: _Event) -> _Event:
    """Masks the secrets in all values, and converts values that JSON does not support to text."""
    return {key: _masked(value) for key, value in event.items()}


def _masked(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _masked(one) for key, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_masked(one) for one in value]
    return masked(str(value))


def _without_controls(_: object, __: str, event: _Event) -> _Event:
    """Makes every value one line without controls; a traceback keeps its lines, indented."""
    return {
        key: _indented(value) if key in ("exception", "stack") else _on_one_line(value)
        for key, value in event.items()
    }


def _on_one_line(value: object) -> object:
    if isinstance(value, Mapping | list):
        value = json_line(value)
    return one_line(value) if isinstance(value, str) else value


def _indented(value: object) -> str:
    return "\n".join(f"    {printable(line)}" for line in str(value).split("\n"))
