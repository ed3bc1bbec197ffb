"""Commands that write and check the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from newsletter.cli.base import complain, config_option, json_option
from newsletter.cli.terminal import say
from newsletter.errors import ConfigError


@click.command()
@click.argument("path", default="config.toml")
def init(path: str) -> None:
    """Write a commented configuration to PATH [config.toml], and create the database."""
    from newsletter.config.file import init as write_config
    from newsletter.config.file import load_config
    from newsletter.storage.database import Database

    write_config(Path(path))
    Database(load_config(path).database.url).close()
    say(f"Wrote {path}. Look at it, then run `newsletter ingest` and `newsletter preview`.")


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command("check")
@json_option
def config_check(*, as_json: bool) -> int:
    """List every problem of the configuration at once."""
    from newsletter.app.inspection import deeper_problems
    from newsletter.cli import output
    from newsletter.config.file import load_config

    path = config_option()
    try:
        loaded = load_config(path)
        problems = deeper_problems(loaded)
    except ConfigError as error:
        problems = list(error.problems)
        if not as_json:
            complain(error)
    else:
        for problem in problems if not as_json else []:
            say(f"error: {problem}", err=True)
    if as_json:
        output.print_json({"ok": not problems, "problems": problems})
    elif not problems:
        say("The configuration is fine.")
    return 2 if problems else 0


@click.group()
def sources() -> None:
    """Where papers come from."""


@sources.command("import")
@click.argument("opml")
@json_option
def sources_import(opml: str, *, as_json: bool) -> None:
    """Add the feeds of an OPML file to the configuration."""
    from newsletter.app import inspection
    from newsletter.cli import output

    added = inspection.import_sources(config_option(), Path(opml))
    if as_json:
        output.print_json({"added": added})
    else:
        say(f"Added {len(added)} sources.")
        for name in added:
            say(f"  {name}")
