"""DKIM (RFC 6376): the public keys that a domain's signatures are verified with. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from newsletter.app.doctor.findings import Finding, failure, ok, warning
from newsletter.app.doctor.records.answers import Answer, Unanswered, inconclusive
from newsletter.app.doctor.records.syntax import parse_tags, quoted

_SHORT_KEY = 256
"""Size in bytes below which a public RSA key is short; one of 2048 bits has 270 or 294."""

_STRING = 255
"""Length of the longest string in a TXT record."""

_PUBLISH = "publish the record in the zone of the domain; receivers reject the mail otherwise"

_MIN_KEY = 130
"""Size in bytes below which receivers reject a key; one of 1024 bits has 140 or 162."""


def unknown_selector(domain: str) -> Finding:
    """Returns the finding for a key whose selector is not known."""
    return warning(
        f"whether mail is signed as {domain} cannot be seen from here; usually the relay does it",
        f"look for DKIM-Signature with d={domain} in a received `newsletter send-test`, then "
        "give the name behind its s= by --dkim-selector",
    )


def record(algorithm: str, public: bytes) -> str:
    """Returns the text of the record that publishes a key.

    Args:
        algorithm: `rsa` or `ed25519`.
        public: the public key, as `p=` has it.
    """
    return f"v=DKIM1; k={algorithm}; p={base64.b64encode(public).decode()}"


def zone_line(name: str, text: str) -> str:
    """Returns the line of a zone file for a record, in strings of at most 255 characters."""
    strings = (text[start : start + _STRING] for start in range(0, len(text), _STRING))
    return f"{name}. TXT " + " ".join(f'"{string}"' for string in strings)


def evaluate_own(domain: str, selector: str, wanted: str, answer: Answer) -> Finding:
    """Checks whether the public key of mail signed here is published under its selector.

    Args:
        wanted: the text of the record to publish.
    """
    name = f"{selector}._domainkey.{domain}"
    if isinstance(answer, Unanswered):
        return inconclusive(f"the DKIM key {name}", answer)
    keys = [parse_tags(text) for text in answer if "p" in parse_tags(text)]
    line = zone_line(name, wanted)
    if not keys:
        return failure(f"mail is signed, but no key is published at {name}", _PUBLISH, line)
    if any(_public(key) != _public(parse_tags(wanted)) for key in keys):
        return failure(f"{name} publishes another key than the one that signs", _PUBLISH, line)
    return evaluate(domain, selector, answer)


def _public(tag: Mapping[str, str]) -> str:
    return "".join(tag["p"].split())


def evaluate(domain: str, selector: str, answer: Answer) -> Finding:
    """Checks whether a sufficiently strong public key is published under a selector."""
    name = f"{selector}._domainkey.{domain}"
    if isinstance(answer, Unanswered):
        return inconclusive(f"the DKIM key {name}", answer)
    keys = [text for text in answer if "p" in parse_tags(text)]
    if not keys:
        return failure(
            f"there is no DKIM key at {name}",
            "publish the record that your relay gives you, or fix the selector's name",
            f'{name}. TXT "v=DKIM1; k=rsa; p=…"',
        )
    if len(keys) > 1:
        return failure(f"{name} has {len(keys)} keys, and receivers take any", "keep one")
    return _evaluate_key(name, parse_tags(keys[0]))


def _evaluate_key(name: str, tag: Mapping[str, str]) -> Finding:
    if tag.get("v", "DKIM1") != "DKIM1":
        return failure(f"{name} is no DKIM key: v={quoted(tag['v'])}", "write v=DKIM1")
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
        report = failure if len(key) < _MIN_KEY else warning
        return report(
            f"the DKIM key {name} has fewer than 2048 bits",
            "have your relay make a key of 2048 bits, and publish that",
        )
    if "y" in tag.get("t", "").lower().split(":"):
        return warning(
            f"the DKIM key {name} is in test mode (t=y), so receivers may ignore it",
            "take t=y out once mail arrives",
        )
    return ok(f"{name} has a key")
