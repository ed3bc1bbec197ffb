"""Output: JSON rows on standard output, readable lines, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter.cli.options import is_quiet
from newsletter.cli.terminal import knows_unicode, say, write
from newsletter.editions.compose import in_order
from newsletter.editions.paper_block import title_of
from newsletter.errors import one_line
from newsletter.masks import masked_url
from newsletter.papers.identity import keys_of
from newsletter.text.clean import cut
from newsletter.text.counted import plural
from newsletter.text.dates import iso, utc
from newsletter.text.json_line import json_line

if TYPE_CHECKING:
    from newsletter.app.status import Status
    from newsletter.editions.preview import Written
    from newsletter.models import Snapshot
    from newsletter.papers.report import CaptureReport
    from newsletter.storage.snapshots import SnapshotRow
    from newsletter.storage.sources import SourceStatus

_UNTOLD = 5
"""Problems not reported yet that the status describes one by one."""


class Progress:
    """A progress line for a long job; shown only on a terminal.

    Args:
        as_json: whether the command prints JSON.
        always: whether to show the line along with readable output, if that has only few lines.
    """

    def __init__(self, *, as_json: bool, always: bool = False) -> None:
        # Where every item prints a line of its own, those lines show the progress.
        quiet = as_json and not sys.stdout.isatty()
        self._active = sys.stderr.isatty() and (always or quiet) and not is_quiet()
        self._done = 0

    def show(self, last: str) -> None:
        """Counts one more item as done, and shows its name."""
        self._done += 1
        self._line(f"{self._done} done, last {Path(last).name}")

    def count(self, done: int) -> None:
        """Sets the number of items done."""
        self._done = done
        self._line(f"{done:,} done")

    def clear(self) -> None:
        """Clears the line for other output."""
        if self._active and self._done:
            write("\r\x1b[K", err=True, end=False)

    def _line(self, text: str) -> None:
        if self._active:
            write(f"\r\x1b[K{one_line(text)}", err=True, end=False)


def report_row(report: CaptureReport) -> dict[str, Any]:
    """Returns the report of a capture as a JSON row."""
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


def print_report(report: CaptureReport, subject: str = "", page: Path | None = None) -> None:
    """Prints the report of a capture, with the edition built from it, if any."""
    name = Path(report.origin).name if "://" not in report.origin else report.origin
    if report.held is not None:
        what = f"held (snapshot {report.snapshot})" if report.snapshot else "failed"
        reason = report.held.removeprefix(f"{report.origin}: ")
        say(f"{name}  {what}: {reason}", err=True)
        return
    if report.unchanged:
        say(f"{name}  unchanged since snapshot {report.snapshot}")
        return
    counts = report.counts
    kinds = ("learnt", "updated", "relisted", "withdrawn")
    others = [f"{getattr(counts, kind)} {kind}" for kind in kinds if getattr(counts, kind)]
    facts = ", ".join([f"{counts.new} new of {counts.papers}", *others])
    say(f"{name}  {report.format}  {facts}")
    for note in report.notes:
        say(f"    note: {note}")
    if page:
        say(f"    {subject}")
        say(f"    {page}")


SHOWN = 5
"""Number of papers that an inspection shows."""


def inspection_row(place: str, name: str, sign: str, snapshot: Snapshot) -> dict[str, Any]:
    """Returns the result of an inspection as a JSON row."""
    first = [{"title": title_of(paper), "key": keys_of(paper)[0]} for paper in snapshot.papers]
    return {
        "path": place,
        "format": name,
        "sign": sign,
        "papers": len(snapshot.papers),
        "notes": list(snapshot.notes),
        "doubts": list(snapshot.doubts),
        "first": first[:SHOWN],
    }


def print_inspection(place: str, name: str, sign: str, snapshot: Snapshot) -> None:
    """Prints the result of an inspection."""
    many = len(snapshot.papers)
    shown = f", the first {SHOWN} of them:" if many > SHOWN else ""
    say(f"{place}: {name}, recognised by {sign}; {plural(many, 'paper')}{shown}")
    for kind, lines in (("note", snapshot.notes), ("doubt", snapshot.doubts)):
        for line in lines:
            say(f"    {kind}: {line}")
    for paper in snapshot.papers[:SHOWN]:
        day = paper.listed_on or paper.day_label or "no day"
        say(f"  {title_of(paper)}")
        facts = [keys_of(paper)[0], str(day), plural(len(paper.authors), "author")]
        if paper.upvotes:
            facts.append(plural(paper.upvotes, "upvote"))
        say(f"      {' · '.join(facts)} · {cut(paper.abstract or 'no abstract', 60)}")


def status_rows(found: Status) -> Iterator[dict[str, Any]]:
    """Yields the state as JSON rows: one for each source, then one for everything else."""
    reasons = {row.source: row.reason for row in reversed(found.snapshots)}
    remarks = {remark.source: remark for remark in found.remarks}
    for source in found.sources:
        yield {
            "source": source.name,
            "captured_at": iso(source.captured_at),
            "failing_since": iso(source.failing_since),
            "failure": source.failure,
            "snapshots": source.snapshots,
            "held": reasons.get(source.name),
            "held_snapshots": source.held,
            "papers": source.papers,
            "new": source.new,
            "learnt": source.learnt,
            "first_capture": source.opening,
            "notes": list(source.notes),
            "configured": source.name in found.configured,
            "remark": remarks[source.name].text if source.name in remarks else None,
            "rename_to": remarks[source.name].rename_to if source.name in remarks else None,
        }
    yield {
        "silence": found.idle_reason,
        "reasons": list(found.idle_reasons),
        "subscribers": {str(state): many for state, many in found.subscribers.items()},
        "next_due_at": iso(found.next_due_at),
        "queued": found.queued,
        "mails": {str(state): many for state, many in found.ended.items()},
        "held_snapshots": [row.id for row in found.snapshots],
        "held_editions": [row.id for row in found.editions],
        "backup": str(found.newest_backup) if found.newest_backup else None,
        "untold": list(found.untold),
        "erasing": found.is_erasing,
    }


def status_lines(found: Status) -> Iterator[str]:
    """Yields the state as readable lines, with the idle reasons last."""
    for source in filter(found.concerns, found.sources):
        gone = source.watched and source.name not in found.configured
        yield _source_line(source) + (" · not in the configuration" if gone else "")
        yield from (f"    note: {note}" for note in source.notes)
        yield from (f"    note: {one.text}" for one in found.remarks if one.source == source.name)
    for snapshot in found.snapshots:
        yield f"held snapshot {snapshot.id} of {snapshot.source} ({masked_url(snapshot.origin)})"
        yield from (f"    {line}" for line in (snapshot.reason, *snapshot.notes))
    for edition in found.editions:
        yield f"held edition {edition.id}: {edition.subject}"
        yield f"    {edition.reason}"
    if found.subscribers:
        counts = ", ".join(f"{many:,} {state}" for state, many in sorted(found.subscribers.items()))
        due = f"; first due {utc(found.next_due_at)}" if found.next_due_at else ""
        yield f"subscribers: {counts}{due}"
    if found.queued or found.ended:
        facts = [(found.queued, "waiting"), *((many, s) for s, many in sorted(found.ended.items()))]
        yield "mails: " + ", ".join(f"{many:,} {what}" for many, what in facts if many)
    if found.backups:
        yield f"newest automatic backup: {found.newest_backup or 'none yet'}"
    if found.is_erasing:
        yield (
            "erased addresses are still in the database's files; "
            "`newsletter serve` or the next `newsletter run` removes them"
        )
    yield from (f"not reported to the owner yet: {words}" for words in found.untold[:_UNTOLD])
    if (more := len(found.untold) - _UNTOLD) > 0:
        yield f"not reported to the owner yet: {plural(more, 'further problem')}"
    yield from found.idle_reasons


def _source_line(source: SourceStatus) -> str:
    facts = ["never captured"]
    if source.captured_at:
        facts = [f"last captured {utc(source.captured_at)}"]
    if source.snapshots:
        facts.append(f"{source.new} new of {source.papers} in the newest")
    if source.learnt:
        why = ": this was its first capture" if source.opening else ""
        facts.append(f"{source.learnt} learnt and not announced{why}")
    if source.held:
        facts.append(f"{source.held} held")
    if source.failing_since:
        facts.append(f"failing since {utc(source.failing_since)}")
    return f"{source.name}: " + " · ".join(facts)


def preview_row(written: Written, reasons: Sequence[str]) -> dict[str, Any]:
    """Returns a preview as a JSON row.

    Args:
        reasons: why the edition has not been sent yet.
    """
    return {
        "files": [str(path) for path in written.files],
        "papers": len(written.edition.entries),
        "subject": written.edition.parts[0].subject,
        "titles": list(written.edition.titles),
        "reasons": list(reasons),
    }


def preview_lines(written: Written, reasons: Sequence[str]) -> Iterator[str]:
    """Yields a preview as readable lines; the arguments are those of `preview_row`."""
    edition = written.edition
    yield f"{plural(len(edition.entries), 'paper')} · {edition.parts[0].subject}"
    yield from (f"  {path}" for path in written.files)
    yield from (f"  {reason}" for reason in reasons)


def snapshot_row(row: SnapshotRow) -> dict[str, Any]:
    """Returns a snapshot as a JSON row."""
    return {
        "snapshot": row.id,
        "source": row.source,
        "path": masked_url(row.origin),
        "captured_at": iso(row.captured_at),
        "state": row.state,
        "held": row.reason if row.state == "held" else None,
        "format": row.format,
        "papers": row.counts.papers,
        "new": row.counts.new,
        "size": row.size,
    }


def print_json(row: dict[str, Any]) -> None:
    """Prints one JSON object as a line of standard output."""
    write(json_line(row, ascii_only=not knows_unicode()))
