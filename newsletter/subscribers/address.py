"""Addresses of people: as they are shown, as mail needs them, and as duplicates are told. Pure.

What is accepted here can stand in a header and in a command to a mail server: nothing in
it ends a line, an address or an argument, and nothing in it is invisible.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from email_validator import ValidatedEmail, validate_email

from newsletter.config import values
from newsletter.text.clean import clean, cut

LONGEST = 254
"""Octets of the longest address that mail has."""
LONGEST_LOCAL = 64
"""Octets of the longest part before the `@`."""

_LONGEST_WRITTEN = 1_000  # characters; decomposed ones are more than those they become
_DOMAINS = 20_000
_STAND_IN = "a"  # for the other part, while one is looked at; never longer than a real one
_REASON = 120
_LOCALHOST = values.LOOPBACK[0]
# Needs no library: most addresses are like that, and a file may have a million.
_PLAIN = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9.-]+")
_ACTING = re.compile(r'[\x00-\x20\x7f-\x9f\s<>"(),:;\\]|=\?')


@dataclass(frozen=True, slots=True)
class Address:
    """One person's address.

    Attributes:
        display: for people: the local part as written, the domain in its own script.
        normal: equal for addresses that differ in case or in how accents are encoded only.
        local: the part before the `@`, as written, composed (NFC).
        domain: in ASCII and lower case.
    """

    display: str
    normal: str
    local: str
    domain: str

    @property
    def spec(self) -> str:
        """What a header and a mail server get."""
        return f"{self.local}@{self.domain}"


def parse_address(text: str) -> Address:
    """The address, without outer white space.

    Raises:
        ValueError: it is none, or one that mail has no room for; says why.
    """
    written = text.strip()
    if len(written) > (LONGEST if written.isascii() else _LONGEST_WRITTEN):
        raise ValueError(_too_long())
    if not _PLAIN.fullmatch(written):
        written = _checked(unicodedata.normalize("NFC", written))
    local, _, written_domain = written.partition("@")
    domain, shown = _domain(written_domain)
    found = Address(f"{local}@{shown}", f"{_folded(local)}@{domain}", local, domain)
    if max(len(form.encode()) for form in (found.display, found.normal, found.spec)) > LONGEST:
        raise ValueError(_too_long())
    if len(local.encode()) > LONGEST_LOCAL:
        raise ValueError(f'longer before the "@" than mail allows ({LONGEST_LOCAL} bytes)')
    return found


def parse_address_or_none(text: str) -> Address | None:
    """The address; `None` if it is none."""
    try:
        return parse_address(text)
    except ValueError:
        return None


def normal_form(text: str) -> str:
    """An address as it is compared; of what is none, the text without its case."""
    found = parse_address_or_none(text)
    return found.normal if found else text.casefold()


def _checked(written: str) -> str:
    """The same text, if it has one `@` and a part before it that mail allows."""
    if not written:
        raise ValueError('write an address, such as "mira@example.org"')
    if "\ufffd" in written:
        raise ValueError("it was written in another encoding; save the file as UTF-8")
    if _ACTING.search(written):
        raise ValueError("write the address alone: no name, space, bracket or other sign")
    if written.count("@") != 1:
        raise ValueError('an address has one "@"')
    _asked(f"{written.partition('@')[0]}@{_STAND_IN}")
    return written


@lru_cache(maxsize=_DOMAINS)
def _domain(written: str) -> tuple[str, str]:
    """The domain in ASCII, and as it is shown."""
    if written.lower() == _LOCALHOST:  # the library knows no mail that stays on a machine
        return _LOCALHOST, _LOCALHOST
    found = _asked(f"{_STAND_IN}@{written}")
    name, dot, last = found.ascii_domain.rpartition(".")
    if not (name and dot):
        raise ValueError('write a domain with a dot, such as "example.org"')
    if last.isdigit():
        raise ValueError("write the name of a domain, not the number of a machine")
    return found.ascii_domain, found.domain


def _asked(written: str) -> ValidatedEmail:
    """What the library finds; its sentences made reasons of ours."""
    try:
        return validate_email(
            written,
            check_deliverability=False,
            allow_smtputf8=True,
            globally_deliverable=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
        )
    except ValueError as exc:
        reason = clean(str(exc)).removesuffix(".")
        raise ValueError(cut(reason[:1].lower() + reason[1:], _REASON)) from exc


def _folded(local: str) -> str:
    """The local part without its case. Dots and plus signs stay: to servers they may matter."""
    # Composed again: folding takes some letters apart.
    return unicodedata.normalize("NFC", local.casefold())


def _too_long() -> str:
    return f"longer than mail allows ({LONGEST} bytes)"
