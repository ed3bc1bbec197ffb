"""`editions`: lists frozen editions, and reviews held ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from newsletter.cli.base import json_option, listed, with_app
from newsletter.cli.terminal import say
from newsletter.text.counted import plural

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.planning.edition_review import EditionProgress
    from newsletter.storage.editions import EditionRow


@click.group()
def editions() -> None:
    """List editions, and release or reject held ones."""


@editions.command("list")
@click.option(
    "--state",
    type=click.Choice(["frozen", "held", "rejected"]),
    help="Only these; frozen ones are sent, or may be.",
)
@json_option
@with_app
def editions_list(app: App, state: str | None, *, as_json: bool) -> None:
    """List the editions, oldest first, with what became of them."""
    from newsletter.cli import mail_output, output
    from newsletter.models import EditionState

    def show(one: EditionProgress) -> None:
        if as_json:
            output.print_json(mail_output.progress_row(one))
        else:
            say(mail_output.progress_line(one))

    found = app.edition_review.progress(EditionState(state) if state else None)
    listed(found, show, as_json=as_json)


@editions.command("release")
@click.argument("edition", type=click.IntRange(1, 2**63 - 1))
@json_option
@with_app
def editions_release(app: App, edition: int, *, as_json: bool) -> None:
    """Release a held edition; the next run sends it."""
    _decided(app.edition_review.release(edition, app.clock()), as_json=as_json)


@editions.command("reject")
@click.argument("edition", type=click.IntRange(1, 2**63 - 1))
@click.option("--pass", "pass_over", is_flag=True, help="Skip its papers permanently.")
@json_option
@with_app
def editions_reject(app: App, edition: int, *, pass_over: bool, as_json: bool) -> None:
    """Reject a held edition.

    Its papers wait for the next one, unless --pass is given.
    """
    _decided(app.edition_review.reject(edition, app.clock(), pass_over=pass_over), as_json=as_json)


def _decided(row: EditionRow, *, as_json: bool) -> None:
    from newsletter.cli import mail_output, output

    if as_json:
        output.print_json(mail_output.edition_row(row))
    else:
        state = "released" if row.state == "frozen" else row.state
        say(f"Edition {row.id} is {state} ({plural(len(row.positions), 'paper')}).")
