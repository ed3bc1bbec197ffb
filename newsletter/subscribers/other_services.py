"""Recognises the subscriber exports of other newsletter services, and what their rows mean. Pure.

Each service writes the state of a subscriber in columns of its own. A state that is not known is
an error, so that a new one is never taken for "active".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

Cells = Mapping[str, str]
"""The cells of a row by normalised name of their column."""

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?.*)?"
)


class Fate(StrEnum):
    """What becomes of a subscriber of another service."""

    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    """The address bounced, complained or was blocked: nothing is ever sent to it."""
    UNCONFIRMED = "unconfirmed"
    """There is no consent: the row is left out."""


@dataclass(frozen=True, slots=True)
class Record:
    """What another service recorded about a subscriber.

    Attributes:
        service: its name.
        since: when the subscriber consented, or left; `None` if that is not known.
    """

    service: str
    fate: Fate
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A newsletter service, and how its export is read.

    Attributes:
        signs: sets of columns, one of which its exports have.
        address: names of the column with the address; the first one that exists is used.
        state: returns the state of a row, and the cell with its date; raises `ValueError` for
            a state that is not known.
        remark: what the operator should know about its exports.
    """

    name: str
    signs: Collection[frozenset[str]]
    address: tuple[str, ...]
    state: Callable[[Cells], tuple[Fate, str]]
    remark: str = ""

    def record(self, cells: Cells) -> Record:
        """Returns what a row says.

        Raises:
            ValueError: its state is not known.
        """
        fate, since = self.state(cells)
        return Record(self.name, fate, time(since))


def recognised(columns: Collection[str]) -> Service | None:
    """Returns the service whose exports have these columns, or `None`.

    Args:
        columns: normalised names: lower case, with `_` for spaces and hyphens.
    """
    names = set(columns)
    for service in SERVICES:
        if any(sign <= names for sign in service.signs) and names & set(service.address):
            return service
    return None


def time(cell: str) -> datetime | None:
    """Returns the time in a cell, in UTC unless it has an offset; `None` if there is none."""
    found = _TIME.fullmatch(cell.strip())
    if not found:
        return None
    day, clock, offset = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset or 'Z'}")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _known(states: Mapping[str, Fate], column: str, cells: Cells) -> Fate:
    cell = cells.get(column, "").strip()
    if (fate := states.get(cell.casefold())) is None:
        raise ValueError(f"{column}: “{cell}” is not one of {', '.join(states)}")
    return fate


_LISTMONK = {
    "enabled": Fate.ACTIVE,
    "disabled": Fate.UNSUBSCRIBED,
    "blocklisted": Fate.SUPPRESSED,
}


def _listmonk(cells: Cells) -> tuple[Fate, str]:
    fate = _known(_LISTMONK, "status", cells)
    return fate, cells.get("created_at" if fate is Fate.ACTIVE else "updated_at", "")


_MAILCHIMP = ("member_rating", "leid", "unsub_time", "clean_time")


def _mailchimp(cells: Cells) -> tuple[Fate, str]:
    if cleaned := cells.get("clean_time"):
        return Fate.SUPPRESSED, cleaned
    if left := cells.get("unsub_time"):
        return Fate.UNSUBSCRIBED, left
    # The files of unsubscribed and cleaned contacts have these columns.
    for column in ("unsub_time", "clean_time"):
        if column in cells:
            raise ValueError(f"{column}: it is empty, so the state is not known")
    if "confirm_time" not in cells:
        raise ValueError("confirm_time: there is no such column, so the state is not known")
    # Contacts who only bought something, and pending ones, have no such time.
    confirmed = cells["confirm_time"]
    return (Fate.ACTIVE if confirmed else Fate.UNCONFIRMED), confirmed


_YES_NO = {"true": True, "false": False}


def _flag(column: str, cells: Cells) -> bool:
    cell = cells.get(column, "").strip()
    if (flag := _YES_NO.get(cell.casefold())) is None:
        raise ValueError(f"{column}: “{cell}” is neither true nor false")
    return flag


def _substack(cells: Cells) -> tuple[Fate, str]:
    if _flag("email_disabled", cells):
        return Fate.UNSUBSCRIBED, ""
    return Fate.ACTIVE, cells.get("created_at", "")


_BUTTONDOWN = {
    **dict.fromkeys(
        ("regular", "premium", "trialed", "unpaid", "gifted", "churning", "churned", "paused"),
        Fate.ACTIVE,
    ),
    "past_due": Fate.ACTIVE,
    "unactivated": Fate.UNCONFIRMED,
    "unsubscribed": Fate.UNSUBSCRIBED,
    "removed": Fate.UNSUBSCRIBED,
    **dict.fromkeys(("blocked", "complained", "spammy", "undeliverable"), Fate.SUPPRESSED),
}


def _buttondown(cells: Cells) -> tuple[Fate, str]:
    fate = _known(_BUTTONDOWN, "type" if "type" in cells else "subscriber_type", cells)
    return fate, cells.get("creation_date", "") if fate is Fate.ACTIVE else ""


def _ghost(cells: Cells) -> tuple[Fate, str]:
    if deleted := cells.get("deleted_at"):
        return Fate.UNSUBSCRIBED, deleted
    if not _flag("subscribed_to_emails", cells):
        return Fate.UNSUBSCRIBED, ""
    return Fate.ACTIVE, cells.get("created_at", "")


def _signs(*signs: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(sign.split()) for sign in signs)


_ADDRESS = ("email_address", "email", "e_mail")

SERVICES = (
    Service(
        "listmonk",
        _signs("uuid status"),
        _ADDRESS,
        _listmonk,
        "listmonk's export does not say who left a list, or never confirmed: export only the "
        "confirmed subscribers of a list, or everyone who left gets mail again",
    ),
    Service("Mailchimp", _signs(*_MAILCHIMP), _ADDRESS, _mailchimp),
    Service("Substack", _signs("email_disabled"), _ADDRESS, _substack),
    Service(
        "Buttondown",
        _signs("type creation_date", "subscriber_type"),
        _ADDRESS,
        _buttondown,
    ),
    Service("Ghost", _signs("subscribed_to_emails"), _ADDRESS, _ghost),
)
"""The services whose exports are recognised."""
