"""`subscribers`: adds, lists, changes and removes subscribers, and imports and exports them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from newsletter.cli.base import json_option, listed, with_app
from newsletter.cli.subscriber_import import import_subscribers
from newsletter.cli.terminal import note, say, write
from newsletter.text.counted import plural
from newsletter.text.dates import utc

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.storage.subscribers import Subscriber


def _preferences(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options for preferences, which are named like the columns of a CSV file."""
    for option in (
        click.option("--topics", hidden=True),  # kept, and without effect so far
        click.option(
            "--send-at",
            metavar="HH:MM",
            help="Local time, such as 07:30. [default: the newsletter's]",
        ),
        click.option(
            "--time-zone", metavar="ZONE", help="Such as Europe/Berlin. [default: the newsletter's]"
        ),
        click.option(
            "--cadence", metavar="CADENCE", help="daily, weekdays, weekly:mon or monthly:1."
        ),
    ):
        command = option(command)
    return command


@click.group()
def subscribers() -> None:
    """Add, change, pause, remove, import, export subscribers."""


@subscribers.command()
@click.argument("address")
@_preferences
@click.option("--unsuppress", is_flag=True, help="Lift the suppression on this address first.")
@json_option
def add(address: str, *, unsuppress: bool, as_json: bool, **preferences: str | None) -> None:
    """Add a subscriber, or make one active again.

    A new subscriber starts with the papers of the latest day; one who returns, with what they
    missed.
    """
    from newsletter.app.composition import opened
    from newsletter.cli.options import config_option
    from newsletter.config.file import load_config
    from newsletter.subscribers.lifecycle import line_of

    line = line_of(address, **preferences)
    with opened(load_config(config_option())) as app:
        row, added = app.subscribers.lifecycle.add(line, unsuppress=unsuppress)
    _note_topics(preferences)
    known = "is active already; `newsletter subscribers change` changes the schedule"
    said = "is active" if added else known
    _show(row, said, as_json=as_json)


@subscribers.command()
@click.argument("address")
@_preferences
@json_option
@with_app
def change(app: App, address: str, *, as_json: bool, **preferences: str | None) -> None:
    """Change a subscriber's schedule.

    An empty value ("") restores the newsletter's own.
    """
    from newsletter.subscribers.lifecycle import address_of, preferences_of

    if all(value is None for value in preferences.values()):
        raise click.UsageError("give at least one of --cadence, --time-zone and --send-at")
    row = app.subscribers.lifecycle.change(address_of(address), **preferences_of(**preferences))
    _note_topics(preferences)
    _show(row, "was changed", as_json=as_json)


@subscribers.command("list")
@click.option(
    "--state",
    type=click.Choice(["pending", "active", "paused", "unsubscribed", "suppressed"]),
    help="Only subscribers in this state.",
)
@json_option
@with_app
def list_subscribers(app: App, state: str | None, *, as_json: bool) -> None:
    """List the subscribers in the order they were added."""
    from newsletter.cli import mail_output, output
    from newsletter.models import SubscriberState

    def show(row: Subscriber) -> None:
        if as_json:
            output.print_json(mail_output.subscriber_row(row))
        else:
            say(mail_output.subscriber_line(row))

    found = app.subscribers.lifecycle.listed(SubscriberState(state) if state else None)
    listed(found, show, as_json=as_json)


@subscribers.command()
@click.option(
    "--state",
    type=click.Choice(["active", "paused"]),
    default="active",
    show_default=True,
    help="Which subscribers to export.",
)
@json_option
@with_app
def export(app: App, state: str, *, as_json: bool) -> None:
    """Print the active subscribers as CSV, which `import` reads.

    Cells that a spreadsheet would run as formulas are escaped.
    """
    from newsletter.cli import mail_output, output
    from newsletter.models import SubscriberState

    wanted = SubscriberState(state)
    if as_json:
        for row in app.subscribers.lifecycle.listed(wanted):
            output.print_json(mail_output.subscriber_row(row))
        return
    for line in app.subscribers.lifecycle.exported(wanted):
        write(line.rstrip("\r\n"))
    paused = app.status.read().subscribers.get(SubscriberState.PAUSED, 0)
    if paused and wanted is SubscriberState.ACTIVE:  # an import would end their pause
        who = plural(paused, "paused subscriber is", "paused subscribers are")
        note(f"{who} not in it; `--state paused` exports them")


def _simple(name: str, said: str, words: str) -> click.Command:
    """Builds a command whose only argument is an address."""

    @json_option
    @with_app
    def command(app: App, address: str, *, as_json: bool) -> None:
        from newsletter.subscribers.lifecycle import address_of

        row = getattr(app.subscribers.lifecycle, name)(address_of(address))
        _show(row, said, as_json=as_json)

    return click.command(name, help=words)(click.argument("address")(command))


@subscribers.command()
@click.argument("address")
@click.option(
    "--until",
    metavar="DATE",
    help="Resume on this day, such as 2026-12-24. [default: until `resume`]",
)
@json_option
@with_app
def pause(app: App, address: str, until: str | None, *, as_json: bool) -> None:
    """Pause a subscriber; new papers wait until they resume."""
    from newsletter.cli import mail_output, output
    from newsletter.subscribers.lifecycle import address_of

    day = _day(until) if until is not None else None
    row = app.subscribers.lifecycle.pause(address_of(address), day)
    if as_json:
        paused_until = day.isoformat() if day else None
        output.print_json({**mail_output.subscriber_row(row), "paused_until": paused_until})
    else:
        say(f"{row.address} is paused" + (f" until {day}" if day else ""))


def _day(text: str) -> date:
    from newsletter.errors import UsageError

    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        where = f"--until {text}"
        raise UsageError("write a date, such as 2026-12-24", where=where) from fault


subscribers.add_command(
    _simple("resume", "is active", "End a pause; no papers were skipped meanwhile.")
)
subscribers.add_command(
    _simple(
        "revoke",
        "can no longer use links mailed before, except to unsubscribe",
        "End a subscriber's links, except those to unsubscribe.",
    )
)
subscribers.add_command(
    _simple("unsubscribe", "is unsubscribed", "Unsubscribe an address; imports do not undo it.")
)


@subscribers.command()
@click.argument("address")
@json_option
@with_app
def remove(app: App, address: str, *, as_json: bool) -> None:
    """Delete a subscriber; the address may be added again."""
    from newsletter.cli.output import print_json
    from newsletter.subscribers.lifecycle import address_of

    app.subscribers.lifecycle.remove(address_of(address))
    erased = _erased(app)
    row = {"address": address, "removed": True, "erased": erased}
    print_json(row) if as_json else say(f"Removed {address}.")


@subscribers.command()
@click.argument("address")
@json_option
@with_app
def forget(app: App, address: str, *, as_json: bool) -> None:
    """Delete all data about a subscriber; suppress the address."""
    from newsletter.cli.output import print_json
    from newsletter.subscribers.lifecycle import address_of

    app.subscribers.lifecycle.remove(address_of(address), forget=True)
    erased = _erased(app)
    said = f"Deleted all data about {address}; a keyed hash is kept, so that it gets no mail again."
    row = {"address": address, "forgotten": True, "erased": erased}
    print_json(row) if as_json else say(said)


def _erased(app: App) -> bool:
    """Returns whether what was erased is gone from the database's files too; if not, says so."""
    erased = app.database.erasures.finish_patiently()
    if not erased:
        say(
            "note: the address is still in the database's files, because another process is using "
            "them; `newsletter serve` or the next `newsletter run` removes it, and `status` shows "
            "this until then",
            err=True,
        )
    return erased


def _show(row: Subscriber, said: str, *, as_json: bool) -> None:
    from newsletter.cli import mail_output, output

    if as_json:
        output.print_json(mail_output.subscriber_row(row))
    else:
        due = f"; due {utc(row.next_due_at)}" if row.next_due_at else ""
        say(f"{row.address} {said}{due}")


def _note_topics(preferences: Mapping[str, str | None]) -> None:
    from newsletter.app import unfinished

    if preferences.get("topics"):
        note(unfinished.TOPICS)


subscribers.add_command(import_subscribers)
