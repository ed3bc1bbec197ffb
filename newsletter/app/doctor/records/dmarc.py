"""DMARC (RFC 9989): what receivers do with mail that fails authentication. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from newsletter.app.doctor.findings import Finding, Level, failure, ok, warning
from newsletter.app.doctor.records.answers import Answer, Unanswered, inconclusive
from newsletter.app.doctor.records.domain_names import is_subdomain
from newsletter.app.doctor.records.syntax import parse_tags, quoted

_MAX_QUERIES = 8
"""Maximum number of queries in a DNS tree walk (RFC 9989 4.10)."""


_POLICIES = ("none", "quarantine", "reject")


_REMOVED = ("pct", "rf", "ri")
"""Tags of RFC 7489 that RFC 9989 dropped."""


_VALUES = {
    "adkim": ("r", "s"),
    "aspf": ("r", "s"),
    "psd": ("y", "n", "u"),
    "t": ("y", "n"),
}
"""The values of other tags. Receivers ignore a tag with another value."""


_MAILTO = re.compile(r"mailto:[^@\s]+@[^@\s]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TreeWalk:
    """A DNS tree walk: the DMARC records from a domain upwards.

    Attributes:
        domain: where it starts.
        answers: each queried domain with its TXT records, in the order of the queries: the
            longest name first.
    """

    domain: str
    answers: tuple[tuple[str, Answer], ...] = ()

    @property
    def records(self) -> dict[str, dict[str, str]]:
        """The tags by domain, for the domains that have exactly one record."""
        found = {
            name: dmarc_records(answer)
            for name, answer in self.answers
            if isinstance(answer, tuple)
        }
        return {name: parse_tags(texts[0]) for name, texts in found.items() if len(texts) == 1}

    def text(self, name: str) -> str:
        """The record of a domain that has exactly one."""
        answer = dict(self.answers)[name]
        return dmarc_records(answer)[0] if isinstance(answer, tuple) else ""

    @property
    def unanswered(self) -> Unanswered | None:
        """The first query that got no answer."""
        return next((answer for _, answer in self.answers if isinstance(answer, Unanswered)), None)

    @property
    def is_complete(self) -> bool:
        """Whether no domain further up needs to be queried."""
        if self.unanswered:
            return True
        ends = (tag.get("psd", "") for name, tag in self.records.items() if name != self.domain)
        return self.records.get(self.domain, {}).get("psd") == "n" or any(
            value in ("y", "n") for value in ends
        )

    @property
    def organizational_domain(self) -> str:
        """The organizational domain, as far as the answers tell (RFC 9989 4.10.2)."""
        for name, tag in self.records.items():
            if tag.get("psd") == "n":
                return name
            if tag.get("psd") == "y" and name != self.domain:
                labels = self.domain.split(".")
                return ".".join(labels[-len(name.split(".")) - 1 :])
        return min(self.records, key=lambda name: name.count("."), default=self.domain)


def tree_walk_names(domain: str) -> list[str]:
    """Returns the domains to query, in order: all parents, for long names only the last seven."""
    labels = domain.split(".")
    rest = labels[1:][-(_MAX_QUERIES - 1) :]
    return [domain, *(".".join(rest[start:]) for start in range(len(rest)))]


def dmarc_records(texts: Sequence[str]) -> list[str]:
    """Returns the DMARC records among the TXT records of a name."""
    return [text for text in texts if re.match(r"v[ \t]*=[ \t]*DMARC1[ \t]*(;|$)", text)]


def evaluate(walk: TreeWalk, report_address: str) -> Finding:
    """Checks whether a domain publishes a policy for mail that impersonates it.

    Args:
        walk: the tree walk from the sender's domain upwards.
        report_address: an address for aggregate reports; empty for none.
    """
    domain = walk.domain
    own = walk.answers[0][1] if walk.answers else ()
    if isinstance(own, Unanswered):
        return inconclusive(f"the DMARC record of {domain}", own)
    several = dmarc_records(own)
    if len(several) > 1:
        return failure(
            f"_dmarc.{domain} has {len(several)} DMARC records, so receivers take none",
            "keep one, and take the others away",
        )
    records = walk.records
    where = next((name for name in (domain, walk.organizational_domain) if name in records), "")
    where = where or next(iter(records), "")
    if where:
        finding = _evaluate_record(domain, where, records[where])
        return (
            _ignored(where, walk.text(where)) or finding if finding.level is Level.OK else finding
        )
    if walk.unanswered:
        return inconclusive(f"the DMARC records above {domain}", walk.unanswered)
    return _missing(domain, own, report_address)


def _missing(domain: str, texts: Sequence[str], report_address: str) -> Finding:
    for text in texts:
        if re.match(r"\s*v\s*=\s*dmarc", text, re.IGNORECASE):
            return failure(
                f"_dmarc.{domain} has {quoted(text)}, which receivers do not read",
                "let it begin with v=DMARC1; in exactly these letters",
            )
    home = report_address.rpartition("@")[2].lower()
    # Reports go to another domain only if that domain publishes its consent (RFC 9990).
    near = bool(home) and (is_subdomain(home, domain) or is_subdomain(domain, home))
    reports = f"; rua=mailto:{quote(report_address, safe='@+-._~')}" if near else ""
    return warning(
        f"{domain} has no DMARC record, nor has a domain above it",
        "publish one; large providers take no bulk mail without"
        + ("" if reports else "; reports can go to an address of that domain, by rua=mailto:…"),
        f'_dmarc.{domain}. TXT "v=DMARC1; p=none{reports}"',
    )


def _evaluate_record(domain: str, where: str, tag: Mapping[str, str]) -> Finding:
    name = f"the DMARC record _dmarc.{where}"
    for key in ("p", "sp", "np"):
        if key in tag and tag[key].lower() not in _POLICIES:
            return failure(
                f"{name} has {quoted(f'{key}={tag[key]}')}, which is no policy",
                f"write {key}=none, {key}=quarantine or {key}=reject",
            )
    if "p" not in tag:
        return warning(f"{name} has no policy", "write p=none, p=quarantine or p=reject")
    if old := [key for key in _REMOVED if key in tag]:
        return warning(
            f"{name} has {', '.join(old)}, which RFC 9989 removed",
            "take it out" + ("; t=y says that the policy is being tested" if "pct" in old else ""),
        )
    listed = f"{tag.get('rua', '')},{tag.get('ruf', '')}"
    reports = [uri.strip() for uri in listed.split(",") if uri.strip()]
    if wrong := [uri for uri in reports if not _MAILTO.fullmatch(uri)]:
        return warning(
            f"{name} has reports sent to {quoted(wrong[0])}",
            "write rua=mailto: (or ruf=mailto:) and an address",
        )
    policy = tag["p"] if where == domain else tag.get("sp", tag["p"])
    trial = ", in test mode" if tag.get("t", "").lower() == "y" else ""
    above = "" if where == domain else f", from {where} above it"
    return ok(f"{domain} has p={policy.lower()}{trial}{above}")


def _ignored(where: str, record: str) -> Finding | None:
    """Returns a finding for the first part of a record that receivers ignore, if any."""
    parts = [part.strip() for part in record.split(";")]
    seen = set[str]()
    for part in parts[:-1] if parts[-1] == "" else parts:
        name, _, value = (text.strip().lower() for text in part.partition("="))
        options = value.split(":") if name == "fo" else [value]
        allowed = ("0", "1", "d", "s") if name == "fo" else _VALUES.get(name, options)
        if not name or not value or name in seen or not set(options) <= set(allowed):
            why = "twice" if name in seen and value else "which receivers ignore"
            said = quoted(name if why == "twice" else part)
            return warning(
                f"the DMARC record _dmarc.{where} has {said}"
                + (f" {why}" if why == "twice" else f", {why}"),
                "take it out, or correct it",
            )
        seen.add(name)
    return None


def evaluate_alignment(sender: TreeWalk, bounces: TreeWalk) -> Finding:
    """Checks whether SPF of the bounce domain is aligned with the sender's domain.

    Args:
        sender: the tree walk from the domain of the From header.
        bounces: the tree walk from the domain of the envelope sender.
    """
    ours, theirs = sender.domain, bounces.domain
    unanswered = sender.unanswered or bounces.unanswered
    if ours == theirs:
        return ok(f"bounces go to {theirs} itself")
    if unanswered:
        return inconclusive(f"whether {theirs} and {ours} belong together", unanswered)
    records = sender.records
    policy = records.get(ours) or records.get(sender.organizational_domain) or {}
    if policy.get("aspf", "").lower() == "s":
        return warning(
            f"the DMARC record of {ours} asks for aspf=s, so bounces to {theirs} are not aligned",
            f"have the relay sign as {ours} (DKIM), or write aspf=r",
        )
    if not records and not bounces.records:
        aligned = is_subdomain(theirs, ours) or is_subdomain(ours, theirs)
    else:
        aligned = sender.organizational_domain == bounces.organizational_domain
    if not aligned:
        return warning(
            f"{theirs} belongs to another organisation than {ours}, so its SPF does not count",
            f"choose a bounce_domain below {sender.organizational_domain}, "
            f"or have the relay sign as {ours}",
        )
    return ok(f"{theirs} belongs together with {ours}, so its SPF counts")
