"""The command line: parses arguments and prints results.

The work is done by `app`, which commands import only when they run.

Exit status: 0 done, 2 usage or configuration, 3 something held, refused or failed.
With `--json`, standard output has one object per line; everything else goes to standard error.
"""

from __future__ import annotations

import sys

import click

from newsletter import __version__
from newsletter.cli import (
    captures,
    config_check,
    deliveries,
    dkim,
    doctor,
    editions,
    init,
    install_service,
    maintenance,
    preview,
    sending,
    service,
    sources,
    status,
    subscribers,
    suppressions,
    trace,
    usage,
)
from newsletter.cli.base import complain
from newsletter.cli.options import takes_global_options
from newsletter.cli.terminal import prepare, show_help
from newsletter.errors import NewsletterError


def main() -> None:
    """Runs the command line and exits with its status."""
    prepare()
    try:
        status = cli.main(prog_name="newsletter", standalone_mode=False)
    except click.exceptions.Exit as exc:
        status = exc.exit_code
    except click.Abort:
        status = 130
    except click.exceptions.NoArgsIsHelpError as exc:
        show_help(exc)
        status = exc.exit_code
    except click.ClickException as exc:
        complain(usage.in_words(exc))
        status = 2
    except NewsletterError as exc:
        complain(exc)
        status = exc.exit_status
    sys.exit(status if isinstance(status, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="newsletter %(version)s")
def cli() -> None:
    """New research papers by email: each one once, to each subscriber."""


for command in (
    captures.demo,
    init.init,
    config_check.config,
    sources.sources,
    captures.ingest,
    captures.replay,
    captures.list_formats,
    captures.inspect,
    captures.snapshots,
    subscribers.subscribers,
    suppressions.suppressions,
    preview.preview,
    status.status,
    *sending.COMMANDS,
    deliveries.deliveries,
    editions.editions,
    trace.why,
    service.serve,
    service.web,
    install_service.install_service,
    *maintenance.COMMANDS,
    doctor.doctor,
    dkim.dkim,
):
    cli.add_command(command)
takes_global_options(cli)
