"""`newsletter status`: shows the state of the installation, and why nothing is sent."""

from __future__ import annotations

import click

from newsletter.cli.base import json_option, read_status
from newsletter.cli.options import config_option
from newsletter.cli.terminal import say


@click.command()
@json_option
def status(*, as_json: bool) -> int:
    """Show the sources, the mails, and why nothing is sent."""
    from newsletter.cli import output
    from newsletter.config.file import load_config

    found = read_status(load_config(config_option()))
    for row in output.status_rows(found) if as_json else ():
        output.print_json(row)
    for line in output.status_lines(found) if not as_json else ():
        say(line)
    return 0
