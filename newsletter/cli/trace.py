"""`why`: the trace of one subscriber or one paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from newsletter.cli.base import json_option, with_app
from newsletter.cli.terminal import say

if TYPE_CHECKING:
    from newsletter.app.composition import App


@click.command()
@click.argument("whom_or_what", metavar="ADDRESS|PAPER")
@json_option
@with_app
def why(app: App, whom_or_what: str, *, as_json: bool) -> None:
    """Explain what happened to a subscriber or a paper.

    Give an address, or the id, URL or title of a paper.
    """
    from newsletter.cli import output
    from newsletter.text.dates import iso, utc

    for fact in app.trace.of(whom_or_what):
        if as_json:
            output.print_json({"at": iso(fact.at), "what": fact.what, **fact.details})
        else:
            when = utc(fact.at) if fact.at else " " * 20
            for line in fact.words.splitlines():
                say(f"{when}  {line}")
