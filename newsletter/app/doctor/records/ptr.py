"""PTR records: the reverse DNS of the machine that sends. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newsletter.app.doctor.findings import Finding, ok, warning
from newsletter.app.doctor.records.answers import Answer, Unanswered, inconclusive


@dataclass(frozen=True, slots=True)
class ReverseLookup:
    """The reverse lookup of one address.

    Attributes:
        names: the names that its PTR records give.
        forward: the addresses of each of these names.
    """

    address: str
    names: Answer
    forward: Mapping[str, Answer]


def is_public(address: str) -> bool:
    """Returns whether an address is reachable from the Internet."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def evaluate(hostname: str, addresses: Answer, lookups: Sequence[ReverseLookup]) -> list[Finding]:
    """Checks whether the reverse DNS of the sending machine is forward-confirmed.

    Args:
        hostname: the machine's name.
        addresses: its addresses.
        lookups: the reverse lookups of the public addresses.
    """
    if isinstance(addresses, Unanswered):
        return [inconclusive(f"the addresses of {hostname}", addresses)]
    if not lookups:
        return [
            warning(
                f"the name of this machine, {hostname}, has no public address",
                "if its mail server delivers by itself, give it a name with one; "
                "if it hands mail to a relay, nothing is to be done",
            )
        ]
    return [_evaluate_address(lookup) for lookup in lookups]


def _evaluate_address(lookup: ReverseLookup) -> Finding:
    if isinstance(lookup.names, Unanswered):
        return inconclusive(f"the name of {lookup.address}", lookup.names)
    if not lookup.names:
        return warning(
            f"{lookup.address} has no name (PTR), and large providers take no mail from it",
            "ask who gave you the address to set one; behind a relay it does not matter",
        )
    for name in lookup.names:
        forward = lookup.forward.get(name, ())
        if isinstance(forward, tuple) and _contains(forward, lookup.address):
            return ok(f"{lookup.address} is {name}, and back")
    unanswered = next((one for one in lookup.forward.values() if isinstance(one, Unanswered)), None)
    if unanswered:
        return inconclusive(f"the address of {lookup.names[0]}", unanswered)
    return warning(
        f"{lookup.address} has the name {lookup.names[0]}, which has another address",
        f"give {lookup.names[0]} an address record with {lookup.address}, or change the PTR",
    )


def _contains(addresses: Sequence[str], address: str) -> bool:
    """Returns whether an address is in a list, regardless of notation."""
    wanted = ipaddress.ip_address(address)
    return any(wanted == ipaddress.ip_address(other) for other in addresses)
