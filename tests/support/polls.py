"""A daily page polled for a long time, as a feed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from newsletter.models import Capture
from tests.support.soak import SOAK

START = datetime(2025, 5, 30, 0, 2, tzinfo=UTC)

POLLS = 463 if SOAK else 70


def feed(ids: list[int], at: datetime) -> Capture:
    """Returns a poll of the page as a feed."""
    items = "".join(
        f"<item><title>{escape(f'Lantern {n} & the <harbour>')}</title>"
        f"<link>https://arxiv.org/abs/2511.{n:05}</link><description>&lt;p&gt;&lt;b&gt;Upvotes:"
        f"&lt;/b&gt; {n % 50}&lt;/p&gt;&lt;p&gt;&lt;b&gt;Summary:&lt;/b&gt; We light {n}.&lt;/p&gt;"
        "</description></item>"
        for n in ids
    )
    data = f"<rss version='2.0'><channel><title>Daily</title>{items}</channel></rss>"
    return Capture(data.encode(), f"{at:%Y-%m-%dT%H-%M-%S}.xml", at)


def polls() -> Iterator[tuple[list[int], datetime]]:
    """Yields the papers that the page shows at each poll."""
    dice = random.Random(463)
    first, shown = 1, list[int]()
    for number in range(POLLS):
        at = START + timedelta(days=number)
        if at.weekday() < 5:
            size = dice.choice([1, 3] if number in (39, 60) else range(18, 48))
            shown = list(range(first, first + size))
            first += size
        elif dice.random() < 0.3:  # the frozen list still grows
            shown = [*shown, *range(first, first + 3)]
            first += 3
        yield dice.sample(shown, len(shown)), at
