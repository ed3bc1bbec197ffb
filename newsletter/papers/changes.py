"""Decides what each row of a capture changes: new, updated, relisted, withdrawn or nothing.

Pure: uses no database and no clock. `storage.log.append` writes the changes in one
transaction.
"""

from __future__ import annotations

import dataclasses
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from newsletter.models import Change, EntryKind, KnownPaper, Paper, Sighting
from newsletter.papers.identity import Identities, Keys, Match, keys_of_all
from newsletter.text.fingerprint import comparable

_WITHDRAWN = re.compile(
    r"(?:this|the) (?:paper|article|submission|manuscript|work|preprint) (?:has been|is|was) "
    r"(?:temporarily )?withdrawn\b|withdrawn by (?:the )?authors?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CapturedPaper:
    """One row of a capture, with its identity keys."""

    paper: Paper
    keys: Keys


@dataclass(frozen=True, slots=True)
class Rule:
    """Which papers are announced when their source lists them for the first time.

    The others are backfilled: from now on they count as listed by their source.

    With no field set, all are announced. A source's first ingest announces the papers of
    its latest day or, where days are not known, those of its last capture.
    """

    latest_day: date | None = None
    last_snapshot: int | None = None
    silent: bool = False

    def for_snapshot(self, snapshot: int) -> Callable[[Paper], bool]:
        """Returns a function that tells whether a paper of that snapshot is announced."""

        def announced(paper: Paper) -> bool:
            if self.silent:
                return False
            if self.latest_day and paper.listed_on:
                return paper.listed_on >= self.latest_day
            return self.last_snapshot in (None, snapshot)

        return announced


def captured_papers(papers: Sequence[Paper]) -> list[CapturedPaper]:
    """Prepares the rows of one capture: the expensive part, done before any lock is taken."""
    keyed = zip(papers, keys_of_all(papers), strict=True)
    return [CapturedPaper(paper, keys) for paper, keys in keyed]


def changes(
    lines: Sequence[CapturedPaper],
    identities: Identities,
    known: Mapping[int, KnownPaper],
    listing_days: Sequence[date],
    rule: Callable[[Paper], bool],
    *,
    silent: bool = False,
) -> list[Change]:
    """Returns the change for each paper of a capture, in order of its first row.

    Args:
        lines: the rows of the capture; several may describe the same paper.
        identities: which paper holds which key.
        known: what is known about every paper that holds one of the rows' keys.
        listing_days: the days for which the source has listed papers before, ascending.
        rule: returns whether a never announced paper is announced when its source lists it for
            the first time; otherwise it is backfilled.
        silent: the operator decided that none of the papers is ever announced.
    """
    return [
        _change(match, line.paper, known.get(match.paper), listing_days, rule, silent=silent)
        for match, line in _by_paper(lines, identities)
    ]


def _by_paper(
    lines: Sequence[CapturedPaper], identities: Identities
) -> Iterable[tuple[Match, CapturedPaper]]:
    """Merges the rows of the same paper into one; the first row takes precedence."""
    found: dict[int, tuple[Match, CapturedPaper]] = {}
    for line in lines:
        match = identities.match(line.keys)
        if match.paper in found:
            first, earlier = found[match.paper]
            claims = Match(match.paper, first.claims + match.claims)
            found[match.paper] = claims, _completed(earlier, line)
        else:
            found[match.paper] = match, line
    return found.values()


def _completed(first: CapturedPaper, other: CapturedPaper) -> CapturedPaper:
    row = merged(first.paper, other.paper, rewritten=False)
    days = [paper.listed_on for paper in (first.paper, other.paper) if paper.listed_on]
    row = dataclasses.replace(
        row,
        listed_on=max(days, default=None),
        upvotes=other.paper.upvotes if row.upvotes is None else row.upvotes,
        # A paper that any of the rows lists is listed, whatever the others report of it.
        revision=first.paper.revision and other.paper.revision,
    )
    return CapturedPaper(row, first.keys)


def _change(
    match: Match,
    row: Paper,
    known: KnownPaper | None,
    listing_days: Sequence[date],
    rule: Callable[[Paper], bool],
    *,
    silent: bool,
) -> Change:
    sighting = known.sighting if known else None
    stale = sighting is not None and sighting.later
    kind = _kind(row, known, listing_days, rule)
    was_withdrawn = sighting is not None and sighting.withdrawn
    withdrawn = was_withdrawn if stale else is_withdrawal(row)
    text, version = row, 1
    if known:
        rewritten = kind in (EntryKind.NEW, EntryKind.UPDATED, EntryKind.WITHDRAWN)
        text = known.paper if stale else merged(known.paper, row, rewritten=rewritten)
        version = known.version + (text.record() != known.paper.record())
    return Change(
        match.paper,
        row,
        match.claims,
        kind,
        text=text if known is None or version > known.version else None,
        version=version,
        record=_said(sighting, row),
        listed=is_listing(row) or (sighting is not None and sighting.listed),
        withdrawn=withdrawn,
        reinstated=was_withdrawn and not withdrawn,
        silent=silent and not (known and known.announced),
        stale=stale,
    )


def _kind(
    row: Paper,
    known: KnownPaper | None,
    listing_days: Sequence[date],
    rule: Callable[[Paper], bool],
) -> EntryKind | None:
    """Returns the kind of entry that a row appends, given what all sources have said before."""
    sighting = known.sighting if known else None
    undecided = known is None or not (known.announced or known.silent)
    first_listing = is_listing(row) and not (sighting and sighting.listed)
    if first_listing and undecided and rule(row):
        return EntryKind.NEW
    if sighting and sighting.later:
        return None
    if is_withdrawal(row) and not (known and known.withdrawn):
        return EntryKind.WITHDRAWN
    if undecided and (first_listing or sighting is None):
        return EntryKind.LEARNT
    if known and _differs(row, sighting.record if sighting else known.paper.record()):
        return EntryKind.UPDATED
    if sighting and is_relisted(row.listed_on, sighting, listing_days):
        return EntryKind.RELISTED
    return None


def is_listing(paper: Paper) -> bool:
    """Returns whether the row lists the paper, rather than only reporting a change to it."""
    return not (paper.revision or is_withdrawal(paper))


def is_withdrawal(paper: Paper) -> bool:
    """Returns whether the abstract is a withdrawal notice."""
    return _WITHDRAWN.match(paper.abstract or "") is not None


def is_relisted(day: date | None, sighting: Sighting, listing_days: Sequence[date]) -> bool:
    """Returns whether the source lists the paper again after it was off the list.

    With days, it is listed for a later day than its last, and the source listed other papers
    on a day between. Without days, it was absent from the source's previous snapshot.
    """
    if day is None or sighting.last_day is None:
        return not sighting.in_previous
    next_day = bisect_right(listing_days, sighting.last_day)
    return next_day < len(listing_days) and listing_days[next_day] < day


def _said(sighting: Sighting | None, row: Paper) -> dict[str, Any]:
    """Returns what the source says of the paper, updated by this row."""
    before, now = dict(sighting.record if sighting else {}), row.record()
    if row.untitled and before:
        now = {name: value for name, value in now.items() if name not in ("title", "untitled")}
    elif before.get("untitled"):
        del before["untitled"]
    return before | now


def _differs(row: Paper, record: Mapping[str, Any]) -> bool:
    """Whether title or abstract differ by more than white space, case and TeX.

    A field that is missing on either side does not count as a difference.
    """
    pairs = [(row.abstract, record.get("abstract"))]
    if not (row.untitled or record.get("untitled")):
        pairs.append((row.title, record["title"]))
    return any(
        now and before and now != before and comparable(now) != comparable(before)
        for now, before in pairs
    )


def merged(known: Paper, row: Paper, *, rewritten: bool) -> Paper:
    """Returns the known text, completed with the row's additional fields.

    A missing field never changes a present one. Title and abstract are replaced only
    when the paper was `rewritten`; other fields keep their first value.
    """
    added = {
        name: getattr(row, name)
        for name in row.record()
        if not getattr(known, name) or (rewritten and name in ("title", "abstract"))
    }
    if row.untitled:
        added = {name: value for name, value in added.items() if name not in ("title", "untitled")}
    elif known.untitled:
        added |= {"title": row.title, "untitled": False}
    return dataclasses.replace(known, **added)
