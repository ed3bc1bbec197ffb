"""SPF (RFC 7208): the servers that may send mail for a domain. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newsletter.app.doctor.findings import Finding, failure, ok, warning
from newsletter.app.doctor.records.answers import Answer, Unanswered, inconclusive
from newsletter.app.doctor.records.domain_names import is_subdomain
from newsletter.app.doctor.records.syntax import quoted

MAX_LOOKUPS = 10
"""Maximum number of DNS lookups that receivers make for one SPF record (RFC 7208 4.6.4)."""


_MECHANISM = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?:([:/])(.+))?", re.IGNORECASE
)


_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)


_DUAL_PREFIX = re.compile(r"([^/]*)(?:/(0|[1-9]\d?))?(?://(0|[1-9]\d{0,2}))?")
"""A domain, and the prefix lengths of `a` and `mx` for IPv4 and IPv6."""


_MACRO_TEXT = re.compile(
    r"(?:[^%]|%[%_-]|%\{[slodiphv](?:[1-9]\d*)?r?[.,+/_=-]*\})*", re.IGNORECASE
)
"""Text with macros (RFC 7208 7.1), without those that only an explanation may have."""


_WITH_LOOKUP = ("include", "a", "mx", "ptr", "exists")
"""Mechanisms that need a DNS lookup."""


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """One parsed SPF record.

    Attributes:
        invalid_term: the first term that cannot be parsed, or empty.
        default: what applies to all other servers, such as `~all` or `redirect=…`; empty if
            the record does not say.
        references: domains whose records are evaluated too (`include`, `redirect`).
        lookups: DNS lookups that the record itself needs, without those of `references`.
    """

    invalid_term: str
    default: str
    references: tuple[str, ...]
    lookups: int


def spf_records(texts: Sequence[str]) -> list[str]:
    """Returns the SPF records among the TXT records of a domain."""
    return [text for text in texts if text.lower().split(" ", 1)[0] == "v=spf1"]


def parse(record: str) -> SpfRecord:
    """Parses an SPF record. Mechanisms after `all` are checked, but have no effect."""
    invalid_term, default, references, lookups = "", "", list[str](), 0
    modifiers: dict[str, str] = {}
    for term in record.split()[1:]:
        mechanism, modifier = _MECHANISM.fullmatch(term), _MODIFIER.fullmatch(term)
        if mechanism and _is_well_formed(mechanism):
            kind = mechanism[2].lower()
            if default:
                continue
            lookups += kind in _WITH_LOOKUP
            if kind == "include":
                references.append(_normalized(mechanism[4]))
            elif kind == "all":
                default = f"{mechanism[1] or '+'}all"
        elif modifier and _may_stand(modifier, modifiers):
            modifiers[modifier[1].lower()] = modifier[2]
        else:
            invalid_term = invalid_term or term
    redirect = modifiers.get("redirect")
    if redirect and not default:
        default = f"redirect={redirect}"
        references.append(_normalized(redirect))
        lookups += 1
    return SpfRecord(invalid_term, default, tuple(references), lookups)


def evaluate(
    domain: str, answer: Answer, referenced: Mapping[str, Answer], suggestion: str
) -> Finding:
    """Checks whether receivers can tell which servers may send mail for a domain.

    Args:
        domain: the domain of the envelope sender.
        answer: the TXT records of that domain.
        referenced: the TXT records of the domains that its record refers to, directly or
            indirectly.
        suggestion: the record to publish if there is none.
    """
    if isinstance(answer, Unanswered):
        return inconclusive(f"the SPF record of {domain}", answer)
    records = spf_records(answer)
    if not records:
        return warning(
            f"{domain} has no SPF record, so receivers cannot tell which servers may send its mail",
            "publish one; your relay says what to include for it",
            f'{domain}. TXT "{suggestion}"',
        )
    if len(records) > 1:
        return failure(
            f"{domain} has {len(records)} SPF records, so receivers take none",
            "join them into one, and take the others away",
        )
    return _evaluate_record(domain, records[0], referenced)


def _evaluate_record(domain: str, text: str, referenced: Mapping[str, Answer]) -> Finding:
    record, shown = parse(text), quoted(text)
    if record.invalid_term:
        return failure(
            f"the SPF record of {domain} cannot be read at {quoted(record.invalid_term)}",
            f"fix that term in {shown}",
        )
    if record.default == "+all":
        return failure(
            f"the SPF record of {domain} lets every server on the Internet send its mail: {shown}",
            "write ~all or -all at its end instead of +all",
        )
    lookups, problem = _resolve(record, referenced)
    if isinstance(problem, Unanswered):
        return inconclusive(f"all that the SPF record of {domain} refers to", problem)
    if problem:
        return failure(
            f"the SPF record of {domain} refers to {quoted(problem)}, which has none",
            f"take it out of {shown}, or fix its name",
        )
    if lookups > MAX_LOOKUPS:
        return warning(
            f"the SPF record of {domain} costs more than {MAX_LOOKUPS} lookups, "
            "and receivers give up",
            "take includes out of it that are not needed any more",
        )
    if not record.default:
        return warning(
            f"the SPF record of {domain} says nothing of other servers: {shown}",
            "write ~all at its end",
        )
    return ok(f"{domain} has {shown}")


def _resolve(record: SpfRecord, referenced: Mapping[str, Answer]) -> tuple[int, str | Unanswered]:
    """Follows the references of a record.

    Returns the number of lookups, including those of all references, and the first problem: a
    domain without exactly one record, a query that got no answer, or an empty string if there is
    no problem. Circular references exceed the limit, as they do at a receiver.
    """
    lookups, pending = 0, [record]
    while pending and lookups <= MAX_LOOKUPS:
        current = pending.pop()
        lookups += current.lookups
        for name in current.references:
            answer = referenced.get(name)
            if answer is None:  # depends on the message, or the limit was reached
                continue
            if isinstance(answer, Unanswered):
                return lookups, answer
            records = spf_records(answer)
            if len(records) != 1:
                return lookups, name
            pending.append(parse(records[0]))
    return lookups, ""


def suggest(domain: str, host: str, *, is_local: bool) -> str:
    """Returns an SPF record to start with.

    Args:
        domain: the domain that will publish it.
        host: the mail server that sends the mail; empty for none.
        is_local: whether that server is this machine.
    """
    server = _server_term(domain, host, is_local=is_local)
    return " ".join(filter(None, ("v=spf1", "mx", server, "~all")))


def _server_term(domain: str, host: str, *, is_local: bool) -> str:
    if is_local or not host:
        return "a" if is_local else ""
    try:
        return f"ip{ipaddress.ip_address(host).version}:{host}"
    except ValueError:
        parent = host.partition(".")[2]
    return f"a:{host}" if is_subdomain(host, domain) or "." not in parent else f"include:{parent}"


def is_resolvable(name: str) -> bool:
    """Returns whether a referenced domain can be resolved without a message: it has no macro."""
    return "%" not in name and "." in name


def _is_well_formed(mechanism: re.Match[str]) -> bool:
    kind, sign, value = mechanism[2].lower(), mechanism[3], mechanism[4]
    if kind in ("ip4", "ip6"):
        _, slash, prefix = (value or "").partition("/")
        try:
            found = ipaddress.ip_network(value or "", strict=False)
        except ValueError:
            return False
        plain = not slash or prefix == str(found.prefixlen)  # no mask, no leading zero
        return sign == ":" and plain and found.version == int(kind[2])
    if kind == "all":
        return sign is None
    if kind in ("include", "exists"):
        return sign == ":" and _MACRO_TEXT.fullmatch(value) is not None
    text = value or ""
    found_prefix = _DUAL_PREFIX.fullmatch(f"/{text}" if sign == "/" else text)
    if not _MACRO_TEXT.fullmatch(text):
        return False
    if "%" in text:  # a macro may contain slashes
        return True
    return found_prefix is not None and (
        int(found_prefix[2] or 0) <= 32 and int(found_prefix[3] or 0) <= 128
    )


def _may_stand(modifier: re.Match[str], before: Mapping[str, str]) -> bool:
    """Returns whether a modifier is valid: `redirect` and `exp` have a domain, and occur once."""
    name, value = modifier[1].lower(), modifier[2]
    if not _MACRO_TEXT.fullmatch(value):
        return False
    return name not in ("redirect", "exp") or bool(value and name not in before)


def _normalized(name: str) -> str:
    return name.lower().rstrip(".")
