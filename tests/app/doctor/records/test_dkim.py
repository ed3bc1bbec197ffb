"""DKIM keys."""

from __future__ import annotations

import base64

import pytest

from newsletter.app.doctor.findings import Level
from newsletter.app.doctor.records import dkim
from newsletter.app.doctor.records.answers import Answer
from tests.support.dns_answers import HOME, KEY, assert_finding


def test_an_unknown_selector() -> None:
    """The hint says what to look for in a received mail."""
    assert_finding(dkim.unknown_selector(HOME), Level.WARNING, "DKIM-Signature", "--dkim-selector")


@pytest.mark.parametrize(
    "record",
    [
        f"v=DKIM1; k=rsa; p={KEY}",
        f"p={KEY[:80]} {KEY[80:]}",
        f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(32)).decode()}",
    ],
)
def test_valid_keys(record: str) -> None:
    """Of both algorithms, and in several strings."""
    assert dkim.evaluate(HOME, "s1", ("hello", record)).level is Level.OK


@pytest.mark.parametrize(
    ("texts", "level", "words"),
    [
        ((), Level.FAILURE, "s1._domainkey.papers.harbour"),
        (("hello",), Level.FAILURE, "no DKIM key"),
        ((f"p={KEY}", f"p={KEY}"), Level.FAILURE, "2 keys"),
        (("v=DKIM1; p=",), Level.FAILURE, "withdrawn"),
        (("v=DKIM2; p=AAAA",), Level.FAILURE, "v=DKIM1"),
        (("v=DKIM1; p=no key!",), Level.FAILURE, "damaged"),
        ((f"p={base64.b64encode(bytes(94)).decode()}",), Level.FAILURE, "2048"),
        ((f"p={base64.b64encode(bytes(162)).decode()}",), Level.WARNING, "2048"),
        ((f"p={KEY}; t=y:s",), Level.WARNING, "in test mode"),
    ],
)
def test_invalid_keys(texts: Answer, level: Level, words: str) -> None:
    """Each with what is wrong."""
    assert_finding(dkim.evaluate(HOME, "s1", texts), level, words)
