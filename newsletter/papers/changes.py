"""Decides what each row of a capture changes: new, updated, relisted, withdrawn or nothing.

Pure: uses no database and no clock. `storage.log.append` writes the changes in one
transaction.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from newsletter.models import Change, EntryKind, Fingerprints, KnownPaper, Paper
from newsletter.papers.identity import Identities, Keys, Match, keys_of_all
from newsletter.text.fingerprint import comparable

_WITHDRAWN = re.compile(
    r"(?:this|the) (?:paper|article|submission|manuscript|work|preprint) (?:has been|is|was) "
    r"(?:temporarily )?withdrawn\b|withdrawn by (?:the )?authors?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CapturedPaper:
    """One row of a capture, with its identity keys and fingerprints."""

    paper: Paper
    keys: Keys
    said: Fingerprints


@dataclass(frozen=True, slots=True)
class Rule:
    """Which previously unseen papers are announced; the others are backfilled.

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


def fingerprints_of(paper: Paper) -> Fingerprints:
    """Returns the fingerprints of a paper; they ignore differences in white space, case and TeX."""
    return Fingerprints(
        "" if paper.untitled else _digest(paper.title),
        _digest(paper.abstract) if paper.abstract else "",
    )


def captured_papers(papers: Sequence[Paper]) -> list[CapturedPaper]:
    """Prepares the rows of one capture: the expensive part, done before any lock is taken."""
    keyed = zip(papers, keys_of_all(papers), strict=True)
    return [CapturedPaper(paper, keys, fingerprints_of(paper)) for paper, keys in keyed]


def changes(
    lines: Sequence[CapturedPaper],
    identities: Identities,
    known: Mapping[int, KnownPaper],
    listing_days: Sequence[date],
    announce: Callable[[Paper], bool],
) -> list[Change]:
    """Returns the change for each paper of a capture, in order of its first row.

    Args:
        lines: the rows of the capture; several may describe the same paper.
        identities: which paper holds which key.
        known: what is known about every paper that holds one of the rows' keys.
        listing_days: the days for which the source has listed papers before, ascending.
        announce: returns whether a previously unseen paper is announced or only backfilled.
    """
    return [
        _first_seen(match, line, announce)
        if match.paper < 0
        else _seen_again(match, line, known[match.paper], listing_days)
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
            first, known = found[match.paper]
            claims = Match(match.paper, first.claims + match.claims)
            found[match.paper] = claims, _completed(known, line)
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
    )
    return CapturedPaper(row, first.keys, fingerprints_of(row))


def _first_seen(match: Match, line: CapturedPaper, announce: Callable[[Paper], bool]) -> Change:
    row = line.paper
    if is_withdrawal(row):
        kind = EntryKind.WITHDRAWN
    elif row.revision or not announce(row):
        kind = EntryKind.LEARNT
    else:
        kind = EntryKind.NEW
    return Change(match.paper, row, line.said, match.claims, kind, text=row, version=1)


def _seen_again(
    match: Match, line: CapturedPaper, known: KnownPaper, listing_days: Sequence[date]
) -> Change:
    row = line.paper
    if known.later:
        return Change(
            match.paper, row, line.said, match.claims, None, None, known.version, stale=True
        )
    if is_withdrawal(row) and not known.withdrawn:
        kind: EntryKind | None = EntryKind.WITHDRAWN
    elif (known.said or fingerprints_of(known.paper)).changed_by(line.said):
        kind = EntryKind.UPDATED
    elif is_relisted(row.listed_on, known, listing_days):
        kind = EntryKind.RELISTED
    else:
        kind = None
    rewritten = kind in (EntryKind.UPDATED, EntryKind.WITHDRAWN)
    text = merged(known.paper, row, rewritten=rewritten)
    unchanged = text.record() == known.paper.record()
    return Change(
        match.paper,
        row,
        line.said,
        match.claims,
        kind,
        text=None if unchanged else text,
        version=known.version + (not unchanged),
    )


def is_withdrawal(paper: Paper) -> bool:
    """Returns whether the abstract is a withdrawal notice."""
    return _WITHDRAWN.match(paper.abstract or "") is not None


def is_relisted(day: date | None, known: KnownPaper, listing_days: Sequence[date]) -> bool:
    """Returns whether the source lists the paper again after it was off the list.

    With days, it is listed for a later day than its last, and the source listed other papers
    on a day between. Without days, it was absent from the source's previous snapshot.
    """
    if known.said is None:
        return False
    if day is None or known.last_day is None:
        return not known.in_previous
    next_day = bisect_right(listing_days, known.last_day)
    return next_day < len(listing_days) and listing_days[next_day] < day


def merged(known: Paper, row: Paper, *, rewritten: bool) -> Paper:
    """Returns the known text completed with what the row adds.

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


def _digest(text: str) -> str:
    return hashlib.blake2b(comparable(text).encode(), digest_size=8).hexdigest()
