"""Parsing captures, against the minimal code that extracts the same titles and abstracts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

import feedparser
from bs4 import BeautifulSoup

from newsletter import formats
from tests.benchmarks.invented import DAY, api_json, page, papers, text_capture
from tests.benchmarks.measure import Row, again, compare

Facts = list[tuple[str, str]]
"""Titles and abstracts."""

ROUNDS = 30


def run() -> Iterator[Row]:
    """Papers per second of each format."""
    yield _row("page of 100 vs whole page in BeautifulSoup", page(papers(0, 100)), _soup, 100)
    yield _row("API JSON of 50 vs json.loads alone", api_json(papers(0, 50)), _json, 50)
    yield _row("Atom of 500 vs feedparser alone", _atom(500), _feedparser, 500)
    yield _row("text of 176 vs lines in pairs", text_capture(papers(0, 176)), _pairs, 176)


def _row(what: str, data: bytes, other: Callable[[bytes], Facts], count: int) -> Row:
    ours = [(paper.title, paper.abstract) for paper in formats.parse(data, day=DAY).papers]
    if ours != other(data) or len(ours) != count:
        raise RuntimeError(f"{what}: not the same papers")
    parse = partial(formats.parse, data, day=DAY)
    taken = compare(again(parse), again(partial(other, data)), ROUNDS)
    return taken.rate(what, "papers", count)


def _atom(count: int) -> bytes:
    entries = "".join(
        f"<entry><id>tag:example.org,2026:{n}</id><title>{escape(paper.title)}</title>"
        f'<link href="https://example.org/{n}"/>'
        f"<updated>2026-11-{n % 28 + 1:02}T00:00:00Z</updated>"
        f"<author><name>Mira Okafor</name></author>"
        f"<summary>{escape(paper.abstract or '')}</summary></entry>"
        for n, paper in enumerate(papers(0, count))
    )
    head = '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
    return f"{head}<id>tag:example.org</id><title>Lamps</title>{entries}</feed>".encode()


def _feedparser(data: bytes) -> Facts:
    feed = feedparser.parse(data, sanitize_html=False, resolve_relative_uris=False)
    return [(entry.title, entry.summary) for entry in feed.entries]


def _soup(data: bytes) -> Facts:
    element = BeautifulSoup(data.decode(), "lxml").find(None, {"data-props": True})
    return _facts(json.loads(str(element["data-props"]))["dailyPapers"] if element else [])


def _json(data: bytes) -> Facts:
    return _facts(json.loads(data))


def _facts(rows: list[Any]) -> Facts:
    return [(row["title"], row["paper"]["summary"]) for row in rows]


def _pairs(data: bytes) -> Facts:
    lines = [line for line in data.decode().split("\n") if line][5:]
    return list(zip(lines[::2], lines[1::2], strict=True))
