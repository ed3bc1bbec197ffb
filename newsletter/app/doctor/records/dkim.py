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

_MIN_KEY = 130
"""Size in bytes below which receivers reject a key; one of 1024 bits has 140 or 162."""


def unknown_selector(domain: str) -> Finding:
    """Returns the finding for a key whose selector is not known."""
    return warning(
        f"whether mail is signed as {domain} cannot be seen from here; usually the relay does it",
        f"look for DKIM-Signature with d={domain} in a received `newsletter send-test`, then "
        "give the name behind its s= by --dkim-selector",
    )


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
            f"the DKIM key {name} is on trial (t=y), so receivers may pass over it",
            "take t=y out once mail arrives",
        )
    return ok(f"{name} has a key")
