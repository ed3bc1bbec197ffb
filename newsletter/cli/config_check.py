"""`config`: checks the configuration."""

from __future__ import annotations

from collections.abc import Sequence

import click

from newsletter.cli.base import complain, json_option
from newsletter.cli.options import config_option
from newsletter.cli.terminal import note, say
from newsletter.errors import ConfigError, NewsletterError
from newsletter.masks import masked


@click.group()
def config() -> None:
    """Check the configuration."""


@config.command("check")
@json_option
def config_check(*, as_json: bool) -> int:
    """List all problems of the configuration."""
    from newsletter.app import unfinished
    from newsletter.app.inspection import deeper_problems, remarks_on_sources
    from newsletter.app.source_places import unusable_places
    from newsletter.app.template_check import TemplateCheck
    from newsletter.cli import output
    from newsletter.config import permissions
    from newsletter.config.file import config_path, load_config

    path = config_option()
    errors: list[NewsletterError] = []
    warnings: list[str] = []
    remarks: list[str] = []
    try:
        loaded = load_config(path, to_check=True)
        if problems := deeper_problems(loaded):
            errors.append(ConfigError(problems, where=str(config_path(path))))
        errors += TemplateCheck(loaded).faults()
        warnings = [masked(str(place)) for place in unusable_places(loaded.sources)]
        remarks = [
            *permissions.remarks(config_path(path)),
            *unfinished.remarks(loaded),
            *(remark.text for remark in remarks_on_sources(loaded)),
        ]
    except ConfigError as invalid:
        errors = [invalid]
    if as_json:
        found = [problem for error in errors for problem in _problems(error)]
        row = {"ok": not errors, "problems": found, "warnings": warnings, "remarks": remarks}
        output.print_json(row)
    else:
        for error in errors:
            complain(error)
        for warning in warnings:
            say(f"warning: {warning}", err=True)
        for remark in remarks:
            note(remark)
        if not errors:
            say("The configuration is fine." if not warnings else _USABLE)
    return 2 if errors else 0


_USABLE = "The configuration has no errors."


def _problems(error: NewsletterError) -> Sequence[str]:
    return error.problems if isinstance(error, ConfigError) else (str(error),)
