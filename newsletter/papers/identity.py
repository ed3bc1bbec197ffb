"""Decides which records are the same paper: by exact keys, never by similarity.

A paper is identified by its keys, strongest first: version-free arXiv id, DOI, OpenReview
id, canonical URL, title fingerprint. Pure: uses no database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from newsletter.models import Paper
from newsletter.text import urls
from newsletter.text.fingerprint import fingerprint, share_words

KINDS = ("arxiv", "doi", "openreview", "url", "title")
"""Kinds of key, strongest first."""

Keys = tuple[str, ...]
"""The keys of one paper as `kind:value`, strongest first; the title, if any, is last."""


def kind_of(key: str) -> str:
    """Returns the kind of a key: `arxiv` for `arxiv:2611.01234`."""
    return key.partition(":")[0]


def keys_of(paper: Paper) -> Keys:
    """Returns all keys under which this paper may be known."""
    url = paper.url or ""
    arxiv = paper.arxiv_id or urls.arxiv_id(paper.doi or "") or urls.arxiv_id(url)
    doi = urls.doi(paper.doi or "") or urls.doi(url)
    openreview = paper.openreview_id or urls.openreview_id(url)
    page = None if arxiv and urls.arxiv_id(url) else urls.canonical(url)
    title = None if paper.untitled else fingerprint(paper.title)
    values = zip(KINDS, (arxiv, doi, openreview, page, title), strict=True)
    return tuple(f"{kind}:{value}" for kind, value in values if value)


def keys_of_all(papers: Sequence[Paper]) -> list[Keys]:
    """Returns the keys of every row of one capture.

    A URL shared by rows with different titles identifies none of them (as in a feed that
    links every item to its front page), so it is not used as a key there.
    """
    keys = [keys_of(paper) for paper in papers]
    pairs = {(key, p.title) for p, row in zip(papers, keys, strict=True) for key in row}
    titles_at = Counter(key for key, _ in pairs)
    shared = {key for key, titles in titles_at.items() if titles > 1 and kind_of(key) == "url"}
    return [tuple(key for key in row if key not in shared) for row in keys] if shared else keys


@dataclass(frozen=True, slots=True)
class Match:
    """The paper that one row of a capture describes.

    Attributes:
        paper: id of the known paper, or a unique negative number for a previously unseen one.
        claims: its keys that no paper held before; they belong to this paper from now on.
    """

    paper: int
    claims: Keys


class Identities:
    """Which paper holds which key, for the papers that a capture may concern.

    Args:
        owners: maps keys to paper ids; must have all keys of every paper in it.
    """

    def __init__(self, owners: Mapping[str, int]) -> None:
        self._owners = dict(owners)
        self._kinds: dict[int, set[str]] = {}
        self._titles: dict[int, list[str]] = {}
        self._unseen = 0
        for key, paper in owners.items():
            self._learn(key, paper)

    def match(self, keys: Keys) -> Match:
        """Returns the paper that these keys identify, and assigns it the keys no paper held.

        The strongest key decides. A key matches only if the two sides have no stronger kind
        of key in common, since those values would differ: two arXiv ids are two papers
        whatever their titles, and a title matches only records without another kind of key
        in common. A URL alone does not identify a paper with a very different title: some pages
        show another paper each day.
        """
        paper = self._holder(keys)
        if paper is None:
            self._unseen -= 1
            paper = self._unseen
        claims = tuple(key for key in keys if key not in self._owners)
        for key in claims:
            self._owners[key] = paper
            self._learn(key, paper)
        return Match(paper, claims)

    def _learn(self, key: str, paper: int) -> None:
        kind, _, value = key.partition(":")
        self._kinds.setdefault(paper, set()).add(kind)
        if kind == "title":
            self._titles.setdefault(paper, []).append(value)

    def _holder(self, keys: Keys) -> int | None:
        stronger: set[str] = set()
        for key in keys:
            holder = self._owners.get(key)
            if holder is not None and not stronger & self._kinds[holder]:
                if kind_of(key) != "url" or self._may_be_titled(holder, keys[-1]):
                    return holder
                continue  # the URL proves nothing, so the title may decide
            stronger.add(kind_of(key))
        return None

    def _may_be_titled(self, paper: int, title: str) -> bool:
        """Whether a row's last key is not a title, or is a title like one of the paper's."""
        kind, _, value = title.partition(":")
        titles = self._titles.get(paper)
        return kind != "title" or not titles or any(share_words(value, one) for one in titles)

    def renamed(self, rows: Iterable[Keys]) -> int:
        """Counts rows with the title of a known paper but an unknown key of a kind it has.

        Many at once mean that the source changed its ids.
        """
        return sum(self._is_renamed(keys) for keys in rows)

    def _is_renamed(self, keys: Keys) -> bool:
        *stronger, title = keys
        holder = self._owners.get(title)
        if holder is None or kind_of(title) != "title":
            return False
        others = [key for key in stronger if kind_of(key) in self._kinds[holder]]
        return bool(others) and not any(key in self._owners for key in others)
