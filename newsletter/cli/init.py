"""`init`: writes a configuration, or changes one, and adds the first subscriber."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from newsletter.cli.options import config_option, use_config
from newsletter.cli.terminal import note, say
from newsletter.errors import ConfigError, SourceKnown, UsageError

if TYPE_CHECKING:
    from newsletter.app.initial_setup import Answers, Owner, Setup
    from newsletter.app.source_setup import NewSource
    from newsletter.config.schema import Config

_SETTINGS = {
    "name": "newsletter.name",
    "owner": "newsletter.owner",
    "sender": "newsletter.sender",
    "time_zone": "newsletter.time_zone",
    "send_at": "newsletter.send_at",
    "transport": "delivery.transport",
    "smtp_host": "transports.smtp.host",
    "smtp_port": "transports.smtp.port",
    "smtp_security": "transports.smtp.security",
    "smtp_username": "transports.smtp.username",
    "smtp_password_file": "transports.smtp.password_file",
    "smtp_token_command": "transports.smtp.token_command",
}
"""The settings that options give."""


@click.command()
@click.argument("path", required=False)
@click.option("--yes", is_flag=True, help="Ask nothing: use the options, and defaults otherwise.")
@click.option("--name", metavar="NAME", help="What the newsletter is called.")
@click.option("--owner", metavar="ADDRESS", help="Your address: first subscriber; gets reports.")
@click.option("--sender", metavar="MAILBOX", help="Who mail is from. [default: NAME <ADDRESS>]")
@click.option("--time-zone", metavar="ZONE", help="Such as Europe/Berlin. [default: as here]")
@click.option("--send-at", metavar="HH:MM", help="When editions are sent.")
@click.option(
    "--source",
    "places",
    metavar="SOURCE",
    multiple=True,
    help='A URL, a folder, or a preset such as "arxiv cs.CL": see `newsletter sources add`.',
)
@click.option("--transport", type=click.Choice(["eml", "maildir", "smtp"]), help="How mail leaves.")
@click.option("--smtp-host", metavar="HOST", help="Mail server; implies --transport smtp.")
@click.option("--smtp-port", type=click.IntRange(1, 65535), metavar="PORT", help="Its port.")
@click.option("--smtp-security", type=click.Choice(["tls", "starttls", "none"]), help="Encryption.")
@click.option("--smtp-username", metavar="USER", help="User name of the login.")
@click.option("--smtp-password-file", metavar="FILE", help="File with the password.")
@click.option("--smtp-token-command", metavar="COMMAND", help="Prints a token for XOAUTH2.")
def init(
    path: str | None, places: tuple[str, ...], *, yes: bool, **options: str | int | None
) -> int:
    """Write the configuration, and send the first papers.

    On a terminal it asks what no option gives, reads the source and logs in to the mail server
    before it writes, adds you as a subscriber, and offers to send the latest papers at once. With
    --yes, or without a terminal, it asks nothing and contacts no server. An existing configuration
    is changed only in what you answer.

    PATH is by default the file that --config or $NEWSLETTER_CONFIG names, else config.toml.
    """
    from newsletter.app import initial_setup

    if path:
        use_config(path)
    setup = initial_setup.begun(config_option())
    given: dict[str, str | int] = {
        _SETTINGS[name]: value.strip() if isinstance(value, str) else value
        for name, value in options.items()
        if value is not None
    }
    if password_file := given.get("transports.smtp.password_file"):
        given["transports.smtp.password_file"] = setup.relative(str(password_file))
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        return _talked(setup, given, places)
    if not setup.is_new and not given and not places:
        raise UsageError(
            "this file exists already",
            where=path or config_option() or setup.file.name,
            hint="`newsletter init` on a terminal changes it, and so do options; another PATH "
            "makes a new one",
        )
    _follow_options(setup, given, places)
    return 0


def _follow_options(setup: Setup, given: dict[str, str | int], places: Sequence[str]) -> None:
    """Writes what the options say, without any question."""
    from newsletter.app import initial_setup, setup_answers
    from newsletter.app.factories import sending_problems

    answers = initial_setup.Answers(given, _sources(setup, places))
    answers = setup_answers.completed(setup, answers)
    missing = sending_problems(setup.made(answers).config)
    if missing and setup.is_new:
        raise ConfigError(missing, hint="nothing was written: give the options for it")
    _, owner = _written(setup, answers)
    for problem in missing:
        note(problem)
    if owner:
        say("`newsletter run --due-now` sends the latest papers; `newsletter doctor` checks more.")
    else:
        say("Look at it, then run `newsletter ingest` and `newsletter preview`.")


def _sources(setup: Setup, places: Sequence[str]) -> list[NewSource]:
    """Returns the sources that `--source` names, without those that are configured already."""
    from newsletter.sources import presets

    found: list[NewSource] = []
    for place in places:
        first, *rest = place.split() or [""]
        words = (first, rest) if first in presets.NAMES else (place, [])
        with suppress(SourceKnown):
            found.append(setup.source(*words, beside=found))
    return found


def _talked(setup: Setup, given: dict[str, str | int], places: Sequence[str]) -> int:
    """Asks, writes, and offers to send the latest papers. Returns the exit status."""
    from newsletter.cli import init_questions
    from newsletter.cli.signals import Signals, Stopped

    sources = _sources(setup, places)
    with Signals() as signals:
        try:
            with signals.ends_at_once():
                answers = init_questions.answers(setup, given, sources)
        except (click.Abort, Stopped):
            answers = None
            say()
    if answers is None:
        say("Nothing was written. `newsletter init` starts again.", err=True)
        return signals.exit_status if signals.number else 130
    config, owner = _written(setup, answers)
    if owner:
        return _sent_at_once(config, owner)
    say("Next: `newsletter ingest`, then `newsletter preview --open`.")
    return 0


def _written(setup: Setup, answers: Answers) -> tuple[Config, Owner | None]:
    """Writes everything, and says what was written; a signal waits until that is done."""
    from newsletter.app import initial_setup
    from newsletter.cli.init_questions import shown
    from newsletter.cli.signals import Signals
    from newsletter.config.parse import ENVIRONMENT

    new = setup.made(answers)
    for name in answers.settings:
        variable = f"{ENVIRONMENT}{name.replace('.', '__').upper()}"
        if variable in os.environ:
            note(f"the variable {variable} overrides {name}")
    is_owner_new = setup.is_new or "newsletter.owner" in answers.settings
    with Signals():
        written = " and ".join(map(shown, setup.write(new)))
        say(f"Wrote {written}." if written else f"{shown(setup.file)} was not changed.")
        owner = initial_setup.subscribe_owner(new.config, add=is_owner_new)
    if owner:
        known = "is a subscriber already" if owner.state == "active" else f"is {owner.state}"
        say(f"{owner.address} {'was added as a subscriber' if owner.is_new else known}.")
    return new.config, owner


def _sent_at_once(config: Config, owner: Owner) -> int:
    """Offers to send the latest papers, if the owner is the only subscriber."""
    from newsletter.cli import init_questions
    from newsletter.cli.sending import run

    status = 0
    if owner.is_alone and owner.state == "active" and init_questions.wants_papers(config, owner):
        status = click.get_current_context().invoke(run, due_now=True, dry_run=False, as_json=False)
        if not status:
            say(init_questions.where_it_went(config, owner))
    say()
    at = f"{config.newsletter.send_at:%H:%M}"
    say(f"Next: `newsletter install-service --write` sets up sending every day at {at}.")
    return status
