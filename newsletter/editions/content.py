"""What an edition says: its days, its papers, its subject; and how much is said of each.

Only the values that themes, feeds and pages read. `compose` makes them, `render` gives
them their look. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is said of each paper. Editions that are too big take the next one."""

    excerpts: int
    """Papers with an excerpt, the lead among them."""
    lead: int
    """Characters of the first paper's excerpt."""
    excerpt: int
    """Characters of the others'."""


def details(excerpts: int) -> tuple[Detail, ...]:
    """The steps in which an edition shrinks: shorter excerpts, then titles only."""
    return (
        Detail(excerpts, lead=320, excerpt=200),
        Detail(excerpts, lead=200, excerpt=140),
        Detail(0, lead=0, excerpt=0),
    )


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a paper. Without `url` the label itself is an address shown as text."""

    label: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """One paper as shown."""

    number: int
    title: str
    url: str | None
    votes: int
    byline: str
    organisation: str
    submitter: str
    excerpt: str
    links: tuple[Link, ...]
    lead: bool = False
    brief: bool = False

    @property
    def code(self) -> Link | None:
        """The link to its code, if it has one."""
        return next((link for link in self.links if link.label == "Code" and link.url), None)


@dataclass(frozen=True, slots=True)
class Day:
    """The papers of one day: first those with excerpts, then the briefs."""

    heading: str
    """Empty when the edition has one day only."""
    short: str
    """`Tuesday`, or what else names the day in a sentence; empty when nothing does."""
    full: tuple[Block, ...]
    briefs: tuple[Block, ...]

    @property
    def count(self) -> int:
        """Papers of the day in this part."""
        return len(self.full) + len(self.briefs)


@dataclass(frozen=True, slots=True)
class Part:
    """Which piece of an edition this is, when it does not fit into one mail."""

    number: int = 1
    of: int = 1
    first: int = 0
    """Index of its first paper in reading order."""
    last: int | None = None
    """Index after its last paper; `None` for all that follow."""


WHOLE = Part()
"""An edition that is one mail."""


@dataclass(frozen=True, slots=True)
class Content:
    """All that an edition says."""

    count: int
    """New papers in the whole edition."""
    days: tuple[Day, ...]
    subject: str
    preheader: str
    dates: str
    """The days its papers are from; empty where nothing says."""
    summary: str
    credits: tuple[tuple[str, str | None], ...]
    sources: tuple[str, ...]
    part: Part
    more: int
    """Papers that are only on the web."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every paper shown, in order."""
        return tuple(block for day in self.days for block in (*day.full, *day.briefs))

    @property
    def titles(self) -> tuple[str, ...]:
        """Every title shown, in order."""
        return tuple(block.title for block in self.blocks)

    @property
    def votes(self) -> bool:
        """Whether any vote count is shown."""
        return any(block.votes for block in self.blocks)
