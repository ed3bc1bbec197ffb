"""DMARC (RFC 9989): what receivers do with mail that is not what it says it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from newsletter.domains.findings import (
    MAILTO,
    Answer,
    Finding,
    Unanswered,
    as_shown,
    failure,
    is_below,
    ok,
    tags,
    unasked,
    warning,
)

_MOST_LABELS = 8
"""Questions of a tree walk (RFC 9989 4.10)."""


_POLICIES = ("none", "quarantine", "reject")


_REMOVED = ("pct", "rf", "ri")


@dataclass(frozen=True, slots=True)
class Walk:
    """The DMARC records that are found from a domain upwards.

    Attributes:
        domain: where it begins.
        found: each domain that was asked, with its texts; the longest first.
    """

    domain: str
    found: tuple[tuple[str, Answer], ...] = ()

    @property
    def records(self) -> dict[str, dict[str, str]]:
        """The tags of the domains that have one record."""
        read = {
            name: dmarc_records(answer) for name, answer in self.found if isinstance(answer, tuple)
        }
        return {name: tags(records[0]) for name, records in read.items() if len(records) == 1}

    @property
    def unanswered(self) -> Unanswered | None:
        """Why it is not complete."""
        return next((answer for _, answer in self.found if isinstance(answer, Unanswered)), None)

    @property
    def is_done(self) -> bool:
        """Whether nothing above what was asked matters."""
        if self.unanswered:
            return True
        ends = (tag.get("psd", "") for name, tag in self.records.items() if name != self.domain)
        return self.records.get(self.domain, {}).get("psd") == "n" or any(
            value in ("y", "n") for value in ends
        )

    @property
    def organisation(self) -> str:
        """The organisational domain, as far as was asked (RFC 9989 4.10.2)."""
        for name, tag in self.records.items():
            if tag.get("psd") == "n":
                return name
            if tag.get("psd") == "y" and name != self.domain:
                labels = self.domain.split(".")
                return ".".join(labels[-len(name.split(".")) - 1 :])
        return min(self.records, key=lambda name: name.count("."), default=self.domain)


def walk_names(domain: str) -> list[str]:
    """The domains that a tree walk asks, in order: all above, and of long names the last seven."""
    labels = domain.split(".")
    rest = labels[1:][-(_MOST_LABELS - 1) :]
    return [domain, *(".".join(rest[start:]) for start in range(len(rest)))]


def dmarc_records(texts: Sequence[str]) -> list[str]:
    """Those of a name's texts that are DMARC records."""
    return [text for text in texts if re.match(r"v[ \t]*=[ \t]*DMARC1[ \t]*(;|$)", text)]


def dmarc(walk: Walk, owner: str) -> Finding:
    """Whether a domain says what becomes of mail that only pretends to come from it.

    Args:
        walk: from the sender's domain upwards.
        owner: an address for reports, or nothing.
    """
    domain = walk.domain
    own = walk.found[0][1] if walk.found else ()
    if isinstance(own, Unanswered):
        return unasked(f"the DMARC record of {domain}", own)
    several = dmarc_records(own)
    if len(several) > 1:
        return failure(
            f"_dmarc.{domain} has {len(several)} DMARC records, so receivers take none",
            "keep one, and take the others away",
        )
    records = walk.records
    where = next((name for name in (domain, walk.organisation) if name in records), "")
    where = where or next(iter(records), "")
    if where:
        return _dmarc_content(domain, where, records[where])
    if walk.unanswered:
        return unasked(f"the DMARC records above {domain}", walk.unanswered)
    return _no_dmarc(domain, own, owner)


def _no_dmarc(domain: str, texts: Sequence[str], owner: str) -> Finding:
    for text in texts:
        if re.match(r"\s*v\s*=\s*dmarc", text, re.IGNORECASE):
            return failure(
                f"_dmarc.{domain} has {as_shown(text)}, which receivers do not read",
                "let it begin with v=DMARC1; in exactly these letters",
            )
    home = owner.rpartition("@")[2].lower()
    # Elsewhere, reports are taken only where that domain publishes its consent (RFC 9990).
    near = bool(home) and (is_below(home, domain) or is_below(domain, home))
    reports = f"; rua=mailto:{quote(owner, safe='@+-._~')}" if near else ""
    return warning(
        f"{domain} has no DMARC record, nor has a domain above it",
        "publish one; large providers take no bulk mail without"
        + ("" if reports else "; reports can go to an address of that domain, by rua=mailto:…"),
        f'_dmarc.{domain}. TXT "v=DMARC1; p=none{reports}"',
    )


def _dmarc_content(domain: str, where: str, tag: Mapping[str, str]) -> Finding:
    name = f"the DMARC record _dmarc.{where}"
    for key in ("p", "sp", "np"):
        if key in tag and tag[key].lower() not in _POLICIES:
            return failure(
                f"{name} has {as_shown(f'{key}={tag[key]}')}, which is no policy",
                f"write {key}=none, {key}=quarantine or {key}=reject",
            )
    if "p" not in tag:
        return warning(f"{name} has no policy", "write p=none, p=quarantine or p=reject")
    if old := [key for key in _REMOVED if key in tag]:
        return warning(
            f"{name} has {', '.join(old)}, which RFC 9989 removed",
            "take it out" + ("; t=y says that the policy is on trial" if "pct" in old else ""),
        )
    reports = [uri.strip() for uri in tag.get("rua", "").split(",") if uri.strip()]
    if wrong := [uri for uri in reports if not MAILTO.fullmatch(uri)]:
        return warning(
            f"{name} has reports sent to {as_shown(wrong[0])}", "write rua=mailto: and an address"
        )
    policy = tag["p"] if where == domain else tag.get("sp", tag["p"])
    trial = ", on trial" if tag.get("t", "").lower() == "y" else ""
    above = "" if where == domain else f", from {where} above it"
    return ok(f"{domain} has p={policy.lower()}{trial}{above}")


def alignment(sender: Walk, bounces: Walk) -> Finding:
    """Whether SPF of the bounce domain counts for the sender's domain.

    Args:
        sender: the walk from the sender's domain.
        bounces: the walk from the domain of the envelope's sender.
    """
    ours, theirs = sender.domain, bounces.domain
    unanswered = sender.unanswered or bounces.unanswered
    if ours == theirs:
        return ok(f"bounces go to {theirs} itself")
    if unanswered:
        return unasked(f"whether {theirs} and {ours} belong together", unanswered)
    below = f"choose a bounce_domain below {sender.organisation}, or have the relay sign as {ours}"
    records = sender.records
    policy = records.get(ours) or records.get(sender.organisation) or {}
    if policy.get("aspf", "").lower() == "s":
        return warning(
            f"the DMARC record of {ours} asks for aspf=s, so bounces to {theirs} are not aligned",
            f"have the relay sign as {ours} (DKIM), or write aspf=r",
        )
    if not records and not bounces.records:
        aligned = is_below(theirs, ours) or is_below(ours, theirs)
    else:
        aligned = sender.organisation == bounces.organisation
    if not aligned:
        return warning(
            f"{theirs} belongs to another organisation than {ours}, so its SPF does not count",
            below,
        )
    return ok(f"{theirs} belongs together with {ours}, so its SPF counts")
