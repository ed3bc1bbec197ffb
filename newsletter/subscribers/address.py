"""Email addresses: as displayed, as sent to mail servers, and normalised for comparison. Pure.

An accepted address is safe in a header and in an SMTP command: nothing in it ends a line,
an address or an argument, and it has no invisible characters.
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
"""Maximum octets of an address in SMTP."""
LONGEST_LOCAL = 64
"""Maximum octets of the part before the `@`."""

_LONGEST_WRITTEN = 1_000  # characters before composition (NFC), which reduces their number
_DOMAINS = 20_000
_STAND_IN = "a"  # for one part while the other is validated; never longer than a real one
_REASON = 120
_SAME_DOMAIN = {"googlemail.com": "gmail.com"}
_LOCALHOST = values.LOOPBACK[0]
_LOCAL = (_LOCALHOST, "local", "localdomain")
"""Top-level names of domains whose mail stays on this machine or in its local network."""
# Needs no library, for speed: most addresses are plain, and a file may have a million.
_PLAIN = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9.-]+")
_UNSAFE = re.compile(r'[\x00-\x20\x7f-\x9f\s<>"(),:;\\]|=\?')


@dataclass(frozen=True, slots=True)
class Address:
    """An email address.

    Attributes:
        display: for display: the local part as written, the domain in its own script.
        normal: for comparison: equal for addresses that differ only in case or in the
            encoding of accents.
        local: the part before the `@`, as written, composed (NFC).
        domain: the domain in ASCII and lower case.
    """

    display: str
    normal: str
    local: str
    domain: str

    @property
    def spec(self) -> str:
        """The address for headers and SMTP commands."""
        return f"{self.local}@{self.domain}"


def parse_address(text: str) -> Address:
    """Parses an address; surrounding white space is ignored.

    Raises:
        ValueError: it is not an address, or too long for mail; the message says why.
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
        raise ValueError(f'the part before the "@" is over {LONGEST_LOCAL} bytes')
    return found


def parse_public_address(text: str) -> Address:
    """Parses an address as `parse_address` does, for visitors.

    Raises:
        ValueError: as for `parse_address`, or its mail would stay in the local network.
    """
    found = parse_address(text)
    if found.domain.rpartition(".")[2] in _LOCAL:
        raise ValueError(f'write an address on the internet; "{found.domain}" is a local name')
    return found


def parse_address_or_none(text: str) -> Address | None:
    """Returns the address, or `None` if the text is not a valid one."""
    try:
        return parse_address(text)
    except ValueError:
        return None


def normal_form(text: str) -> str:
    """Returns the normal form of an address, or the case-folded text if it is not an address."""
    found = parse_address_or_none(text)
    return found.normal if found else text.casefold()


def mailbox_key(normal: str) -> str:
    """Returns what limits count instead of an address, equal for spellings of one mailbox.

    Many providers deliver an address with a tag (`mira+papers@example.org`) to the mailbox
    without it, and some ignore dots. Others do not, so two spellings are two subscribers: they
    only share the limits.

    Args:
        normal: an address in normal form.
    """
    local, _, domain = normal.rpartition("@")
    name = local.partition("+")[0].replace(".", "")
    # A local part that begins with a plus sign is a telephone number, not a tag.
    return f"{name or local}@{_SAME_DOMAIN.get(domain, domain)}"


def _checked(written: str) -> str:
    """Returns the text if it has exactly one `@` and a valid local part before it."""
    if not written:
        raise ValueError('write an address, such as "mira@example.org"')
    if "\ufffd" in written:
        raise ValueError("it was written in another encoding; save the file as UTF-8")
    if _UNSAFE.search(written):
        raise ValueError("write only the address, without a name, spaces, brackets or other signs")
    if written.count("@") != 1:
        raise ValueError('an address has one "@"')
    _validated(f"{written.partition('@')[0]}@{_STAND_IN}")
    return written


@lru_cache(maxsize=_DOMAINS)
def _domain(written: str) -> tuple[str, str]:
    """Returns the domain in ASCII and as displayed."""
    if written.lower() == _LOCALHOST:  # the library does not accept local mail
        return _LOCALHOST, _LOCALHOST
    found = _validated(f"{_STAND_IN}@{written}")
    name, dot, last = found.ascii_domain.rpartition(".")
    if not (name and dot):
        raise ValueError('write a domain with a dot, such as "example.org"')
    if last.isdigit():
        raise ValueError("write a domain name, not an IP address")
    return found.ascii_domain, found.domain


def _validated(written: str) -> ValidatedEmail:
    """Validates an address with the library, and rewords its error messages."""
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
    """Folds the case of a local part. Dots and plus signs stay: servers may distinguish them."""
    # Composed again, because case folding decomposes some letters.
    return unicodedata.normalize("NFC", local.casefold())


def _too_long() -> str:
    return f"longer than mail allows ({LONGEST} bytes)"
