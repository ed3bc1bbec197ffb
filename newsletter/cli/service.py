"""The command that runs for years."""

from __future__ import annotations

import click

from newsletter.cli.base import config_option


@click.command()
@click.option(
    "--log",
    "form",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="How it logs; auto is JSON unless on a terminal.",
)
def serve(form: str) -> int:
    """Capture, plan and send, each when it is time, until told to end. Ends with status 0."""
    from newsletter.cli.signals import Signals
    from newsletter.configfile import load_config
    from newsletter.service import logs, run

    loaded = load_config(config_option())
    logs.configure(form)  # type: ignore[arg-type]
    with Signals() as signals:
        run.serve(loaded, signals.stop)
    return 0
