"""`newsletter preview`: writes an edition to files, as it would be sent. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import json_option
from newsletter.cli.options import config_option
from newsletter.cli.terminal import say
from newsletter.errors import DatabaseMissing, UsageError
from newsletter.models import SubscriberState

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.config.schema import Config
    from newsletter.editions.build import Edition
    from newsletter.editions.preview import Written
    from newsletter.storage.subscribers import Subscriber

RECEIVING = (SubscriberState.ACTIVE, SubscriberState.PAUSED)
"""States in which a subscriber gets editions, now or after a pause."""


@click.command()
@click.option(
    "--out", default="preview", show_default=True, metavar="DIR", help="Folder for its files."
)
@click.option("--theme", metavar="NAME", help="Use this theme instead of the configured one.")
@click.option("--subscriber", metavar="ADDRESS", help="Show what this subscriber would get.")
@click.option("--last", is_flag=True, help="Show the edition that was sent last.")
@click.option("--sample", is_flag=True, help="Show an edition of bundled sample papers.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
@click.option("--serve", is_flag=True, help="Serve the folder on this machine until Ctrl-C.")
@json_option
def preview(
    out: str,
    theme: str | None,
    subscriber: str | None,
    *,
    last: bool,
    sample: bool,
    open_it: bool,
    serve: bool,
    as_json: bool,
) -> int:
    """Write the next edition to files, as it would be sent.

    Changes nothing.

    The personal links in a preview are placeholders, which work for no subscriber.
    """
    from newsletter.config.file import load_config, with_theme

    if last and (sample or theme):
        other = "--sample" if sample else "--theme"
        raise UsageError(f"--last and {other} exclude each other")
    loaded = load_config(config_option())
    if theme:
        loaded = with_theme(loaded, theme)
    found = _previewed(loaded, subscriber, last=last, sample=sample)
    if not isinstance(found, _Preview):
        if theme:
            _refuse_faulty_theme(loaded)
        return _silent(found, "" if last else _LAST, as_json=as_json)
    written = _write(loaded, found, Path(out))
    _print_preview(loaded, found, written, as_json=as_json)
    _show(Path(out), written.files[0], open_it=open_it, serve=serve, as_json=as_json)
    return 0


def _refuse_faulty_theme(loaded: Config) -> None:
    """Reports a theme that does not exist or is wrong, although there is nothing to show in it."""
    from newsletter.app.edition_previews import sample_edition

    sample_edition(loaded)


_LAST = "`newsletter preview --last` shows the edition sent last, "
_SAMPLE = "`newsletter preview --sample` shows one of sample papers"


@dataclass(frozen=True, slots=True)
class _Preview:
    """The edition to show.

    Attributes:
        edition: the edition.
        person: the subscriber that it is for, if one was named.
        reasons: why it has not been sent yet, if it is the next one.
    """

    edition: Edition
    person: Subscriber | None = None
    reasons: Sequence[str] = ()


def _previewed(
    loaded: Config, address: str | None, *, last: bool, sample: bool
) -> _Preview | Sequence[str]:
    """Returns the edition to show, or why there is none."""
    from newsletter.app.composition import opened
    from newsletter.app.edition_previews import sample_edition
    from newsletter.subscribers.lifecycle import address_of

    if sample and not address:
        return _Preview(sample_edition(loaded))
    try:
        with opened(loaded, create=False) as app:
            person = app.subscribers.lifecycle.find(address_of(address)) if address else None
            if sample:
                return _Preview(sample_edition(loaded), person)
            if last:
                return _last(app, person)
            return _next(app, person)
    except DatabaseMissing as missing:
        return _nothing_yet(missing)


def _last(app: App, person: Subscriber | None) -> _Preview | Sequence[str]:
    edition = app.edition_previews.last(person)
    to = f" to {person.address}" if person else ""
    return _Preview(edition, person) if edition else [f"nothing new: nothing was sent{to} yet"]


def _next(app: App, person: Subscriber | None) -> _Preview | Sequence[str]:
    if person and person.state not in RECEIVING:
        return [f"nobody subscribed: {person.address} is {person.state} and gets no editions"]
    edition = app.edition_previews.next(person)
    if not edition and person:
        return [f"nothing new: every paper so far was sent to {person.address}"]
    reasons = app.status.read().idle_reasons
    return _Preview(edition, person, reasons) if edition else reasons


def _write(loaded: Config, found: _Preview, folder: Path) -> Written:
    from email.headerregistry import Address

    from newsletter.app.clock import now
    from newsletter.app.edition_factories import preview_writer
    from newsletter.subscribers.address import parse_address

    writer = preview_writer(loaded, now)
    if found.person is None:
        return writer.write(found.edition, folder)
    to = parse_address(found.person.address)
    return writer.write(found.edition, folder, Address("", to.local, to.domain))


def _print_preview(loaded: Config, found: _Preview, written: Written, *, as_json: bool) -> None:
    from newsletter.cli import mail_output, output

    person = found.person
    if as_json:
        row = output.preview_row(written, found.reasons)
        output.print_json(
            {**row, "subscriber": mail_output.subscriber_row(person)} if person else row
        )
        return
    if person:
        say(f"for {person.address}: {_preferences(loaded, person)}")
    for line in output.preview_lines(written, found.reasons):
        say(line)
    if loaded.newsletter.base_url:
        say("  note: its personal links are placeholders, which work for no subscriber")
    elif not loaded.newsletter.owner:
        say("  note: the Unsubscribe link works only once [newsletter] owner or base_url is set")


def _preferences(loaded: Config, person: Subscriber) -> str:
    """Returns a subscriber's state and preferences, and when they are due in their time zone."""
    from zoneinfo import ZoneInfo

    from newsletter.app.factories import rules

    facts = [str(person.state), person.preferences.cadence]
    if person.next_due_at:
        zone = rules(loaded).schedule(person.preferences).zone
        due = person.next_due_at.astimezone(ZoneInfo(zone))
        facts.append(f"due {due:%A %Y-%m-%d %H:%M} in {zone}")
    return ", ".join(facts)


def _show(folder: Path, page: Path, *, open_it: bool, serve: bool, as_json: bool) -> None:
    """Opens the page in a browser, or serves its folder, as the operator asked."""
    if open_it:
        click.launch(page.absolute().as_uri())
    if serve:
        from newsletter.cli.serving import serve_folder

        serve_folder(folder, page.name, as_json=as_json)


def _nothing_yet(missing: DatabaseMissing) -> tuple[str, ...]:
    from newsletter.app.status import no_database

    return no_database(missing.where)


def _silent(reasons: Sequence[str], hint: str, *, as_json: bool) -> int:
    from newsletter.app.idle import joined
    from newsletter.cli import output

    hint += _SAMPLE
    if as_json:
        output.print_json({"silence": joined(reasons), "reasons": list(reasons), "hint": hint})
    for line in [*reasons, hint] if not as_json else ():
        say(line)
    return 0
