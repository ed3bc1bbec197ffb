"""The content of an edition: its days, papers and subject, and the levels of detail.

Only the values that themes, feeds and web pages show. `compose` creates them, `render`
renders them. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown of each paper. An edition that is too big uses the next lower level."""

    excerpts: int
    """Number of papers with an excerpt, including the first."""
    lead: int
    """Maximum characters of the first paper's excerpt."""
    excerpt: int
    """Maximum characters of the other excerpts."""


def details(excerpts: int) -> tuple[Detail, ...]:
    """Returns the levels by which an edition shrinks: shorter excerpts, then titles only."""
    return (
        Detail(excerpts, lead=320, excerpt=200),
        Detail(excerpts, lead=200, excerpt=140),
        Detail(0, lead=0, excerpt=0),
    )


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a paper. Without `url`, the label is a URL shown as text."""

    label: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """One paper as it is shown."""

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
        """The link to the paper's code, or `None`."""
        return next((link for link in self.links if link.label == "Code" and link.url), None)


@dataclass(frozen=True, slots=True)
class Day:
    """The papers of one day: first those with excerpts, then those without."""

    heading: str
    """Empty if the edition has a single day."""
    short: str
    """Name of the day within a sentence, such as `Tuesday`; empty if it is not known."""
    full: tuple[Block, ...]
    """Papers with an excerpt."""
    briefs: tuple[Block, ...]
    """Papers without an excerpt."""

    @property
    def count(self) -> int:
        """Number of the day's papers in this part."""
        return len(self.full) + len(self.briefs)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an edition that does not fit into a single message."""

    number: int = 1
    of: int = 1
    first: int = 0
    """Index of its first paper in reading order."""
    last: int | None = None
    """Index after its last paper, or `None` for all remaining papers."""


WHOLE = Part()
"""An edition that fits into one message."""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything an edition shows."""

    count: int
    """Number of new papers in the whole edition."""
    days: tuple[Day, ...]
    subject: str
    preheader: str
    dates: str
    """The days of its papers; empty if they are not known."""
    dateline: str
    credits: tuple[tuple[str, str | None], ...]
    sources: tuple[str, ...]
    part: Part
    more: int
    """Number of papers that are only on the web page."""

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
