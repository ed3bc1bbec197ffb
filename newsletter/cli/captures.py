"""Commands that ingest and inspect captures, and review held ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import (
    FAILED,
    format_option,
    json_option,
    listed,
    reported,
    with_app,
)
from newsletter.cli.options import config_option
from newsletter.cli.terminal import note, say
from newsletter.errors import StorageError, UsageError
from newsletter.masks import MASK, masked_url
from newsletter.text.counted import plural
from newsletter.text.dates import utc

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.config.schema import Config
    from newsletter.editions.preview import Written
    from newsletter.papers.report import CaptureReport
    from newsletter.storage.snapshots import SnapshotRow


@click.command()
@click.option(
    "--out", default="demo", show_default=True, metavar="DIR", help="Folder for the editions."
)
def demo(out: str) -> int:
    """Make two editions from a bundled sample; needs no setup.

    With --config, the editions look as configured there.
    """
    from newsletter.app.inspection import sample

    days = [str(path) for path in sample()]
    say("Two days of invented papers; the second repeats some of the first.")
    say()
    status = _replay(days, Path(out), as_json=False)
    say()
    say("Next: `newsletter replay YOUR-CAPTURE --out out`, or `newsletter init`.")
    return status


@click.command()
@click.argument("locations", nargs=-1, metavar="[PATH|URL]...")
@format_option
@json_option
def ingest(locations: Sequence[str], format: str | None, *, as_json: bool) -> int:
    """Read all configured sources, or given files and URLs."""
    from newsletter.app.composition import opened
    from newsletter.config.file import configured_locations, load_config

    loaded = load_config(config_option())
    _refuse_own_folders(loaded, locations)
    try:
        with opened(loaded) as app:
            _note_folders(locations or configured_locations(loaded))
            if locations:
                return reported(
                    app.sources.ingest_named(locations, format), as_json=as_json, decide=True
                )
            return reported(app.sources.ingest_configured(format), as_json=as_json, decide=True)
    except StorageError as error:
        return _all_failed(locations or configured_locations(loaded), error, as_json=as_json)


@click.command()
@click.argument("locations", nargs=-1, required=True, metavar="PATH...")
@click.option("--out", metavar="DIR", help="Write the edition of each capture into this folder.")
@format_option
@json_option
def replay(locations: Sequence[str], out: str | None, format: str | None, *, as_json: bool) -> int:
    """Try captures in a temporary database, without any setup.

    With --config, the editions look as configured there.
    """
    return _replay(locations, Path(out) if out else None, format, as_json=as_json)


def _replay(
    locations: Sequence[str],
    out: Path | None,
    format: str | None = None,
    *,
    as_json: bool,
) -> int:
    from newsletter.app.throw_away import throw_away
    from newsletter.cli.signals import Signals, Stopped
    from newsletter.config.file import load_named_config
    from newsletter.editions import preview

    config = load_named_config(config_option())
    taken: set[str] = set()

    def writer(app: App) -> Callable[[CaptureReport], Written | None]:
        def written(report: CaptureReport) -> Written | None:
            if out is None:
                return None
            if not report.new:
                preview.clear(out / _stem(report.origin, set(taken)))
                return None
            edition = app.builder.build(report.new)
            app.planner.keep(edition)
            return app.previews.write(edition, out / _stem(report.origin, taken))

        return written

    with Signals() as signals:
        try:
            with throw_away(config) as app, signals.ends_at_once():
                _note_folders(locations)
                return reported(
                    app.sources.replay(locations, format), as_json=as_json, written=writer(app)
                )
        except Stopped:  # the temporary database is deleted
            return signals.exit_status
        except StorageError as error:
            return _all_failed(locations, error, as_json=as_json)


def _refuse_own_folders(config: Config, locations: Sequence[str]) -> None:
    """Refuses a folder that has files in it that must not be read as captures."""
    from newsletter.config.file import config_path
    from newsletter.config.parse import own_folders

    own = own_folders(config, config_path(config_option()).absolute().parent)
    for location in locations:
        if Path(location).absolute() in own:
            raise UsageError(
                "this folder has the configuration, the database or a secret in it",
                where=location,
                hint="name the files, or keep captures in a folder of their own",
            )


def _note_folders(locations: Sequence[str]) -> None:
    """Says which folders have no files, and which have folders that are not read."""
    from newsletter.sources.files import empty_note, subfolders_note

    for location in locations:
        for remark in filter(None, (empty_note(location), subfolders_note(location))):
            note(remark)


def _all_failed(locations: Iterable[str], error: StorageError, *, as_json: bool) -> int:
    """Reports every location as failed, unless the error is about the command itself."""
    from newsletter.papers.report import CaptureReport

    if error.exit_status != FAILED:
        raise error
    return reported(
        (CaptureReport(location, held=str(error)) for location in locations), as_json=as_json
    )


def _stem(origin: str, taken: set[str]) -> str:
    """Returns a capture's file name without its suffix, safe to use as a folder name.

    A name that is already taken gets a number, such as `-2`.
    """
    path = origin.partition("?")[0] if "://" in origin else origin
    name = Path(path.replace(MASK, "")).stem.strip(". ") or "capture"
    stem, number = name, 1
    while stem in taken:
        number += 1
        stem = f"{name}-{number}"
    taken.add(stem)
    return stem


@click.command("formats")
@json_option
def list_formats(*, as_json: bool) -> None:
    """List the formats that can be read."""
    from newsletter.cli import output
    from newsletter.formats import FORMATS

    for one in FORMATS:
        if as_json:
            output.print_json({"format": one.name, "about": one.about})
        else:
            say(f"{one.name:<20} {one.about}")


@click.command()
@click.argument("location", metavar="FILE")
@format_option
@json_option
def inspect(location: str, format: str | None, *, as_json: bool) -> None:
    """Show how a capture is recognised, and its first papers."""
    from newsletter.app import inspection
    from newsletter.cli import output

    name, sign, snapshot = inspection.inspect(location, format)
    if as_json:
        output.print_json(output.inspection_row(location, name, sign, snapshot))
    else:
        output.print_inspection(location, name, sign, snapshot)


@click.group()
def snapshots() -> None:
    """List captured snapshots, and release or reject held ones."""


@snapshots.command("list")
@click.option(
    "--state",
    type=click.Choice(["captured", "accepted", "held", "rejected"]),
    help="Only snapshots in this state.",
)
@json_option
@with_app
def snapshots_list(app: App, state: str | None, *, as_json: bool) -> None:
    """List the snapshots, oldest first."""
    from newsletter.cli import output
    from newsletter.models import SnapshotState

    def show(row: SnapshotRow) -> None:
        if as_json:
            output.print_json(output.snapshot_row(row))
        else:
            about = row.reason or f"{plural(row.counts.papers, 'paper')}, {row.counts.new} new"
            day = utc(row.captured_at)
            place = masked_url(row.origin)
            say(f"{row.id:>5}  {row.state:<8}  {day}  {row.source}  {place}: {about}")

    found = app.snapshot_review.listed(SnapshotState(state) if state else None)
    listed(found, show, as_json=as_json)


@snapshots.command("release")
@click.argument("snapshot", type=click.IntRange(1, 2**63 - 1))
@click.option("--silent", is_flag=True, help="Remember its papers as known, without sending them.")
@format_option
@json_option
@with_app
def snapshots_release(
    app: App,
    snapshot: int,
    format: str | None,
    *,
    silent: bool,
    as_json: bool,
) -> int:
    """Accept a held snapshot: its new papers are sent."""
    return reported(
        [app.snapshot_review.release(snapshot, silent=silent, format=format)], as_json=as_json
    )


@snapshots.command("reject")
@click.argument("snapshot", type=click.IntRange(1, 2**63 - 1))
@json_option
@with_app
def snapshots_reject(app: App, snapshot: int, *, as_json: bool) -> None:
    """Reject a held snapshot; its bytes are kept."""
    from newsletter.cli import output

    row = app.snapshot_review.reject(snapshot)
    if as_json:
        output.print_json(output.snapshot_row(row))
    else:
        say(f"Rejected snapshot {row.id} ({masked_url(row.origin)}).")
