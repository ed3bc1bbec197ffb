"""Commands that show the state and what would be sent. They change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from newsletter.cli.base import json_option
from newsletter.cli.options import config_option
from newsletter.cli.terminal import say
from newsletter.errors import DatabaseMissing
from newsletter.text.counted import plural


@click.command()
@click.option(
    "--out", default="preview", show_default=True, metavar="DIR", help="Folder for its files."
)
@click.option("--theme", metavar="NAME", help="Use this theme instead of the configured one.")
@click.option("--subscriber", metavar="ADDRESS", help="Show what this subscriber would get.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
@click.option("--serve", is_flag=True, help="Serve the folder on this machine until Ctrl-C.")
@json_option
def preview(
    out: str,
    theme: str | None,
    subscriber: str | None,
    *,
    open_it: bool,
    serve: bool,
    as_json: bool,
) -> int:
    """Write the next edition to files, as it would be sent.

    Changes nothing.
    """
    from newsletter.app.composition import opened
    from newsletter.cli import output
    from newsletter.config.file import load_config, with_theme
    from newsletter.subscribers.lifecycle import address_of

    loaded = load_config(config_option())
    try:
        with opened(with_theme(loaded, theme) if theme else loaded, create=False) as app:
            lifecycle = app.subscribers.lifecycle
            cursor = lifecycle.find(address_of(subscriber)).cursor if subscriber else None
            edition = app.planner.next_edition(cursor)
            if edition is None:
                return _silent(app.status.read().idle_reason, as_json=as_json)
            written = app.previews.write(edition, Path(out))
    except DatabaseMissing as missing:
        return _silent(_nothing_yet(missing), as_json=as_json)
    if as_json:
        output.print_json(
            {
                "files": [str(path) for path in written.files],
                "papers": len(edition.entries),
                "subject": edition.parts[0].subject,
                "titles": list(edition.titles),
            }
        )
    else:
        say(f"{plural(len(edition.entries), 'paper')} · {edition.parts[0].subject}")
        for path in written.files:
            say(f"  {path}")
        if not (loaded.newsletter.base_url or loaded.newsletter.owner):
            say("  note: Unsubscribe leads nowhere until [newsletter] owner or base_url is set")
    _show(Path(out), written.files[0], open_it=open_it, serve=serve, as_json=as_json)
    return 0


def _show(folder: Path, page: Path, *, open_it: bool, serve: bool, as_json: bool) -> None:
    """Opens the page in a browser, or serves its folder, as the operator asked."""
    if open_it:
        click.launch(page.absolute().as_uri())
    if serve:
        from newsletter.cli.serving import serve_folder

        serve_folder(folder, page.name, as_json=as_json)


@click.command()
@json_option
def status(*, as_json: bool) -> int:
    """Show the sources, the mails, and why nothing is sent."""
    from newsletter.app.composition import opened
    from newsletter.app.status import nothing_yet
    from newsletter.cli import output
    from newsletter.config.file import load_config

    loaded = load_config(config_option())
    try:
        with opened(loaded, create=False) as app:
            found = app.status.read()
    except DatabaseMissing as missing:
        found = nothing_yet(loaded, missing.where)
    for row in output.status_rows(found) if as_json else ():
        output.print_json(row)
    for line in output.status_lines(found) if not as_json else ():
        say(line)
    return 0


def _nothing_yet(missing: DatabaseMissing) -> str:
    from newsletter.app.status import no_database

    return no_database(missing.where)


def _silent(idle_reason: str, *, as_json: bool) -> int:
    from newsletter.cli import output

    output.print_json({"silence": idle_reason}) if as_json else say(idle_reason)
    return 0
