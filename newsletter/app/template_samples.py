"""Sample values with which every page and every notice can be rendered, to check its template.

Each page has a sample for each of its states, so that most branches of its template are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from newsletter.app.inspection import sample_entries
from newsletter.app.site import EMPTY_ARCHIVE
from newsletter.editions.build import credits_of
from newsletter.editions.compose import compose
from newsletter.editions.content import Content, Detail

Facts = Mapping[str, object]

_LINK = "https://papers.example.org/confirm/sample"
_NOT_SAVED = "Write a date, such as 2026-12-24."


@cache
def _content() -> Content:
    entries = sample_entries()
    return compose(entries, Detail(excerpts=3, lead=600, excerpt=400), credits_of(entries))


def page_samples() -> Mapping[str, Sequence[Facts]]:
    """Returns the values of each page: its template's name in `web/` without the suffix."""
    content, action, none = _content(), "/sample", ""
    with_papers: Facts = {"content": content, "label": "Thursday 19 November 2026"}
    return {
        "front": [
            {
                "form": {"started": "sample", "problem": none, "address": none},
                "content": content,
                "edition_url": "/editions/sample",
            },
            {
                "form": {"started": "sample", "problem": "Not an address.", "address": "ada@"},
                "content": None,
                "edition_url": none,
            },
        ],
        "archive": _archives(content),
        "day": [
            {**with_papers, "previous_url": "/archive/sample", "next_url": "/archive/sample"},
            {**with_papers, "previous_url": none, "next_url": none},
        ],
        "edition": [{**with_papers, "subject": content.subject}],
        "message": [
            {"heading": "Sample", "text": "Sample.", "link_url": url, "link_label": "Sample"}
            for url in ("/", none)
        ],
        "sent": [{"what": what, "days": 3} for what in ("confirm", "settings")],
        "confirm": [{"action": action, "what": what} for what in ("signup", "change")],
        "confirmed": [
            {"settings_url": action, "what": what, "came": came, "welcome": welcome, "due": due}
            for due in ("on Monday at 07:30", none)
            for what, came, welcome in (
                ("signup", True, True),
                ("signup", True, False),
                ("signup", False, False),
                ("change", False, False),
            )
        ],
        "settings": _settings(action),
        "unsubscribe": [{"action": action}],
        "unsubscribed": [
            {"action": action, "undone": undone, "reason_saved": saved}
            for undone, saved in ((False, False), (False, True), (True, False))
        ],
    }


def _archives(content: Content) -> list[Facts]:
    row = {"url": "/sample", "label": "Thursday 19 November 2026", "count": 2}
    empty = EMPTY_ARCHIVE
    return [
        empty,
        {**empty, "query": "sample", "found": []},
        {**empty, "query": "sample", "found": list(content.blocks), "more_url": "/sample"},
        {
            **empty,
            "days": [row],
            "editions": [{**row, "subject": content.subject}],
            "older_url": "/sample",
            "newer_url": "/sample",
        },
    ]


def _settings(action: str) -> list[Facts]:
    who = {
        "address": "ada@example.org",
        "state": "active",
        "cadence": "weekly",
        "day": "mon",
        "monthday": 1,
        "send_at": "07:30",
        "time_zone": "Europe/Berlin",
        "paused_until": "",
    }
    facts: Facts = {
        "action": action,
        "who": who,
        "zones": ["Europe/Berlin", "UTC"],
        "saved": "",
        "problem": "",
        "newsletter_send_at": "07:30",
        "newsletter_time_zone": "UTC",
    }
    paused = {**who, "state": "paused", "paused_until": "2026-12-24", "time_zone": "Old/Zone"}
    return [
        {**facts, "saved": "Saved."},
        {**facts, "who": paused, "problem": _NOT_SAVED},
        {**facts, "problem": _NOT_SAVED, "problem_in": "until"},
    ]


def notice_samples(name: str) -> Mapping[str, Sequence[Facts]]:
    """Returns the values of each notice: its template's name in `mail/` without the suffix.

    Args:
        name: the newsletter's name.
    """
    trouble = "The source sample fails."
    links: Facts = {"name": name, "link": _LINK, "settings": _LINK}
    week: Facts = {
        "name": name,
        "since": "2026-11-16",
        "papers": 1_204,
        "mails": 31_000,
        "active": 4_400,
        "paused": 12,
        "came": 40,
        "left": 3,
    }
    return {
        "test": [{"name": name, "at": "2026-11-20 07:30 UTC", "through": "mail.example.org:465"}],
        "report": [
            {"name": name, "troubles": [trouble], "faults": [trouble]},
            {"name": name, "troubles": [], "faults": []},
        ],
        "weekly": [
            {**week, "ended": ["2 refused"], "troubles": [trouble]},
            {**week, "ended": [], "troubles": []},
        ],
        **{kind: [links] for kind in ("confirm", "known", "settings", "change", "changed")},
    }
