"""DKIM keys, mail exchangers, and the names of machines. Pure."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newsletter.domains.findings import (
    SHOWN,
    Answer,
    Finding,
    Unanswered,
    as_shown,
    failure,
    ok,
    tags,
    unasked,
    warning,
)
from newsletter.text.clean import cut

_SHORT_KEY = 256  # bytes of a public RSA key; one of 2048 bits has 270 or 294


_USELESS_KEY = 130  # one of 1024 bits has 140 or 162


def dkim_unseen(domain: str) -> Finding:
    """What can be said of DKIM without the name of a key."""
    return warning(
        f"whether mail is signed as {domain} cannot be seen from here; usually the relay does it",
        f"look for DKIM-Signature with d={domain} in a received `newsletter send-test`, then "
        "give the name behind its s= by --dkim-selector",
    )


def dkim(domain: str, selector: str, answer: Answer) -> Finding:
    """Whether a domain's key is published."""
    name = f"{selector}._domainkey.{domain}"
    if isinstance(answer, Unanswered):
        return unasked(f"the DKIM key {name}", answer)
    keys = [text for text in answer if "p" in tags(text)]
    if not keys:
        return failure(
            f"there is no DKIM key at {name}",
            "publish the record that your relay gives you, or mend the selector's name",
            f'{name}. TXT "v=DKIM1; k=rsa; p=…"',
        )
    if len(keys) > 1:
        return failure(f"{name} has {len(keys)} keys, and receivers take any", "keep one")
    return _dkim_key(name, tags(keys[0]))


def _dkim_key(name: str, tag: Mapping[str, str]) -> Finding:
    if tag.get("v", "DKIM1") != "DKIM1":
        return failure(f"{name} is no DKIM key: v={as_shown(tag['v'])}", "write v=DKIM1")
    if not tag["p"]:
        return failure(
            f"the DKIM key {name} is withdrawn (p= is empty)",
            "use the selector of a key that is in use",
        )
    try:
        key = base64.b64decode("".join(tag["p"].split()), validate=True)
    except (binascii.Error, ValueError):
        return failure(
            f"the DKIM key {name} is damaged", "publish it again as your relay gives it to you"
        )
    if tag.get("k", "rsa").lower() == "rsa" and len(key) < _SHORT_KEY:
        judged = failure if len(key) < _USELESS_KEY else warning
        return judged(
            f"the DKIM key {name} has fewer than 2048 bits",
            "have your relay make a key of 2048 bits, and publish that",
        )
    if "y" in tag.get("t", "").lower().split(":"):
        return warning(
            f"the DKIM key {name} is on trial (t=y), so receivers may pass over it",
            "take t=y out once mail arrives",
        )
    return ok(f"{name} has a key")


def mail_exchange(
    domain: str, answer: Answer, addresses: Mapping[str, Answer], what: str
) -> Finding:
    """Whether a domain takes mail.

    Args:
        answer: the servers that take it, the preferred first.
        addresses: theirs, and the domain's own, as far as they were asked.
        what: would come to it, such as "replies".
    """
    if isinstance(answer, Unanswered):
        return unasked(f"who takes mail for {domain}", answer)
    if not answer:
        own = addresses.get(domain, ())
        if isinstance(own, Unanswered):
            return unasked(f"who takes mail for {domain}", own)
        return warning(
            f"{domain} has no MX record, so {what} "
            + ("go to the machine of that name" if own else "come back to nobody"),
            f"publish the server that takes mail for it: {domain}. MX 10 and its name",
        )
    if not any(answer):
        return warning(
            f"{domain} says that it takes no mail, so {what} are lost",
            "take its MX record with the single dot away, or use another domain",
        )
    known = [addresses[host] for host in answer if host in addresses]
    if known and not any(known):  # what is unanswered counts as there
        return failure(
            f"none of the servers that take mail for {domain} has an address: {', '.join(answer)}",
            "mend their names in its MX records",
        )
    return ok(f"{what} to {domain} go to {cut(', '.join(answer), SHOWN)}")


@dataclass(frozen=True, slots=True)
class Reverse:
    """An address of a machine.

    Attributes:
        names: those that the address has.
        back: the addresses that each of these names has.
    """

    address: str
    names: Answer
    back: Mapping[str, Answer]


def is_public(address: str) -> bool:
    """Whether the Internet may see a machine by this address."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def reverse(machine: str, addresses: Answer, found: Sequence[Reverse]) -> list[Finding]:
    """Whether the addresses of the machine that sends have names, and the names these addresses.

    Args:
        machine: its name.
        addresses: what that name has.
        found: what its public addresses have.
    """
    if isinstance(addresses, Unanswered):
        return [unasked(f"the addresses of {machine}", addresses)]
    if not found:
        return [
            warning(
                f"the name of this machine, {machine}, has no public address",
                "if its mail server delivers by itself, give it a name with one; "
                "if it hands mail to a relay, nothing is to be done",
            )
        ]
    return [_one_reverse(one) for one in found]


def _one_reverse(one: Reverse) -> Finding:
    if isinstance(one.names, Unanswered):
        return unasked(f"the name of {one.address}", one.names)
    if not one.names:
        return warning(
            f"{one.address} has no name (PTR), and large providers take no mail from it",
            "ask who gave you the address to set one; behind a relay it does not matter",
        )
    for name in one.names:
        back = one.back.get(name, ())
        if isinstance(back, tuple) and _same(one.address, back):
            return ok(f"{one.address} is {name}, and back")
    unanswered = next((a for a in one.back.values() if isinstance(a, Unanswered)), None)
    if unanswered:
        return unasked(f"the address of {one.names[0]}", unanswered)
    return warning(
        f"{one.address} has the name {one.names[0]}, which has another address",
        f"give {one.names[0]} an address record with {one.address}, or change the PTR",
    )


def _same(address: str, others: Sequence[str]) -> bool:
    wanted = ipaddress.ip_address(address)
    return any(wanted == ipaddress.ip_address(other) for other in others)
