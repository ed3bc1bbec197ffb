"""Commands that show how things stand and what would be sent; they change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import config_option, json_option, with_app
from newsletter.errors import UsageError

if TYPE_CHECKING:
    from newsletter.app import App


@click.command()
@click.option("--out", default="preview", show_default=True, help="Folder for its files.")
@click.option("--theme", help="Another theme than the configured one.")
@click.option("--subscriber", metavar="ADDRESS", help="What this subscriber would get.")
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
    """Write the next edition's files, exactly as they would be sent. Changes nothing."""
    from newsletter import output
    from newsletter.app import opened
    from newsletter.configfile import load_config, with_theme

    loaded = load_config(config_option())
    with opened(with_theme(loaded, theme) if theme else loaded) as app:
        if subscriber:
            raise UsageError(
                f"there is no subscriber {subscriber}",
                hint="leave --subscriber out to see what a newcomer would get",
            )
        edition = app.next_edition()
        if edition is None:
            silence = app.status()[-1]
            output.print_json({"silence": silence}) if as_json else click.echo(silence)
            return 0
        written = app.write(edition, Path(out))
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
        click.echo(f"{len(edition.entries)} papers · {edition.parts[0].subject}")
        for path in written.files:
            click.echo(f"  {path}")
    page = written.files[0]
    if open_it:
        click.launch(page.absolute().as_uri())
    if serve:
        from newsletter.preview import serve_folder

        serve_folder(Path(out), page.name)
    return 0


@click.command()
@json_option
@with_app
def status(app: App, *, as_json: bool) -> int:
    """How every source fares, and why nothing went out."""
    from newsletter import output

    fares, held, silence = app.status()
    for source in fares:
        if as_json:
            output.print_json(output.status_row(source))
        else:
            click.echo(output.status_line(source))
            for note in source.notes:
                click.echo(f"    note: {note}")
    for snapshot in held if not as_json else []:
        click.echo(f"held snapshot {snapshot.id} of {snapshot.source} ({snapshot.origin})")
        for line in (snapshot.reason, *snapshot.notes):
            click.echo(f"    {line}")
    if as_json:
        output.print_json({"silence": silence})
    else:
        click.echo(silence)
    return 0
