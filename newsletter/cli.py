"""Arguments in, words out. What is done is done by `app`; commands import it when they run.

Exit status: 0 done, 2 usage or configuration, 3 something held, refused or failed.
With `--json`, one object a line on standard output; the rest on standard error.
"""

from __future__ import annotations

import json
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
    from newsletter.storage.snapshots import SnapshotRow
    from newsletter.storage.sources import SourceStatus

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
    from newsletter.app import load_config, templates_problem

    path = click.get_current_context().find_root().params["config"]
    try:
        loaded = load_config(path)
        problems = templates_problem(loaded)
    except ConfigError as error:
        problems = list(error.problems)
        if not as_json:
            _complain(error)
    else:
        for problem in problems if not as_json else []:
            click.echo(f"error: {problem}", err=True)
    if as_json:
        _print_json({"ok": not problems, "problems": problems})
    elif not problems:
        click.echo("The configuration is fine.")
    return 2 if problems else 0


@cli.command()
@click.argument("places", nargs=-1, metavar="[PATH|URL]...")
@json_option
def ingest(places: Sequence[str], *, as_json: bool) -> int:
    """Take in captures: those named, or what every configured source has now."""
    from newsletter.app import load_config, opened, places_of
    from newsletter.ingest import Report

    loaded = load_config(click.get_current_context().find_root().params["config"])
    try:
        with opened(loaded) as app:
            reports = app.ingest_named(places) if places else app.ingest_configured()
            return _reported(reports, as_json=as_json)
    except StorageError as error:
        if error.exit_status != FAILED:
            raise
        named = places or places_of(loaded)
        return _reported((Report(place, held=str(error)) for place in named), as_json=as_json)


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
    with throw_away() as app:

        def written(report: Report) -> Written | None:
            edition = app.edition_of(report) if out and report.new else None
            if edition is None or out is None:
                return None
            app.freeze(edition)
            return app.write(edition, out / _stem(report.origin, taken))

        return _reported(app.replay(places), as_json=as_json, written=written)


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
            _print_json({"silence": silence}) if as_json else click.echo(silence)
            return 0
        written = app.write(edition, Path(out))
    if as_json:
        _print_json(
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
    fares, silence = app.status()
    for source in fares:
        if as_json:
            _print_json(_status_row(source))
        else:
            click.echo(_status_line(source))
            for note in source.notes:
                click.echo(f"    note: {note}")
    if as_json:
        _print_json({"silence": silence})
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
    from newsletter.models import SnapshotState

    for row in app.snapshots(SnapshotState(state) if state else None):
        if as_json:
            _print_json(_snapshot_row(row))
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
    row = app.reject(snapshot)
    if as_json:
        _print_json(_snapshot_row(row))
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

    failed, progress = 0, _Progress(as_json=as_json)
    for report in reports:
        files = None
        try:
            files = written(report)
        except NewsletterError as error:
            report = replace(report, held=str(error))
        failed += report.held is not None
        progress.clear()
        if as_json:
            _print_json(_report_row(report))
        else:
            _print_report(report, files)
        progress.show(report.origin)
    progress.clear()
    return FAILED if failed else 0


class _Progress:
    """A line on a terminal that says how far a long job is; silent elsewhere."""

    def __init__(self, *, as_json: bool) -> None:
        # With lines for people on the same terminal, those are the progress.
        self._active = sys.stderr.isatty() and (as_json and not sys.stdout.isatty())
        self._done = 0

    def show(self, last: str) -> None:
        """One more is done."""
        self._done += 1
        if self._active:
            click.echo(f"\r\x1b[K{self._done} done, last {Path(last).name}", err=True, nl=False)

    def clear(self) -> None:
        """Makes room for other output."""
        if self._active and self._done:
            click.echo("\r\x1b[K", err=True, nl=False)


def _report_row(report: Report) -> dict[str, Any]:
    from newsletter.compose import in_order, title_of

    counts = report.counts
    return {
        "snapshot": report.snapshot,
        "path": report.origin,
        "source": report.source,
        "format": report.format,
        "papers": counts.papers,
        "new": counts.new,
        "learnt": counts.learnt,
        "updated": counts.updated,
        "relisted": counts.relisted,
        "withdrawn": counts.withdrawn,
        "held": report.held,
        "unchanged": report.unchanged,
        "titles": [title_of(entry.paper) for entry in in_order(report.new)],
        "notes": list(report.notes),
    }


def _print_report(report: Report, files: Written | None) -> None:
    name = Path(report.origin).name if "://" not in report.origin else report.origin
    if report.held is not None:
        number = f" (snapshot {report.snapshot})" if report.snapshot else ""
        click.echo(f"{name}  held{number}: {report.held}", err=True)
        return
    if report.unchanged:
        click.echo(f"{name}  unchanged since snapshot {report.snapshot}")
        return
    counts = report.counts
    kinds = ("learnt", "updated", "relisted", "withdrawn")
    others = [f"{getattr(counts, kind)} {kind}" for kind in kinds if getattr(counts, kind)]
    facts = ", ".join([f"{counts.new} new of {counts.papers}", *others])
    click.echo(f"{name}  {report.format}  {facts}")
    for note in report.notes:
        click.echo(f"    note: {note}")
    if files:
        click.echo(f"    {files.edition.parts[0].subject}")
        click.echo(f"    {files.files[0]}")


def _status_row(source: SourceStatus) -> dict[str, Any]:
    return {
        "source": source.name,
        "captured_at": _iso(source.captured_at),
        "failing_since": _iso(source.failing_since),
        "failure": source.failure,
        "snapshots": source.snapshots,
        "held": source.held,
        "papers": source.papers,
        "new": source.new,
        "notes": list(source.notes),
    }


def _status_line(source: SourceStatus) -> str:
    captured = f"{source.captured_at:%Y-%m-%d %H:%M} UTC" if source.captured_at else "never"
    facts = [f"last captured {captured}", f"{source.new} new of {source.papers} in the newest"]
    if source.held:
        facts.append(f"{source.held} held")
    if source.failing_since:
        facts.append(f"failing since {source.failing_since:%Y-%m-%d %H:%M} UTC: {source.failure}")
    return f"{source.name}: " + " · ".join(facts)


def _snapshot_row(row: SnapshotRow) -> dict[str, Any]:
    return {
        "snapshot": row.id,
        "source": row.source,
        "path": row.origin,
        "captured_at": _iso(row.captured_at),
        "state": row.state,
        "held": row.reason if row.state == "held" else None,
        "format": row.format,
        "papers": row.counts.papers,
        "new": row.counts.new,
        "size": row.size,
    }


def _iso(at: Any) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def _print_json(row: dict[str, Any]) -> None:
    click.echo(json.dumps(row, ensure_ascii=False))
