"""Arguments in, words out. What is done is done by `app`; commands import it when they run.

Exit status: 0 done, 2 usage or configuration, 3 something held, refused or failed.
With `--json`, one object a line on standard output; the rest on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from newsletter import __version__
from newsletter.errors import ConfigError, NewsletterError, StorageError, UsageError

if TYPE_CHECKING:
    from newsletter.app import App, Written
    from newsletter.ingest import Report

P = ParamSpec("P")

FAILED = 3
"""Exit status when something was held, refused or failed."""


def main() -> None:
    """The command line."""
    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Exit as exc:
        status = exc.exit_code
    except click.Abort:
        status = 130
    except click.ClickException as exc:
        exc.show()
        status = 2
    except NewsletterError as exc:
        _complain(exc)
        status = exc.exit_status
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads on; Python would complain about it at exit
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


def _complain(error: NewsletterError) -> None:
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        click.echo(f"{error.where}: {len(error.problems)} problems", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
    else:
        click.echo(f"error: {error}", err=True)


def json_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Adds `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")(command)


def with_app(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Gives a command the program with its configuration and database."""

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> int | None:
        from newsletter.app import load_config, opened

        path = click.get_current_context().find_root().params["config"]
        with opened(load_config(path)) as app:
            return command(app, *args, **options)

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", metavar="FILE", help="The configuration. [default: ./config.toml]")
@click.version_option(__version__, message="newsletter %(version)s")
def cli(config: str | None) -> None:  # read by `with_app`
    """New research papers by email: each one once, to each subscriber."""


@cli.command()
@click.option("--out", default="demo", show_default=True, help="Folder for the editions.")
def demo(out: str) -> int:
    """Show what it does, on a bundled sample of two days."""
    from newsletter.app import sample

    days = [str(path) for path in sample()]
    click.echo("Two days of invented papers; the second repeats some of the first.\n")
    status = _replay(days, Path(out), as_json=False)
    click.echo("\nNext: `newsletter replay YOUR-CAPTURE --out out`, or `newsletter init`.")
    return status


@cli.command()
@click.argument("path", default="config.toml")
def init(path: str) -> None:
    """Write a commented configuration to PATH [config.toml]."""
    from newsletter.app import init as write_config

    write_config(Path(path))
    click.echo(f"Wrote {path}. Look at it, then run `newsletter ingest` and `newsletter preview`.")


@cli.group()
def config() -> None:
    """Look at the configuration."""


@config.command("check")
@json_option
def config_check(*, as_json: bool) -> int:
    """List every problem of the configuration at once."""
    from newsletter import output
    from newsletter.app import deeper_problems, load_config

    path = click.get_current_context().find_root().params["config"]
    try:
        loaded = load_config(path)
        problems = deeper_problems(loaded)
    except ConfigError as error:
        problems = list(error.problems)
        if not as_json:
            _complain(error)
    else:
        for problem in problems if not as_json else []:
            click.echo(f"error: {problem}", err=True)
    if as_json:
        output.print_json({"ok": not problems, "problems": problems})
    elif not problems:
        click.echo("The configuration is fine.")
    return 2 if problems else 0


@cli.command()
@click.argument("places", nargs=-1, metavar="[PATH|URL]...")
@json_option
def ingest(places: Sequence[str], *, as_json: bool) -> int:
    """Take in captures: those named, or what every configured source has now."""
    from newsletter.app import load_config, opened, places_of

    loaded = load_config(click.get_current_context().find_root().params["config"])
    try:
        with opened(loaded) as app:
            reports = app.ingest_named(places) if places else app.ingest_configured()
            return _reported(reports, as_json=as_json)
    except StorageError as error:
        return _all_failed(places or places_of(loaded), error, as_json=as_json)


@cli.command()
@click.argument("places", nargs=-1, required=True, metavar="PATH...")
@click.option("--out", help="Folder for an edition per capture.")
@json_option
def replay(places: Sequence[str], out: str | None, *, as_json: bool) -> int:
    """Run captures through a throw-away database, in order; needs no configuration."""
    return _replay(places, Path(out) if out else None, as_json=as_json)


def _replay(places: Sequence[str], out: Path | None, *, as_json: bool) -> int:
    from newsletter.app import throw_away

    taken: set[str] = set()

    def writer(app: App) -> Callable[[Report], Written | None]:
        def written(report: Report) -> Written | None:
            edition = app.edition_of(report) if out and report.new else None
            if edition is None or out is None:
                return None
            app.freeze(edition)
            return app.write(edition, out / _stem(report.origin, taken))

        return written

    try:
        with throw_away() as app:
            return _reported(app.replay(places), as_json=as_json, written=writer(app))
    except StorageError as error:
        return _all_failed(places, error, as_json=as_json)


def _all_failed(places: Iterable[str], error: StorageError, *, as_json: bool) -> int:
    """A row for every place that could not even be tried, unless the command itself was wrong."""
    from newsletter.ingest import Report

    if error.exit_status != FAILED:
        raise error
    return _reported((Report(place, held=str(error)) for place in places), as_json=as_json)


def _stem(origin: str, taken: set[str]) -> str:
    """The capture's name without its ending; `-2` behind one that was met before."""
    name = Path(origin.rstrip("/").split("?")[0]).stem or "capture"
    stem, number = name, 1
    while stem in taken:
        number += 1
        stem = f"{name}-{number}"
    taken.add(stem)
    return stem


@cli.command()
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
    from newsletter.app import load_config, opened, with_theme

    loaded = load_config(click.get_current_context().find_root().params["config"])
    with opened(with_theme(loaded, theme) if theme else loaded) as app:
        if subscriber:
            raise UsageError(
                f"there is no subscriber {subscriber}",
                hint="leave --subscriber out to see what a newcomer would get",
            )
        edition = app.next_edition()
        if edition is None:
            silence = app.status()[1]
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


@cli.command()
@json_option
@with_app
def status(app: App, *, as_json: bool) -> int:
    """How every source fares, and why nothing went out."""
    from newsletter import output

    fares, silence = app.status()
    for source in fares:
        if as_json:
            output.print_json(output.status_row(source))
        else:
            click.echo(output.status_line(source))
            for note in source.notes:
                click.echo(f"    note: {note}")
    if as_json:
        output.print_json({"silence": silence})
    else:
        click.echo(silence)
    return 0


@cli.group()
def snapshots() -> None:
    """Look at what was captured, and decide about what is held."""


@snapshots.command("list")
@click.option("--state", type=click.Choice(["captured", "accepted", "held", "rejected"]))
@json_option
@with_app
def snapshots_list(app: App, state: str | None, *, as_json: bool) -> None:
    """All snapshots, oldest first."""
    from newsletter import output
    from newsletter.models import SnapshotState

    for row in app.snapshots(SnapshotState(state) if state else None):
        if as_json:
            output.print_json(output.snapshot_row(row))
        else:
            about = row.reason or f"{row.counts.papers} papers, {row.counts.new} new"
            day = f"{row.captured_at:%Y-%m-%d %H:%M}"
            click.echo(f"{row.id:>5}  {row.state:<8}  {day}  {row.source}  {row.origin}: {about}")


@snapshots.command("release")
@click.argument("snapshot", type=int)
@click.option("--silent", is_flag=True, help="Learn its papers without announcing them.")
@json_option
@with_app
def snapshots_release(app: App, snapshot: int, *, silent: bool, as_json: bool) -> int:
    """Take a held snapshot in after all."""
    return _reported([app.release(snapshot, silent=silent)], as_json=as_json)


@snapshots.command("reject")
@click.argument("snapshot", type=int)
@json_option
@with_app
def snapshots_reject(app: App, snapshot: int, *, as_json: bool) -> None:
    """Leave a held snapshot out for good; its bytes are kept."""
    from newsletter import output

    row = app.reject(snapshot)
    if as_json:
        output.print_json(output.snapshot_row(row))
    else:
        click.echo(f"Rejected snapshot {row.id} ({row.origin}).")


def _reported(
    reports: Iterable[Report],
    *,
    as_json: bool,
    written: Callable[[Report], Written | None] = lambda _: None,
) -> int:
    """Prints a line for each report as it comes; the exit status."""
    from dataclasses import replace

    from newsletter import output

    failed, progress = 0, output.Progress(as_json=as_json)
    for report in reports:
        files = None
        try:
            files = written(report)
        except NewsletterError as error:
            report = replace(report, held=str(error))
        failed += report.held is not None
        progress.clear()
        if as_json:
            output.print_json(output.report_row(report))
        else:
            made = (files.edition.parts[0].subject, files.files[0]) if files else ()
            output.print_report(report, *made)
        progress.show(report.origin)
    progress.clear()
    return FAILED if failed else 0
