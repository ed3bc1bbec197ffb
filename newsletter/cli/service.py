"""The long-running commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from newsletter.cli.base import secure_files
from newsletter.cli.options import config_option, is_quiet, is_verbose

if TYPE_CHECKING:
    from newsletter.service.logs import Form

log_option = click.option(
    "--log",
    "form",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="Format of the log; auto is console on a terminal, else json.",
)


@click.command()
@log_option
def serve(form: Form) -> int:
    """Run as a service: ingest, send and serve the web pages.

    Runs until it is stopped by a signal; then it ends with status 0.
    """
    from newsletter.cli.signals import Signals
    from newsletter.config.file import load_config
    from newsletter.service import logs, run

    loaded = load_config(config_option())
    secure_files(loaded)
    logs.configure(form, verbose=is_verbose(), quiet=is_quiet())
    with Signals() as signals:
        run.serve(loaded, signals.stop)
    return 0


@click.command()
@log_option
def web(form: Form) -> int:
    """Serve only the web pages, with the mails they cause.

    Runs until it is stopped by a signal; then it ends with status 0.
    """
    from newsletter.cli.signals import Signals
    from newsletter.config.file import load_config
    from newsletter.service import logs, web_only

    loaded = load_config(config_option())
    secure_files(loaded)
    logs.configure(form, verbose=is_verbose(), quiet=is_quiet())
    with Signals() as signals:
        web_only.serve_pages(loaded, signals.stop)
    return 0
