"""BibTeX: entries with title, authors, abstract and the ids they carry.

Macros (`@string`), concatenation and cross-references are not supported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from newsletter.errors import SnapshotUnreadable
from newsletter.formats.base import Document, Format, iso_day
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean

NAME = "bibtex"
_KINDS = (
    "article|book|booklet|conference|inbook|incollection|inproceedings|manual|mastersthesis|misc|"
    "online|phdthesis|preprint|proceedings|techreport|thesis|unpublished|string|preamble|comment"
)
# Possessive quantifiers throughout, because many empty lines would cause heavy backtracking.
_START = re.compile(rf"(?:[^\S\n]*+(?:%[^\n]*+)?\n)*+\s*+@(?:{_KINDS})\s*+[{{(]", re.IGNORECASE)
_ENTRY = re.compile(r"^[ \t]*@([A-Za-z]+)\s*[{(]\s*", re.MULTILINE)
_NO_PAPERS = ("string", "preamble", "comment")
_FIELD = re.compile(r"[,\s]*([A-Za-z][\w+:.-]*)\s*=\s*")
_KEY = re.compile(r"[^,\s{}()=]*\s*(?=,)")
_ENTRY_END = re.compile(r"[,\s]*[})]")
_PIECE = re.compile(r"\\.|[{}\"]|[^\\{}\"]+", re.DOTALL)
_BARE = re.compile(r"[^,{}()\"\s]*")
_GROUP = re.compile(r"(\\[A-Za-z]+\*?\s*|\\[^A-Za-z]\s*|[_^]|\$)?\{([^{}\\$]*)\}")
_AND = re.compile(" and ", re.IGNORECASE)
_IN_JOURNAL = re.compile(r"\barXiv:(\S+)", re.IGNORECASE)


def recognise(document: Document) -> str | None:
    """Recognises text that begins with a BibTeX entry, possibly after comments."""
    return "BibTeX entries" if _START.match(document.text[:4096]) else None


def parse(document: Document) -> Snapshot:
    """Parses the entries that have a title, in order."""
    entries, papers, doubts = 0, [], []
    for number, fields in _entries(document.text):
        entries += 1
        if fields is None:
            doubts.append(f"line {number}: an entry that does not end; the capture may be cut")
        elif paper := _paper(fields):
            papers.append(paper)
    if not papers:
        raise SnapshotUnreadable(
            f"none of the {entries} BibTeX entries has a title", hint="look at it"
        )
    notes = []
    if missing := entries - len(papers) - len(doubts):
        notes.append(f"{missing} of {entries} entries had no title and were left out")
    return Snapshot(NAME, tuple(papers), tuple(notes), tuple(doubts[:1]))


def _entries(text: str) -> Iterator[tuple[int, dict[str, str] | None]]:
    """Yields the first line and the fields of each entry; `None` if the entry does not end."""
    at, line, counted = 0, 1, 0
    while match := _ENTRY.search(text, at):
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        if match[1].lower() in _NO_PAPERS:
            at = match.end()
            continue
        fields, at = _fields(text, match.end())
        yield line, fields


def _fields(text: str, at: int) -> tuple[dict[str, str] | None, int]:
    """Returns the fields from a position to the end of the entry, and where it ends."""
    fields: dict[str, str] = {}
    if key := _KEY.match(text, at):
        at = key.end()
    while field := _FIELD.match(text, at):
        value, at = _value(text, field.end())
        if value is None:
            return None, at
        fields.setdefault(field[1].lower(), value)
    rest = _ENTRY_END.match(text, at)
    return (fields, rest.end()) if rest else (None, max(at, 1))


def _value(text: str, at: int) -> tuple[str | None, int]:
    """Returns a value without its braces or quotes, and where it ends."""
    if text[at : at + 1] not in ("{", '"'):
        bare = _BARE.match(text, at)
        return (bare[0], bare.end()) if bare else ("", at)
    quoted, depth, start = text[at] == '"', 0, at + 1
    at = start
    while piece := _PIECE.match(text, at):
        at = piece.end()
        if piece[0] == "}" and not depth and not quoted:
            return text[start : at - 1], at
        if piece[0] == '"' and quoted and not depth:
            return text[start : at - 1], at
        depth += (piece[0] == "{") - (piece[0] == "}")
    return None, len(text)


def _paper(fields: dict[str, str]) -> Paper | None:
    title = _plain(fields.get("title", ""))
    if not title:
        return None
    url = clean(fields.get("url", "")) or None
    return Paper(
        title=title,
        abstract=_plain(fields.get("abstract", "")) or None,
        authors=_authors(fields.get("author", "")),
        arxiv_id=_arxiv_id(fields),
        doi=urls.doi(fields.get("doi", "")),
        openreview_id=urls.openreview_id(url) if url else None,
        url=url,
        published_on=iso_day(fields.get("date")),
    )


def _arxiv_id(fields: dict[str, str]) -> str | None:
    """Returns the id from `eprint` (unless of another archive), the URL, DOI or journal."""
    archive = fields.get("archiveprefix") or fields.get("eprinttype") or "arxiv"
    eprint = fields.get("eprint", "") if archive.strip().lower() == "arxiv" else ""
    journal = _IN_JOURNAL.search(fields.get("journal", ""))
    values = (eprint, fields.get("url", ""), fields.get("doi", ""), journal[1] if journal else "")
    return next((found for value in values if value and (found := urls.arxiv_id(value))), None)


def _authors(value: str) -> tuple[str, ...]:
    names = (_plain(_turned(name)) for name in _AND.split(" ".join(value.split())))
    return tuple(name for name in names if name and name.lower() != "others")


def _turned(name: str) -> str:
    """Turns `Lovelace, Ada` into `Ada Lovelace`. A name in braces is that of a group."""
    parts = [] if name.lstrip().startswith("{") else [part.strip() for part in name.split(",")]
    return f"{parts[-1]} {' '.join(parts[:-1])}" if len(parts) in (2, 3) else name


def _plain(value: str) -> str:
    """Removes braces that only protect capitals. Braces that TeX needs stay."""
    text = clean(value)
    for _ in range(3):
        text = _GROUP.sub(lambda found: found[0] if found[1] else found[2], text)
    return text


FORMAT = Format(NAME, recognise, parse)
