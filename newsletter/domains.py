"""What the name system says of the domain that mail comes from, judged. Pure: answers in.

SPF (RFC 7208) says who may send for a domain, DKIM (RFC 6376) is a signature, and DMARC
(RFC 9989) ties one of them to the sender that a reader sees. A question that got no answer is
never taken for a record that is missing.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from newsletter.text import clean, cut

MOST_LOOKUPS = 10
"""Questions that a receiver asks for one SPF record (RFC 7208 4.6.4)."""
_MOST_LABELS = 8
"""Questions of a tree walk (RFC 9989 4.10)."""

_SHOWN = 160  # columns of a record
_OF_ONE_NETWORK = ("arpa", "internal", "local", "localhost", "onion", "test")
_EXAMPLES = (
    *("example", "invalid"),
    *("example.com", "example.net", "example.org", "example.edu"),
)

_MECHANISM = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?:([:/])(.+))?", re.IGNORECASE
)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)
_MAILTO = re.compile(r"mailto:[^@\s]+@[^@\s]+", re.IGNORECASE)
_ASKING = ("include", "a", "mx", "ptr", "exists")

_POLICIES = ("none", "quarantine", "reject")
_REMOVED = ("pct", "rf", "ri")

_SHORT_KEY = 256  # bytes of a public RSA key; one of 2048 bits has 270 or 294
_USELESS_KEY = 130  # one of 1024 bits has 140 or 162


class Level(StrEnum):
    """How well something is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: what was found.
        hint: what to do; always there unless all is well.
        record: what to publish in the domain's zone.
    """

    level: Level
    what: str
    hint: str = ""
    record: str = ""


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, what)


def warning(what: str, hint: str, record: str = "") -> Finding:
    """Mail goes out, and something should be mended."""
    return Finding(Level.WARNING, what, hint, record)


def failure(what: str, hint: str, record: str = "") -> Finding:
    """Mail does not go out, or is not taken."""
    return Finding(Level.FAILURE, what, hint, record)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that got no answer; `why` in words. Nothing follows from it."""

    why: str


Answer = tuple[str, ...] | Unanswered
"""What a name has, empty if it has no such record; or nothing is known."""


def is_special(domain: str) -> bool:
    """Whether the domain, in lower case, is for one network, for examples or for tests only."""
    return "." not in domain or is_example(domain) or domain.rpartition(".")[2] in _OF_ONE_NETWORK


def is_example(domain: str) -> bool:
    """Whether the domain is nobody's, and never will be."""
    return any(is_below(domain, example) for example in _EXAMPLES)


def is_below(domain: str, other: str) -> bool:
    """Whether `domain` is the other one, or below it."""
    return domain == other or domain.endswith(f".{other}")


# --- SPF


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
        return _unasked(f"the SPF record of {domain}", answer)
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
    read, shown = read_spf(record), _shown(record)
    if read.broken:
        return failure(
            f"the SPF record of {domain} cannot be read at {_shown(read.broken)}",
            f"mend that term in {shown}",
        )
    if read.ending == "+all":
        return failure(
            f"the SPF record of {domain} lets everybody send for it: {shown}",
            "write ~all or -all at its end instead of +all",
        )
    many, trouble = _followed(read, referred)
    if isinstance(trouble, Unanswered):
        return _unasked(f"all that the SPF record of {domain} refers to", trouble)
    if trouble:
        return failure(
            f"the SPF record of {domain} refers to {_shown(trouble)}, which has none",
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


# --- DMARC


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


def tags(record: str) -> dict[str, str]:
    """The tags of a DMARC or DKIM record; of several with one name, the first."""
    found: dict[str, str] = {}
    for tag in record.split(";"):
        name, equals, value = tag.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def dmarc(walk: Walk, owner: str) -> Finding:
    """Whether a domain says what becomes of mail that only pretends to come from it.

    Args:
        walk: from the sender's domain upwards.
        owner: an address for reports, or nothing.
    """
    domain = walk.domain
    own = walk.found[0][1] if walk.found else ()
    if isinstance(own, Unanswered):
        return _unasked(f"the DMARC record of {domain}", own)
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
        return _unasked(f"the DMARC records above {domain}", walk.unanswered)
    return _no_dmarc(domain, own, owner)


def _no_dmarc(domain: str, texts: Sequence[str], owner: str) -> Finding:
    for text in texts:
        if re.match(r"\s*v\s*=\s*dmarc", text, re.IGNORECASE):
            return failure(
                f"_dmarc.{domain} has {_shown(text)}, which receivers do not read",
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
                f"{name} has {_shown(f'{key}={tag[key]}')}, which is no policy",
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
    if wrong := [uri for uri in reports if not _MAILTO.fullmatch(uri)]:
        return warning(
            f"{name} has reports sent to {_shown(wrong[0])}", "write rua=mailto: and an address"
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
        return _unasked(f"whether {theirs} and {ours} belong together", unanswered)
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


# --- DKIM


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
        return _unasked(f"the DKIM key {name}", answer)
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
        return failure(f"{name} is no DKIM key: v={_shown(tag['v'])}", "write v=DKIM1")
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


# --- MX


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
        return _unasked(f"who takes mail for {domain}", answer)
    if not answer:
        own = addresses.get(domain, ())
        if isinstance(own, Unanswered):
            return _unasked(f"who takes mail for {domain}", own)
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
    return ok(f"{what} to {domain} go to {cut(', '.join(answer), _SHOWN)}")


# --- PTR


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
        return [_unasked(f"the addresses of {machine}", addresses)]
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
        return _unasked(f"the name of {one.address}", one.names)
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
        return _unasked(f"the address of {one.names[0]}", unanswered)
    return warning(
        f"{one.address} has the name {one.names[0]}, which has another address",
        f"give {one.names[0]} an address record with {one.address}, or change the PTR",
    )


def _same(address: str, others: Sequence[str]) -> bool:
    wanted = ipaddress.ip_address(address)
    return any(wanted == ipaddress.ip_address(other) for other in others)


# ---


def _unasked(what: str, unanswered: Unanswered) -> Finding:
    return warning(
        f"{what} could not be asked: {unanswered.why}",
        "that says nothing about it; run this again, or ask another by --nameserver",
    )


def _shown(text: str) -> str:
    return f"“{cut(clean(text), _SHOWN)}”"
