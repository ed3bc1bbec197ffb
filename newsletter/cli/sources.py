"""Commands that list, add, test, remove, rename and import sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import FAILED, format_option, json_option, read_status
from newsletter.cli.options import config_option
from newsletter.cli.terminal import say
from newsletter.masks import masked_url
from newsletter.text.counted import plural

if TYPE_CHECKING:
    from newsletter.app.source_checks import SourceCheck
    from newsletter.app.source_setup import NewSource
    from newsletter.config.schema import Config


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def sources(context: click.Context, *, as_json: bool) -> None:
    """List, add, test, remove, rename and import sources. Lists them by default."""
    if context.invoked_subcommand is None:
        context.invoke(sources_list, as_json=as_json)


@sources.command("list")
@json_option
def sources_list(*, as_json: bool) -> None:
    """List the configured sources, and those captured before."""
    from newsletter.cli import source_output
    from newsletter.cli.output import print_json
    from newsletter.config.file import load_config

    loaded = load_config(config_option())
    found = read_status(loaded)
    for row in source_output.source_rows(loaded, found) if as_json else ():
        print_json(row)
    for line in source_output.source_lines(loaded, found) if not as_json else ():
        say(line)


@sources.command("add")
@click.argument("place")
@click.argument("arguments", nargs=-1)
@click.option("--name", metavar="NAME", help="Name of the source. [default: from the place]")
@click.option("--every", metavar="TIME", help="How often `serve` reads it, such as 3h.")
@format_option
@click.option("--no-check", is_flag=True, help="Write it without reading the place first.")
@json_option
def sources_add(
    place: str,
    arguments: tuple[str, ...],
    name: str | None,
    every: str | None,
    format: str | None,
    *,
    no_check: bool,
    as_json: bool,
) -> None:
    """Add a feed, a folder or a preset, and show its papers.

    It is read once before it is written to the configuration. PLACE is a URL, a file, a folder, or
    a preset: hf-daily, arxiv CATEGORY…, arxiv-query QUERY, pubmed QUERY, biorxiv [SUBJECT] or
    medrxiv [SUBJECT].
    """
    from newsletter.app import source_setup
    from newsletter.cli import source_output
    from newsletter.cli.output import print_json
    from newsletter.config.edit import draft

    path = config_option()
    found = draft(path)
    source = source_setup.new_source(found, place, arguments, name=name, every=every, format=format)
    check = None if no_check else _checked(found.config, source)
    source_setup.add(path, source)
    if as_json:
        print_json(source_output.added_row(source, check))
    for line in source_output.added_lines(source, check) if not as_json else ():
        say(line)


def _checked(config: Config, source: NewSource) -> SourceCheck:
    """Returns what a source has, or raises the error if it cannot be read."""
    from newsletter.app.source_checks import checks, local_clock

    (check,) = checks([source.section], local_clock(config.newsletter.time_zone))
    if check.error:
        check.error.hint += "; nothing was written: --no-check adds it unread"
        raise check.error
    return check


@sources.command("test")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@json_option
def sources_test(names: tuple[str, ...], *, as_json: bool) -> int:
    """Read configured sources once, and show their papers. Stores nothing.

    Without NAME, reads all of them.
    """
    from newsletter.app.source_checks import checks, local_clock
    from newsletter.app.source_setup import named
    from newsletter.cli import source_output
    from newsletter.cli.output import print_json
    from newsletter.config.file import load_config

    config = load_config(config_option())
    failed = 0
    clock = local_clock(config.newsletter.time_zone)
    for check in checks(named(config.sources, names), clock):
        failed += check.error is not None
        if as_json:
            print_json(source_output.check_row(check))
        elif check.error:
            say(f"error: {check.source}: {check.error}", err=True)
        for line in source_output.check_lines(check) if not as_json else ():
            say(line)
    if not config.sources and not as_json:
        say("There are no sources in the configuration. `newsletter sources add` adds one.")
    return FAILED if failed else 0


@sources.command("remove")
@click.argument("name")
@json_option
def sources_remove(name: str, *, as_json: bool) -> None:
    """Remove the source NAME from the configuration.

    Its captures and papers stay in the database.
    """
    from newsletter.app import source_setup
    from newsletter.cli.output import print_json
    from newsletter.cli.source_output import RESTART

    gone = source_setup.remove(config_option(), name)
    if as_json:
        location = masked_url(gone.url or gone.path)
        print_json({"source": name, "location": location, "removed": True})
    else:
        say(
            f"Removed {name} from the configuration. Its captures and papers stay in the database, "
            "so adding it under the same name continues where it ended."
        )
        say(RESTART)


@sources.command("rename")
@click.argument("old")
@click.argument("new")
@json_option
def sources_rename(old: str, new: str, *, as_json: bool) -> None:
    """Rename a source, with everything known of it.

    The source OLD becomes NEW in the configuration and in the database.
    """
    from newsletter.app.source_renaming import rename
    from newsletter.cli import source_output
    from newsletter.cli.output import print_json

    renamed = rename(config_option(), old, new)
    if as_json:
        print_json(source_output.renamed_row(renamed))
    for line in source_output.renamed_lines(renamed) if not as_json else ():
        say(line)


@sources.command("import")
@click.argument("opml", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Show what would be added, and change nothing.")
@json_option
def sources_import(opml: str, *, dry_run: bool, as_json: bool) -> None:
    """Add the feeds of an OPML file to the configuration."""
    from newsletter.app.source_setup import import_sources
    from newsletter.cli.output import print_json

    added = import_sources(config_option(), Path(opml), dry_run=dry_run)
    if as_json:
        print_json({"added": added, "dry_run": dry_run})
    else:
        say(f"{'Would add' if dry_run else 'Added'} {plural(len(added), 'source')}.")
        for name in added:
            say(f"  {name}")
