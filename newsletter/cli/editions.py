"""`editions`: lists frozen editions, and reviews held ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from newsletter.cli.base import json_option, with_app
from newsletter.cli.terminal import say

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.storage.editions import EditionRow


@click.group()
def editions() -> None:
    """Look at what was frozen, and decide about what is held."""


@editions.command("list")
@click.option("--state", type=click.Choice(["frozen", "held", "rejected"]))
@json_option
@with_app
def editions_list(app: App, state: str | None, *, as_json: bool) -> None:
    """All editions, oldest first."""
    from newsletter.cli import mail_output, output
    from newsletter.models import EditionState

    for row in app.edition_review.listed(EditionState(state) if state else None):
        if as_json:
            output.print_json(mail_output.edition_row(row))
        else:
            about = row.reason if row.state == "held" else row.subject
            papers = output.plural(len(row.positions), "paper")
            at = f"{row.frozen_at:%Y-%m-%d %H:%M} UTC"
            say(f"{row.id:>5}  {row.state:<8}  {at}  {papers}: {about}")


@editions.command("release")
@click.argument("edition", type=click.IntRange(1, 2**63 - 1))
@json_option
@with_app
def editions_release(app: App, edition: int, *, as_json: bool) -> None:
    """Let a held edition go as it is; who is due gets it with the next run."""
    _decided(app.edition_review.release(edition, app.clock()), as_json=as_json)


@editions.command("reject")
@click.argument("edition", type=click.IntRange(1, 2**63 - 1))
@click.option("--pass", "pass_over", is_flag=True, help="Nobody gets its papers any more.")
@json_option
@with_app
def editions_reject(app: App, edition: int, *, pass_over: bool, as_json: bool) -> None:
    """Drop a held edition; its papers wait for the next due time, unless they are passed."""
    _decided(app.edition_review.reject(edition, app.clock(), pass_over=pass_over), as_json=as_json)


def _decided(row: EditionRow, *, as_json: bool) -> None:
    from newsletter.cli import mail_output, output

    if as_json:
        output.print_json(mail_output.edition_row(row))
    else:
        say(f"Edition {row.id} is {row.state} ({output.plural(len(row.positions), 'paper')}).")
