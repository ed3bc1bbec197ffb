"""Answers of a name server, and assertions about findings."""

from __future__ import annotations

import base64

from newsletter.app.doctor.findings import Finding, Level
from newsletter.app.doctor.records import dmarc
from newsletter.app.doctor.records.answers import Answer, Unanswered
from newsletter.app.doctor.records.dmarc import TreeWalk

HOME = "papers.harbour"


SILENT = Unanswered("no answer")


PUBLISH = "v=spf1 mx include:relay.quay ~all"


KEY = base64.b64encode(bytes(294)).decode()


def tree_walk(start: str, /, **found: Answer) -> TreeWalk:
    """Returns a tree walk from `start`; the keyword names, with `_` for `.`, have these answers."""
    known = {name.replace("_", "."): answer for name, answer in found.items()}
    made = TreeWalk(start)
    for name in dmarc.tree_walk_names(start):
        made = TreeWalk(start, (*made.answers, (name, known.get(name, ()))))
        if made.is_complete:
            break
    return made


def assert_finding(finding: Finding, level: Level, *words: str) -> None:
    """Asserts that the finding has this level, contains these words, and has a hint."""
    assert finding.level is level, finding
    assert finding.hint
    for word in words:
        assert word in f"{finding.what} {finding.hint} {finding.record}"
