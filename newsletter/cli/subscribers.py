"""`subscribers`: adds, lists, changes and removes subscribers, and imports and exports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import click

from newsletter.cli.base import FAILED, json_option, with_app
from newsletter.cli.terminal import note, say, write
from newsletter.text.counted import plural

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.storage.subscribers import Subscriber


def _preferences(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options for preferences, which are named like the columns of a CSV file."""
    for option in (
        click.option("--topics", help="Separated by “;”; none for everything."),
        click.option("--send-at", metavar="HH:MM", help="Local time. [default: the newsletter's]"),
        click.option("--time-zone", metavar="ZONE", help="[default: the newsletter's]"),
        click.option("--cadence", help="daily, weekdays, weekly:mon or monthly:1."),
    ):
        command = option(command)
    return command


@click.group()
def subscribers() -> None:
    """Add people, change what they get, and let them go."""


@subscribers.command()
@click.argument("address")
@_preferences
@click.option("--unsuppress", is_flag=True, help="Also if it must not be written to so far.")
@json_option
def add(address: str, *, unsuppress: bool, as_json: bool, **preferences: str | None) -> None:
    """Make a subscriber active: from the latest day's papers on, or from where they were."""
    from newsletter.app.composition import opened
    from newsletter.cli.options import config_option
    from newsletter.config.file import load_config
    from newsletter.subscribers.lifecycle import line_of

    line = line_of(address, **preferences)
    with opened(load_config(config_option())) as app:
        row, added = app.subscribers.lifecycle.add(line, unsuppress=unsuppress)
    said = "is active" if added else "is active already; `newsletter subscribers change` changes it"
    _show(row, said, as_json=as_json)


@subscribers.command()
@click.argument("address")
@_preferences
@json_option
@with_app
def change(app: App, address: str, *, as_json: bool, **preferences: str | None) -> None:
    """Change when a subscriber gets mail, and of what; "" goes back to the newsletter's own."""
    from newsletter.subscribers.lifecycle import address_of, preferences_of

    row = app.subscribers.lifecycle.change(address_of(address), **preferences_of(**preferences))
    _show(row, "is changed", as_json=as_json)


@subscribers.command("list")
@click.option(
    "--state",
    type=click.Choice(["pending", "active", "paused", "unsubscribed", "suppressed"]),
)
@json_option
@with_app
def list_subscribers(app: App, state: str | None, *, as_json: bool) -> None:
    """All subscribers, in the order they came."""
    from newsletter.cli import mail_output, output
    from newsletter.models import SubscriberState

    for row in app.subscribers.lifecycle.listed(SubscriberState(state) if state else None):
        if as_json:
            output.print_json(mail_output.subscriber_row(row))
        else:
            say(mail_output.subscriber_line(row))


@subscribers.command("import")
@click.argument("file", type=click.Path(allow_dash=True))
@json_option
def import_subscribers(file: str, *, as_json: bool) -> int:
    """Add the people of a CSV file; its first line is address,cadence,time_zone,send_at,topics."""
    from time import monotonic

    from newsletter.app.composition import opened
    from newsletter.cli import mail_output, output
    from newsletter.cli.options import config_option
    from newsletter.config.file import load_config
    from newsletter.errors import UsageError
    from newsletter.subscribers.csv_import import read
    from newsletter.subscribers.list_import import Imported

    done, began = Imported(), monotonic()
    progress = output.Progress(as_json=as_json, always=True)
    loaded = load_config(config_option())
    with _lines(file) as lines, opened(loaded) as app:
        try:
            found = read(lines)
        except ValueError as fault:
            raise UsageError(str(fault), where=file) from fault
        for name in found.ignored:
            note(f"the column “{name}” is ignored")
        for bad in app.subscribers.list_import.add(found.rows, done, progress.count):
            progress.clear()
            if as_json:
                problem = {
                    "line": bad.number,
                    "text": bad.problem.text,
                    "problem": bad.problem.what,
                }
                output.print_json(problem)
            else:
                say(f"line {bad.number}: {bad.problem.what} ({bad.problem.text})", err=True)
    progress.clear()
    row = mail_output.imported_row(done, monotonic() - began)
    output.print_json(row) if as_json else say(mail_output.imported_line(done))
    return FAILED if done.bad else 0


@subscribers.command()
@click.option(
    "--state", type=click.Choice(["active", "paused"]), default="active", show_default=True
)
@json_option
@with_app
def export(app: App, state: str, *, as_json: bool) -> None:
    """Everybody active, as CSV that `import` reads; no spreadsheet runs its cells."""
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
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Resume on this day, such as 2026-12-24. [default: until `resume`]",
)
@json_option
@with_app
def pause(app: App, address: str, until: datetime | None, *, as_json: bool) -> None:
    """Send a subscriber nothing for a while; new papers wait until they resume."""
    from newsletter.cli import mail_output, output
    from newsletter.subscribers.lifecycle import address_of

    day = until.date() if until else None
    row = app.subscribers.lifecycle.pause(address_of(address), day)
    if as_json:
        paused_until = day.isoformat() if day else None
        output.print_json({**mail_output.subscriber_row(row), "paused_until": paused_until})
    else:
        say(f"{row.address} is paused" + (f" until {day}" if day else ""))


subscribers.add_command(
    _simple("resume", "is active", "End a pause; no papers were skipped meanwhile.")
)
subscribers.add_command(
    _simple(
        "revoke",
        "can use no link mailed before, except to unsubscribe",
        "End the links to their settings and those that wait to be confirmed, but none to "
        "unsubscribe.",
    )
)
subscribers.add_command(
    _simple("unsubscribe", "is unsubscribed", "Somebody leaves; an import brings them not back.")
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
    print_json({"address": address, "removed": True}) if as_json else say(f"Removed {address}.")


@subscribers.command()
@click.argument("address")
@json_option
@with_app
def forget(app: App, address: str, *, as_json: bool) -> None:
    """Delete a subscriber with all that was said of them, and never write to the address again."""
    from newsletter.cli.output import print_json
    from newsletter.subscribers.lifecycle import address_of

    app.subscribers.lifecycle.remove(address_of(address), forget=True)
    said = f"Forgot {address}; only a keyed hash is kept, so that it is never written to again."
    print_json({"address": address, "forgotten": True}) if as_json else say(said)


def _show(row: Subscriber, said: str, *, as_json: bool) -> None:
    from newsletter.cli import mail_output, output

    if as_json:
        output.print_json(mail_output.subscriber_row(row))
    else:
        due = f"; due {row.next_due_at:%Y-%m-%d %H:%M} UTC" if row.next_due_at else ""
        say(f"{row.address} {said}{due}")


@contextmanager
def _lines(file: str) -> Iterator[IO[str]]:
    """Opens a file as text. Invalid bytes become U+FFFD, which no address contains."""
    from newsletter.errors import SourceMissing

    try:
        # The parser needs the original line ends.
        with click.open_file(file, encoding="utf-8", errors="replace") as opened:
            yield opened
    except OSError as exc:
        raise SourceMissing(f"cannot be read ({exc.strerror})", where=file) from exc
