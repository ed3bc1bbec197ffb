"""What commands share: options, access to the use cases, reports and the exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from newsletter.cli.options import config_option, is_verbose
from newsletter.cli.terminal import say
from newsletter.errors import ConfigError, DatabaseMissing, NewsletterError
from newsletter.text.counted import plural

if TYPE_CHECKING:
    from newsletter.app.status import Status
    from newsletter.config.schema import Config
    from newsletter.editions.preview import Written
    from newsletter.papers.report import CaptureReport

P = ParamSpec("P")
T = TypeVar("T")

FAILED = 3
"""Exit status when something was held, refused or failed."""


def complain(error: NewsletterError) -> None:
    """Prints an error to standard error; several configuration problems one per line."""
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        where = error.where or "the configuration"
        say(f"{where}: {plural(len(error.problems), 'problem')}", err=True)
        for problem in error.problems:
            say(f"  {problem}", err=True)
    else:
        say(f"error: {error}", err=True)
        show_excerpt(error.excerpt)


def show_excerpt(lines: Iterable[str]) -> None:
    """Prints the lines that belong to an error, indented, to standard error."""
    for line in lines:
        say(f"    {line}", err=True)


def listed(rows: Iterable[T], show: Callable[[T], None], *, as_json: bool) -> None:
    """Prints every row; without any, says so to people."""
    found = False
    for row in rows:
        found = True
        show(row)
    if not found and not as_json:
        say("Nothing to list.")


def secure_files(config: Config) -> None:
    """Makes the files with secrets private."""
    from newsletter.config.file import config_path
    from newsletter.config.permissions import tighten

    tighten(config_path(config_option()), config)


def json_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Adds `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")(
        command
    )


def format_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Adds `--format`."""
    text = "Read as this format instead of detecting it (see `newsletter formats`)."
    return click.option("--format", metavar="NAME", help=text)(command)


def with_app(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Passes the use cases to a command. The configuration and the database must exist."""

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> int | None:
        from newsletter.app.composition import opened
        from newsletter.config.file import load_config

        with opened(load_config(config_option()), create=False) as app:
            return command(app, *args, **options)

    return wrapped


def read_status(config: Config) -> Status:
    """Returns the state of the installation; before the first ingest, an empty one."""
    from newsletter.app.composition import opened
    from newsletter.app.status import nothing_yet

    try:
        with opened(config, create=False) as app:
            return app.status.read()
    except DatabaseMissing as missing:
        return nothing_yet(config, missing.where)


def reported(
    reports: Iterable[CaptureReport],
    *,
    as_json: bool,
    decide: bool = False,
    written: Callable[[CaptureReport], Written | None] = lambda _: None,
) -> int:
    """Prints a line for each report as it arrives. Returns the exit status.

    Args:
        reports: the reports.
        as_json: whether to print JSON.
        decide: whether held snapshots are kept, so that the operator is told how to review them.
        written: writes the edition of a report to files, if there is one.
    """
    from dataclasses import replace

    from newsletter.cli import output

    failed, waiting, progress = 0, 0, output.Progress(as_json=as_json)
    for report in reports:
        files = None
        excerpt: Sequence[str] = ()
        try:
            files = written(report)
        except NewsletterError as error:
            report = replace(report, held=str(error))
            excerpt = error.excerpt
        if is_verbose():
            _log(report)
        failed += report.held is not None
        waiting += bool(decide and report.held and report.snapshot and not report.postponed)
        progress.clear()
        if as_json:
            output.print_json(output.report_row(report))
        else:
            made = (files.edition.parts[0].subject, files.files[0]) if files else ()
            output.print_report(report, *made)
            show_excerpt(excerpt)
        progress.show(report.origin)
    progress.clear()
    if waiting and not as_json:
        say(f"{waiting} held: `newsletter snapshots release N` or `reject N` decides", err=True)
    return FAILED if failed else 0


def _log(report: CaptureReport) -> None:
    from newsletter.service.capture_log import log_report

    log_report(report)
