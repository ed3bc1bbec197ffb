"""SPF (RFC 7208): who may send for a domain. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newsletter.domains.findings import (
    Answer,
    Finding,
    Unanswered,
    as_shown,
    failure,
    is_below,
    ok,
    unasked,
    warning,
)

MOST_LOOKUPS = 10
"""Questions that a receiver asks for one SPF record (RFC 7208 4.6.4)."""


_MECHANISM = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?:([:/])(.+))?", re.IGNORECASE
)


_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)


_ASKING = ("include", "a", "mx", "ptr", "exists")


@dataclass(frozen=True, slots=True)
class Spf:
    """One SPF record.

    Attributes:
        broken: the first term that is none.
        ending: what it says of all others, such as `~all` or `redirect=…`; empty for nothing.
        refers: domains whose records count too.
        lookups: questions that it costs, without theirs.
    """

    broken: str
    ending: str
    refers: tuple[str, ...]
    lookups: int


def spf_records(texts: Sequence[str]) -> list[str]:
    """Those of a domain's texts that are SPF records."""
    return [text for text in texts if text.lower().split(" ", 1)[0] == "v=spf1"]


def read_spf(record: str) -> Spf:
    """What a record says."""
    broken, ending, redirect, refers, lookups = "", "", "", [], 0
    for term in record.split()[1:]:
        mechanism, modifier = _MECHANISM.fullmatch(term), _MODIFIER.fullmatch(term)
        if mechanism and _is_well_formed(mechanism):
            kind = mechanism[2].lower()
            if ending:  # what comes after `all` is never looked at
                continue
            lookups += kind in _ASKING
            if kind == "include":
                refers.append(_target(mechanism[4]))
            elif kind == "all":
                ending = f"{mechanism[1] or '+'}all"
        elif modifier:
            redirect = modifier[2] if modifier[1].lower() == "redirect" else redirect
        else:
            broken = broken or term
    if redirect and not ending:
        ending = f"redirect={redirect}"
        refers.append(_target(redirect))
        lookups += 1
    return Spf(broken, ending, tuple(refers), lookups)


def spf(domain: str, answer: Answer, referred: Mapping[str, Answer], publish: str) -> Finding:
    """Whether receivers can tell who may send for a domain.

    Args:
        domain: that of the envelope's sender.
        answer: its texts.
        referred: the texts of the domains that its record refers to, and theirs.
        publish: the record to publish where there is none.
    """
    if isinstance(answer, Unanswered):
        return unasked(f"the SPF record of {domain}", answer)
    records = spf_records(answer)
    if not records:
        return warning(
            f"{domain} has no SPF record, so nobody can tell who may send for it",
            "publish one; your relay says what to include for it",
            f'{domain}. TXT "{publish}"',
        )
    if len(records) > 1:
        return failure(
            f"{domain} has {len(records)} SPF records, so receivers take none",
            "join them into one, and take the others away",
        )
    return _spf_content(domain, records[0], referred)


def _spf_content(domain: str, record: str, referred: Mapping[str, Answer]) -> Finding:
    read, shown = read_spf(record), as_shown(record)
    if read.broken:
        return failure(
            f"the SPF record of {domain} cannot be read at {as_shown(read.broken)}",
            f"mend that term in {shown}",
        )
    if read.ending == "+all":
        return failure(
            f"the SPF record of {domain} lets everybody send for it: {shown}",
            "write ~all or -all at its end instead of +all",
        )
    many, trouble = _followed(read, referred)
    if isinstance(trouble, Unanswered):
        return unasked(f"all that the SPF record of {domain} refers to", trouble)
    if trouble:
        return failure(
            f"the SPF record of {domain} refers to {as_shown(trouble)}, which has none",
            f"take it out of {shown}, or mend its name",
        )
    if many > MOST_LOOKUPS:
        return warning(
            f"the SPF record of {domain} costs more than {MOST_LOOKUPS} lookups, "
            "and receivers give up",
            "take includes out of it that are not needed any more",
        )
    if not read.ending:
        return warning(
            f"the SPF record of {domain} says nothing of other servers: {shown}",
            "write ~all at its end",
        )
    return ok(f"{domain} has {shown}")


def _followed(first: Spf, referred: Mapping[str, Answer]) -> tuple[int, str | Unanswered]:
    """How many lookups it costs with all that it refers to, and what is wrong with those.

    Records that refer to each other cost more than is allowed, as they do a receiver.
    """
    many, waiting = 0, [first]
    while waiting and many <= MOST_LOOKUPS:
        read = waiting.pop()
        many += read.lookups
        for name in read.refers:
            answer = referred.get(name)
            if answer is None:  # it depends on the mail, or there were too many to ask
                continue
            if isinstance(answer, Unanswered):
                return many, answer
            records = spf_records(answer)
            if len(records) != 1:
                return many, name
            waiting.append(read_spf(records[0]))
    return many, ""


def spf_to_publish(domain: str, host: str, *, here: bool) -> str:
    """An SPF record to begin with.

    Args:
        domain: whose it will be.
        host: the mail server we hand mail to; empty for none.
        here: whether that is this machine.
    """
    return " ".join(filter(None, ("v=spf1", "mx", _server_term(domain, host, here=here), "~all")))


def _server_term(domain: str, host: str, *, here: bool) -> str:
    if here or not host:
        return "a" if here else ""
    try:
        return f"ip{ipaddress.ip_address(host).version}:{host}"
    except ValueError:
        parent = host.partition(".")[2]
    return f"a:{host}" if is_below(host, domain) or "." not in parent else f"include:{parent}"


def _is_well_formed(mechanism: re.Match[str]) -> bool:
    kind, sign, value = mechanism[2].lower(), mechanism[3], mechanism[4]
    if kind in ("ip4", "ip6"):
        try:
            found = ipaddress.ip_network(value or "", strict=False)
        except ValueError:
            return False
        return sign == ":" and found.version == int(kind[2])
    if kind in ("include", "exists"):
        return sign == ":"
    return kind != "all" or sign is None


def _target(name: str) -> str:
    return name.lower().rstrip(".")


def may_be_asked(name: str) -> bool:
    """Whether a domain that a record refers to is known without a mail: has no macro in it."""
    return "%" not in name and "." in name
