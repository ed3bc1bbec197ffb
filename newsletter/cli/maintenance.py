"""Commands that maintain the database: backup, restore, prune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newsletter.cli.base import json_option
from newsletter.cli.options import config_option
from newsletter.cli.terminal import say
from newsletter.text.counted import plural

if TYPE_CHECKING:
    from newsletter.app.maintenance import Restored


@click.command()
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@json_option
def backup(file: str, *, force: bool, as_json: bool) -> int:
    """Copy the database to a file, even while it is in use.

    FILE may be a folder. The copy contains addresses and keys: keep it private.
    """
    from newsletter.app import maintenance
    from newsletter.cli import output
    from newsletter.cli.signals import Signals, Stopped
    from newsletter.config.file import load_config

    config = load_config(config_option())
    with Signals() as signals:
        try:
            with signals.ends_at_once():
                copy, size = maintenance.backup(config, Path(file), replace=force)
        except Stopped:  # what was copied so far is removed
            return signals.exit_status
    if as_json:
        output.print_json({"file": str(copy), "bytes": size})
    else:
        say(f"Copied {size / 1e6:,.1f} MB to {copy}.")
    return 0


@click.command()
@click.argument("file")
@json_option
def restore(file: str, *, as_json: bool) -> int:
    """Replace the database with a backup; sends nothing twice."""
    from newsletter.app import maintenance
    from newsletter.app.clock import now
    from newsletter.cli import output
    from newsletter.cli.signals import Signals, Stopped
    from newsletter.config.file import load_config

    config = load_config(config_option())
    with Signals() as signals:
        try:
            with signals.ends_at_once():
                done = maintenance.restore(config, Path(file), now())
        except Stopped:  # the database is the old one, or the restored one
            return signals.exit_status
    if as_json:
        output.print_json(_restored_row(done))
    else:
        _say_what_was_restored(file, done)
    return 0


def _say_what_was_restored(file: str, done: Restored) -> None:
    say(f"Restored {file}.")
    if done.kept:
        say(f"The database that was there is {done.kept.name}.")
    if done.merged:
        say("What was sent since the backup, and what subscribers did, is taken over from it.")
        _say_who_is_back(done.back, done.away)
    else:
        _say_what_is_unknown(done.unknown)


@click.command()
@click.option(
    "--nothing-sent",
    is_flag=True,
    help="Nothing was sent since the copy was made: accept it unchanged.",
)
@json_option
def restored(*, nothing_sent: bool, as_json: bool) -> None:
    """Accept an older database put in place by other means."""
    from newsletter.app import maintenance
    from newsletter.app.clock import now
    from newsletter.cli import output
    from newsletter.config.file import load_config

    done = maintenance.restored(load_config(config_option()), now(), nothing_sent=nothing_sent)
    if as_json:
        output.print_json(_restored_row(done))
        return
    say("The database is accepted; sending goes on with the next `newsletter run`.")
    if done.kept:
        say(f"As it was, it is {done.kept.name}.")
    if nothing_sent:
        say(_LINKS_ENDED)
    else:
        _say_what_is_unknown(done.unknown)


_LINKS_ENDED = (
    "links to settings have ended, as some may have been ended since; the Unsubscribe page of any "
    "mail sends a new one"
)


def _restored_row(done: Restored) -> dict[str, Any]:
    row = {"merged": done.merged, "unknown": done.unknown, "back": done.back, "away": done.away}
    return {"kept": str(done.kept) if done.kept else None, **row}


def _say_what_is_unknown(unknown: int) -> None:
    say("What was sent since the backup is not known, so nothing of it is sent again:")
    say(f"- {plural(unknown, 'mail')} unknown; `newsletter deliveries` shows them")
    say("- the first capture of every source is held; `newsletter snapshots release` decides")
    say(f"- {_LINKS_ENDED}")


def _say_who_is_back(back: int, away: int) -> None:
    if back:
        who = plural(back, "subscriber who was", "subscribers who were")
        say(f"- {who} removed since the backup: restored")
    if away:
        who = plural(away, "subscriber who was", "subscribers who were")
        say(
            f"- {who} removed since the backup: not restored; they had unsubscribed, were "
            "forgotten or had changed their address"
        )


@click.command()
@click.option(
    "--older-than", default="90d", show_default=True, metavar="AGE", help="Such as 90d or 12w."
)
@json_option
def prune(older_than: str, *, as_json: bool) -> None:
    """Delete old captures and records of sent mails.

    No paper becomes new again by that.
    """
    from newsletter.app import maintenance
    from newsletter.app.clock import now
    from newsletter.cli.output import print_json
    from newsletter.config import values
    from newsletter.config.file import load_config
    from newsletter.errors import UsageError

    try:
        length = values.duration(older_than)
    except ValueError as fault:
        raise UsageError(str(fault), where="--older-than") from fault
    done = maintenance.prune(load_config(config_option()), length, now())
    if as_json:
        print_json({"captures": done.captures, "mails": done.mails})
        return
    say(f"Deleted {plural(done.captures, 'capture')} and {plural(done.mails, 'mail')}.")


COMMANDS = (backup, restore, restored, prune)
