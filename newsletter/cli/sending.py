"""Commands that send, stop and start sending, and settle what is left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import FAILED, config_option, json_option, reported, with_app
from newsletter.cli.terminal import say
from newsletter.errors import (
    ClockBehind,
    ConfigError,
    NewsletterError,
    RenderError,
    SendingPaused,
    StorageError,
)

if TYPE_CHECKING:
    from newsletter.app import App
    from newsletter.cli.signals import Signals
    from newsletter.delivery.sending import Ran
    from newsletter.storage.deliveries import Filter
    from newsletter.storage.editions import EditionRow

STATES = ["queued", "sending", "sent", "deferred", "refused", "expired", "cancelled", "unknown"]


@click.command()
@click.option("--due-now", is_flag=True, help="As if everybody were due; due times stay.")
@json_option
def run(*, due_now: bool, as_json: bool) -> int:
    """Do the whole job once: take in what is new, plan for who is due, send. Safe from cron."""
    from newsletter.app import opened
    from newsletter.app.parts import sending_problems
    from newsletter.cli.signals import Signals, Stopped
    from newsletter.config.file import load_config

    loaded = load_config(config_option())
    if problems := sending_problems(loaded):
        with suppress(StorageError), opened(loaded, create=False) as app:
            app.sending.note_stopped("; ".join(problems))
        raise ConfigError(problems, hint="`newsletter config check` lists them")
    status = 0
    with Signals() as signals, opened(loaded) as app:
        try:
            with signals.ends_at_once():
                found = (
                    app.sources.ingest_configured() if loaded.sources else app.ingest.leftovers()
                )
                status = reported(found, as_json=as_json, decide=True)
            ran = _ran(app, signals, due_now=due_now)
        except Stopped:
            ran = _nothing()
        status = max(status, _summarised(app, ran, as_json=as_json))
        return signals.exit_status if signals.number else status


def _ran(app: App, signals: Signals, *, due_now: bool) -> Ran:
    """What was planned and sent; why it was not is part of it."""
    from newsletter.cli import mail_output
    from newsletter.planning import Planned

    progress = mail_output.SendingProgress()
    try:
        fault = ""
        with signals.ends_at_once():
            try:
                app.sending.refuse(app.clock())
                planned = app.planner.plan(due_now=due_now)
            except RenderError as error:  # what is frozen already can go all the same
                planned, fault = Planned(), str(error)
        return app.sending.send(planned, signals.stop, progress.show, fault)
    except SendingPaused:
        return _nothing()
    except ClockBehind as error:
        return _nothing(str(error))
    except NewsletterError as error:
        app.sending.note_stopped(str(error))
        if isinstance(error, ConfigError):
            raise
        return _nothing(str(error))
    finally:
        progress.clear()


def _nothing(stopped: str = "") -> Ran:
    from newsletter.delivery.sending import Ran

    return Ran(stopped=stopped)


def _summarised(app: App, ran: Ran, *, as_json: bool) -> int:
    from newsletter.cli import mail_output, output

    quiet = not (ran.tally.done or ran.planned.people or ran.stopped)
    silence = app.status.read().silence if quiet else None
    if as_json:
        output.print_json(mail_output.ran_row(ran, silence))
    else:
        for line in mail_output.ran_lines(ran, silence):
            say(line)
        if ran.stopped:
            say(f"error: {ran.stopped}", err=True)
    return FAILED if mail_output.wants_attention(ran) else 0


@click.command("send-test")
@click.argument("address")
@json_option
@with_app
def send_test(app: App, address: str, *, as_json: bool) -> int:
    """Send a test mail the way editions go, and say what became of it."""
    from newsletter.cli import mail_output, output
    from newsletter.cli.signals import Signals
    from newsletter.subscriptions import address_of

    with Signals() as signals:
        row = app.test_mail.send(address_of(address), signals.stop)
    if as_json:
        output.print_json(mail_output.delivery_row(row, app.records.message_id(row)))
    else:
        say(f"{row.state}: {row.reply or 'nothing was said'}")
    return 0 if row.state == "sent" else FAILED


@click.command()
@json_option
def pause(*, as_json: bool) -> None:
    """Stop all sending. Nothing is lost: `newsletter continue` goes on."""
    said = "Sending is stopped. `newsletter continue` starts it."
    _standing("pause", {"paused": True}, said, as_json=as_json)


@click.command("continue")
@json_option
def go_on(*, as_json: bool) -> None:
    """Start sending again; also says that the clock is right now."""
    said = "Sending goes on with the next `newsletter run`."
    _standing("resume", {"paused": False}, said, as_json=as_json)


def _standing(what: str, row: dict[str, bool], said: str, *, as_json: bool) -> None:
    from newsletter.app import opened
    from newsletter.cli.output import print_json
    from newsletter.config.file import load_config

    with opened(load_config(config_option())) as app:
        getattr(app.sending, what)()
    print_json(row) if as_json else say(said)


@click.group(invoke_without_command=True)
@click.option("--state", type=click.Choice(STATES))
@click.option("--address")
@click.option("--edition", metavar="KEY")
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
    """What became of every mail; try some again, or settle what is unknown."""
    if context.invoked_subcommand is None:
        _list(state, address, edition, as_json=as_json)
    elif as_json or (state, address, edition) != (None, None, None):
        # Taken for nothing, they would widen what the command changes.
        raise click.UsageError(f"write options behind {context.invoked_subcommand}")


@deliveries.command("list")
@click.option("--state", type=click.Choice(STATES))
@click.option("--address")
@click.option("--edition", metavar="KEY")
@json_option
def deliveries_list(
    state: str | None, address: str | None, edition: str | None, *, as_json: bool
) -> None:
    """The mails, in the order they were planned."""
    _list(state, address, edition, as_json=as_json)


@with_app
def _list(
    app: App, state: str | None, address: str | None, edition: str | None, *, as_json: bool
) -> None:
    from newsletter.cli import mail_output, output

    for row in app.records.listed(_filter(state, address, edition)):
        if as_json:
            output.print_json(mail_output.delivery_row(row, app.records.message_id(row)))
        else:
            say(mail_output.delivery_line(row))


@deliveries.command()
@click.option("--state", type=click.Choice(STATES))
@click.option("--address")
@click.option("--edition", metavar="KEY")
@json_option
@with_app
def retry(
    app: App, state: str | None, address: str | None, edition: str | None, *, as_json: bool
) -> None:
    """Queue mails once more that were refused, given up, cancelled, put off or are unknown."""
    from newsletter.cli.output import print_json

    many = app.records.retry(_some(_filter(state, address, edition)))
    print_json({"queued": many}) if as_json else say(
        f"{many:,} queued; `newsletter run` sends them."
    )


@deliveries.command()
@click.option("--as", "as_what", type=click.Choice(["sent", "lost"]), required=True)
@click.option("--state", type=click.Choice(["unknown"]))
@click.option("--address")
@click.option("--edition", metavar="KEY")
@json_option
@with_app
def settle(
    app: App,
    as_what: str,
    state: str | None,
    address: str | None,
    edition: str | None,
    *,
    as_json: bool,
) -> None:
    """Say what became of mails that are unknown: they arrived, or they were lost."""
    from newsletter.cli.output import print_json

    wanted = _some(_filter(state, address, edition))
    many = app.records.settle(wanted, sent=as_what == "sent")
    print_json({"settled": many}) if as_json else say(f"{many:,} settled.")


def _filter(state: str | None, address: str | None, edition: str | None) -> Filter:
    from newsletter.models import DeliveryState
    from newsletter.storage.deliveries import Filter
    from newsletter.subscriptions import address_of

    if edition is not None and not re.fullmatch(r"[0-9]{1,18}|[0-9a-f]{8,32}|[a-z-]+", edition):
        raise click.UsageError("--edition is a number, or 8 or more signs of the edition's key")
    return Filter(
        DeliveryState(state) if state else None,
        address_of(address).normal if address is not None else None,
        edition,
    )


def _some(wanted: Filter) -> Filter:
    if wanted.state is None and wanted.address is None and wanted.edition is None:
        raise click.UsageError("name some: --state, --address or --edition")
    return wanted


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

    for row in app.review.listed(EditionState(state) if state else None):
        if as_json:
            output.print_json(mail_output.edition_row(row))
        else:
            about = row.reason if row.state == "held" else row.subject
            papers = output.plural(len(row.positions), "paper")
            say(f"{row.id:>5}  {row.state:<8}  {row.frozen_at:%Y-%m-%d %H:%M}  {papers}: {about}")


@editions.command("release")
@click.argument("edition", type=click.IntRange(1, 2**63 - 1))
@json_option
@with_app
def editions_release(app: App, edition: int, *, as_json: bool) -> None:
    """Let a held edition go as it is; who is due gets it with the next run."""
    _decided(app.review.release(edition, app.clock()), as_json=as_json)


@editions.command("reject")
@click.argument("edition", type=click.IntRange(1, 2**63 - 1))
@click.option("--pass", "pass_over", is_flag=True, help="Nobody gets its papers any more.")
@json_option
@with_app
def editions_reject(app: App, edition: int, *, pass_over: bool, as_json: bool) -> None:
    """Drop a held edition; its papers wait for the next due time, unless they are passed."""
    _decided(app.review.reject(edition, app.clock(), pass_over=pass_over), as_json=as_json)


def _decided(row: EditionRow, *, as_json: bool) -> None:
    from newsletter.cli import mail_output, output

    if as_json:
        output.print_json(mail_output.edition_row(row))
    else:
        say(f"Edition {row.id} is {row.state} ({output.plural(len(row.positions), 'paper')}).")


@click.command()
@click.argument("whom_or_what", metavar="ADDRESS|PAPER")
@json_option
@with_app
def why(app: App, whom_or_what: str, *, as_json: bool) -> None:
    """The story of one reader (an address), or of one paper (an id, a URL or a title)."""
    from newsletter.cli import output
    from newsletter.text.dates import iso

    for fact in app.trace.of(whom_or_what):
        if as_json:
            output.print_json({"at": iso(fact.at), "what": fact.what, **fact.details})
        else:
            when = f"{fact.at:%Y-%m-%d %H:%M}" if fact.at else " " * 16
            say(f"{when}  {fact.words}")


COMMANDS: Sequence[click.Command] = (run, send_test, pause, go_on, deliveries, editions, why)
