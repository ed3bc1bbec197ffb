"""`suppressions`: lifts suppressions that were a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from newsletter.cli.base import json_option, with_app
from newsletter.cli.terminal import say

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.app.composition import App


@click.group()
def suppressions() -> None:
    """Lift suppressions of addresses that get no mail."""


@suppressions.command()
@click.option(
    "--since",
    required=True,
    metavar="TIME",
    help="2026-11-29, 2026-11-29T07:30 (UTC), or 2h for two hours ago.",
)
@json_option
@with_app
def undo(app: App, since: str, *, as_json: bool) -> None:
    """Reactivate subscribers that were suppressed since a time.

    For the time after your own mail server refused all mail. Only what servers refused is undone:
    subscribers who unsubscribed or asked to be forgotten stay away. They get what they missed
    with their next edition; `newsletter deliveries retry --edition` sends one again at once.
    """
    from newsletter.cli.output import print_json
    from newsletter.text.counted import plural

    back = app.subscribers.suppression_undo.undo(_time(since, app.clock()))
    if as_json:
        for address in back:
            print_json({"address": address, "state": "active"})
    else:
        say(f"Reactivated {plural(len(back), 'subscriber')}.")


def _time(text: str, now: datetime) -> datetime:
    """Returns the time meant: an ISO 8601 time, UTC unless it says otherwise, or so long ago.

    Raises:
        UsageError: it is neither.
    """
    from datetime import UTC, datetime

    from newsletter.config import values
    from newsletter.errors import UsageError

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - values.duration(text)
        except ValueError as fault:
            what = "write a time, such as 2026-11-29, 2026-11-29T07:30 or 2h"
            raise UsageError(what, where=f"--since {text}") from fault
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at > now:
        raise UsageError("write a time in the past", where=f"--since {text}")
    return at
