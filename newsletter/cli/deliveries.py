"""`deliveries`: lists deliveries, retries them, and settles those whose outcome is unknown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import json_option, listed, with_app
from newsletter.cli.terminal import say

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.storage.deliveries import DeliveryRow, Filter

STATES = ["queued", "sending", "sent", "deferred", "refused", "expired", "cancelled", "unknown"]


_state_option = click.option(
    "--state",
    type=click.Choice(STATES),
    metavar="STATE",
    help=f"Only mails in this state: {', '.join(STATES[:-1])} or {STATES[-1]}.",
)
_address_option = click.option("--address", metavar="ADDRESS", help="Only mails to this address.")
_edition_option = click.option(
    "--edition", metavar="KEY", help="Only mails of this edition: its number or key."
)


@click.group(invoke_without_command=True)
@_state_option
@_address_option
@_edition_option
@json_option
@click.pass_context
def deliveries(
    context: click.Context,
    state: str | None,
    address: str | None,
    edition: str | None,
    *,
    as_json: bool,
) -> None:
    """List mails and what became of them; retry or settle some."""
    if context.invoked_subcommand is None:
        _list(state, address, edition, as_json=as_json)
    elif as_json or (state, address, edition) != (None, None, None):
        # If these were ignored, the command would change more than was asked for.
        raise click.UsageError(f"write options after {context.invoked_subcommand}")


@deliveries.command("list")
@_state_option
@_address_option
@_edition_option
@json_option
def deliveries_list(
    state: str | None, address: str | None, edition: str | None, *, as_json: bool
) -> None:
    """List the mails in the order they were planned."""
    _list(state, address, edition, as_json=as_json)


@with_app
def _list(
    app: App, state: str | None, address: str | None, edition: str | None, *, as_json: bool
) -> None:
    from newsletter.cli import mail_output, output

    def show(row: DeliveryRow) -> None:
        if as_json:
            output.print_json(mail_output.delivery_row(row, app.records.message_id(row)))
        else:
            say(mail_output.delivery_line(row))

    listed(app.records.listed(_filter(state, address, edition)), show, as_json=as_json)


@deliveries.command()
@_state_option
@_address_option
@_edition_option
@json_option
@with_app
def retry(
    app: App, state: str | None, address: str | None, edition: str | None, *, as_json: bool
) -> None:
    """Queue mails that were not sent for another attempt.

    These are refused, expired, cancelled and deferred ones. Unknown ones may have arrived: they
    are sent again only with --state unknown or --address.
    """
    from newsletter.cli.output import print_json

    many = app.records.retry(_some(_filter(state, address, edition)))
    if as_json:
        print_json({"queued": many})
    elif many:
        say(f"{many:,} queued; `newsletter run` sends them.")
    else:
        say("No matching mail can be sent again; `newsletter deliveries` lists all mails.")


@deliveries.command()
@click.option(
    "--as",
    "as_what",
    type=click.Choice(["sent", "lost"]),
    help="What became of unknown mails.",
)
@click.option(
    "--state",
    type=click.Choice(["unknown", "refused", "expired"]),
    metavar="STATE",
    help="Only mails in this state: unknown, refused or expired.",
)
@_address_option
@_edition_option
@json_option
@with_app
def settle(
    app: App,
    as_what: str | None,
    state: str | None,
    address: str | None,
    edition: str | None,
    *,
    as_json: bool,
) -> None:
    """Record what became of mails that did not end as sent.

    With --as: what became of unknown ones. Without: accept that refused and expired ones were
    not delivered; `newsletter status` no longer mentions them.
    """
    from newsletter.cli.output import print_json

    if as_what is None and state == "unknown":
        raise click.UsageError("--as says what became of them: sent or lost")
    if as_what and state in ("refused", "expired"):
        raise click.UsageError("--as is for unknown mails; the others are known not to be sent")
    wanted = _some(_filter(state, address, edition))
    if as_what:
        many = app.records.settle(wanted, sent=as_what == "sent")
    else:
        many = app.records.acknowledge(wanted)
    print_json({"settled": many}) if as_json else say(f"{many:,} settled.")


def _filter(state: str | None, address: str | None, edition: str | None) -> Filter:
    from newsletter.models import DeliveryState
    from newsletter.storage.deliveries import Filter
    from newsletter.subscribers.lifecycle import address_of

    if edition is not None and not re.fullmatch(r"[0-9]{1,18}|[0-9a-f]{8,32}|[a-z-]+", edition):
        raise click.UsageError(
            "--edition is a number, or 8 or more characters of the edition's key"
        )
    return Filter(
        DeliveryState(state) if state else None,
        address_of(address).normal if address is not None else None,
        edition,
    )


def _some(wanted: Filter) -> Filter:
    if wanted.state is None and wanted.address is None and wanted.edition is None:
        raise click.UsageError("give at least one of --state, --address and --edition")
    return wanted
