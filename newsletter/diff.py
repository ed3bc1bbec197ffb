"""What a capture changes: for each of its rows, new, updated, relisted, withdrawn or nothing.

Decides over values; touches no database and no clock. What it decides is carried
out, in one transaction, by `storage.log.append`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from newsletter.identity import Identities, Keys, Match, keys_of_all
from newsletter.models import EntryKind, Paper
from newsletter.tex import comparable

_WITHDRAWN = re.compile(
    r"(?:this|the) (?:paper|article|submission|manuscript|work|preprint) (?:has been|is|was) "
    r"(?:temporarily )?withdrawn\b|withdrawn by (?:the )?authors?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a description says, as two fingerprints; an absent abstract has none."""

    title: str
    abstract: str = ""

    @classmethod
    def by(cls, paper: Paper) -> Said:
        """Equal for descriptions that differ in white space, case and TeX only."""
        return cls(_digest(paper.title), _digest(paper.abstract) if paper.abstract else "")

    def changed_by(self, later: Said) -> bool:
        """Whether `later` says something else; what it leaves out is no change."""
        both = self.abstract and later.abstract
        return self.title != later.title or bool(both and self.abstract != later.abstract)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a capture with what identity and comparison need of it."""

    paper: Paper
    keys: Keys
    said: Said


def lines_of(papers: Sequence[Paper]) -> list[Line]:
    """The rows of one capture, prepared: the costly part, done before any lock is held."""
    keyed = zip(papers, keys_of_all(papers), strict=True)
    return [Line(paper, keys, Said.by(paper)) for paper, keys in keyed]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a paper when a capture of one source arrives.

    Attributes:
        paper: its newest text.
        version: the number of that text.
        withdrawn: whether a `withdrawn` entry exists.
        said: what this source said of it last; `None` if it never listed it.
        last_day: the newest day for which this source listed it.
        in_previous: whether this source's previous snapshot listed it.
    """

    paper: Paper
    version: int
    withdrawn: bool = False
    said: Said | None = None
    last_day: date | None = None
    in_previous: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """What one row of a capture does to what is known.

    Attributes:
        paper: the paper's number, negative for one nobody has seen.
        row: the row as captured.
        said: what it says.
        claims: keys the paper holds from now on.
        kind: the entry to append, if any.
        text: the paper's new text, when it differs from the newest one.
        version: the number of the text the entry points to.
    """

    paper: int
    row: Paper
    said: Said
    claims: Keys
    kind: EntryKind | None
    text: Paper | None
    version: int


def changes(
    lines: Sequence[Line],
    identities: Identities,
    known: Mapping[int, Known],
    listing_days: Sequence[date],
    announce: Callable[[Paper], bool],
) -> list[Change]:
    """What each row does, in order; of rows that are one paper, the first counts.

    Args:
        lines: the rows of the capture.
        identities: who holds their keys.
        known: what is known of every paper that holds one of them.
        listing_days: the days for which the source listed anything before, ascending.
        announce: whether a paper nobody has seen is announced, or only learnt.
    """
    made: dict[int, Change] = {}
    for line in lines:
        match = identities.match(line.keys)
        if first := made.get(match.paper):
            made[match.paper] = dataclasses.replace(first, claims=first.claims + match.claims)
        elif match.paper < 0:
            made[match.paper] = _first_seen(match, line, announce)
        else:
            made[match.paper] = _seen_again(match, line, known[match.paper], listing_days)
    return list(made.values())


def _first_seen(match: Match, line: Line, announce: Callable[[Paper], bool]) -> Change:
    row = line.paper
    if is_withdrawal(row):
        kind = EntryKind.WITHDRAWN
    elif row.revision or not announce(row):
        kind = EntryKind.LEARNT
    else:
        kind = EntryKind.NEW
    return Change(match.paper, row, line.said, match.claims, kind, text=row, version=1)


def _seen_again(match: Match, line: Line, known: Known, listing_days: Sequence[date]) -> Change:
    row = line.paper
    if is_withdrawal(row) and not known.withdrawn:
        kind: EntryKind | None = EntryKind.WITHDRAWN
    elif (known.said or Said.by(known.paper)).changed_by(line.said):
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
    """Whether the abstract is the notice that stands in place of a withdrawn paper's."""
    return _WITHDRAWN.match(paper.abstract or "") is not None


def is_relisted(day: date | None, known: Known, listing_days: Sequence[date]) -> bool:
    """Whether the source lists the paper again after it had left its list.

    With days: for a later day than the last, and the source listed others on a day
    between. Without: it was absent from the source's previous snapshot.
    """
    if known.said is None:
        return False
    if day is None or known.last_day is None:
        return not known.in_previous
    next_day = bisect_right(listing_days, known.last_day)
    return next_day < len(listing_days) and listing_days[next_day] < day


def merged(known: Paper, row: Paper, *, rewritten: bool) -> Paper:
    """The known text with what the row adds to it.

    A missing field never changes a present one. Title and abstract are replaced only
    when the paper was `rewritten`; other facts keep what was said first.
    """
    added = {
        name: getattr(row, name)
        for name in row.record()
        if not getattr(known, name) or (rewritten and name in ("title", "abstract"))
    }
    return dataclasses.replace(known, **added)


def _digest(text: str) -> str:
    return hashlib.blake2b(comparable(text).encode(), digest_size=8).hexdigest()
