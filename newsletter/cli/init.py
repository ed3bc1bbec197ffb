"""`init`: writes a configuration, or changes one, and adds the first subscriber."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from newsletter.cli.options import config_option, use_config
from newsletter.cli.terminal import say
from newsletter.errors import UsageError

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
    "sources",
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
def init(path: str | None, sources: tuple[str, ...], *, yes: bool, **options: str | None) -> int:
    """Write the configuration, and send the first papers.

    On a terminal it asks what no option gives, reads the source and logs in to the mail server
    before it writes, adds you as a subscriber, and offers to send the latest papers at once. With
    --yes, or without a terminal, it asks nothing and contacts no server. An existing configuration
    is changed only in what you answer.

    PATH is by default the file that --config or $NEWSLETTER_CONFIG names, else config.toml.
    """
    from newsletter.app import initial_setup, setup_answers

    setup = initial_setup.begun(path or config_option())
    use_config(str(setup.file))
    given: dict[str, str | int] = {
        _SETTINGS[name]: value for name, value in options.items() if value is not None
    }
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        return _talked(setup, given, sources)
    if not setup.is_new and not given and not sources:
        raise UsageError(
            "this file exists already",
            where=setup.shown(setup.file),
            hint="options change it, and on a terminal so does `newsletter init`; or give another "
            "name",
        )
    chosen = [one for place in sources for one in source(setup, place)]
    answers = setup_answers.completed(setup, initial_setup.Answers(given, chosen))
    _, owner = _written(setup, answers)
    if not owner:
        say("Look at it, then run `newsletter ingest` and `newsletter preview`.")
    else:
        say("`newsletter run --due-now` sends the latest papers; `newsletter doctor` checks more.")
    return 0


def source(setup: Setup, place: str) -> list[NewSource]:
    """Returns the source that one text stands for; nothing if it is configured already.

    Args:
        setup: the configuration.
        place: a URL, a path, or a preset and its arguments.

    Raises:
        UsageError: there is no such place.
    """
    try:
        first, *arguments = [place] if setup.is_path(place) else shlex.split(place)
    except ValueError as exc:
        raise UsageError(
            f"“{place}” is not a source", hint="name a URL, a folder or a preset"
        ) from exc
    return setup.source(first, arguments)


def _talked(setup: Setup, given: dict[str, str | int], places: tuple[str, ...]) -> int:
    """Asks, writes, and offers to send the latest papers. Returns the exit status."""
    from newsletter.cli import init_questions

    sources = [one for place in places for one in source(setup, place)]
    try:
        answers = init_questions.answers(setup, given, sources, skip_sources=bool(places))
    except (click.Abort, KeyboardInterrupt, EOFError):
        say()
        say("Nothing was written.", err=True)
        raise click.Abort from None
    if answers is None:
        say("Nothing was written.")
        return 0
    config, owner = _written(setup, answers)
    if owner:
        return _sent_at_once(config, owner)
    say("Next: `newsletter ingest`, then `newsletter preview --open`.")
    return 0


def _written(setup: Setup, answers: Answers) -> tuple[Config, Owner | None]:
    """Writes everything, and says what was written; a signal waits until that is done."""
    from newsletter.app import initial_setup
    from newsletter.cli.signals import Signals

    config = setup.config(answers)
    with Signals():
        files = setup.write(answers)
        written = " and ".join(setup.shown(file) for file in files)
        say(f"Wrote {written}." if files else f"{setup.shown(setup.file)} is as it was.")
        owner = initial_setup.subscribe_owner(config)
    if owner:
        known = "is a subscriber already" if owner.state == "active" else f"is {owner.state}"
        say(f"{owner.address} {'was added as a subscriber' if owner.is_new else known}.")
    return config, owner


def _sent_at_once(config: Config, owner: Owner) -> int:
    """Offers to send the latest papers, if nobody but the owner would get them."""
    from newsletter.cli import init_questions
    from newsletter.cli.sending import run

    status = 0
    if owner.is_alone and owner.state == "active" and init_questions.wants_papers(config, owner):
        status = click.get_current_context().invoke(run, due_now=True, dry_run=False, as_json=False)
        if not status:
            say(init_questions.where_it_went(config, owner))
    say()
    at = f"{config.newsletter.send_at:%H:%M}"
    say(f"Next: `newsletter install-service` shows how to send new papers every day at {at}.")
    return status
