"""Email addresses: which are accepted, their forms, and that none can inject anything."""

from __future__ import annotations

import re
import smtplib
import sys
import unicodedata
from email import message_from_string
from email.headerregistry import Address as HeaderAddress
from email.policy import default
from unittest import mock

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from newsletter.messages.mime import mailbox
from newsletter.subscribers import address as address_module
from newsletter.subscribers.address import LONGEST, Address, parse_address
from newsletter.text.clean import clean
from tests.support.addresses import DOMAINS, PLAIN, WRITTEN
from tests.support.soak import SOAK

FUZZED = 10_000 if SOAK else 500
NEVER = re.compile(r"(?!)")
COMPOSED = "café@example.org"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def result(written: str) -> Address | str:
    """Returns the address, or the reason why it is invalid."""
    try:
        return parse_address(written)
    except ValueError as exc:
        return str(exc)


def result_of_library(written: str) -> Address | str:
    """Returns the same without the fast path for plain addresses."""
    with mock.patch.object(address_module, "_PLAIN", NEVER):
        return result(written)


@pytest.mark.parametrize(
    ("written", "display", "normal", "spec"),
    [
        ("mira@example.org", "mira@example.org", "mira@example.org", "mira@example.org"),
        (" Mira@Example.ORG\n", "Mira@example.org", "mira@example.org", "Mira@example.org"),
        ("m.i+x@example.org", "m.i+x@example.org", "m.i+x@example.org", "m.i+x@example.org"),
        ("Info@example.org", "Info@example.org", "info@example.org", "Info@example.org"),
        ("o'hara@example.org", "o'hara@example.org", "o'hara@example.org", "o'hara@example.org"),
        ("mira@Straße.de", "mira@straße.de", "mira@xn--strae-oqa.de", "mira@xn--strae-oqa.de"),
        ("M@XN--STRAE-OQA.de", "M@straße.de", "m@xn--strae-oqa.de", "M@xn--strae-oqa.de"),
        ("Straße@example.org", "Straße@example.org", "strasse@example.org", "Straße@example.org"),
        ("灯台@灯台.jp", "灯台@灯台.jp", "灯台@xn--kprz67d.jp", "灯台@xn--kprz67d.jp"),
        (DECOMPOSED, COMPOSED, COMPOSED, COMPOSED),
        ("Ϊ\u0301@example.org", "Ϊ́@example.org", "ΐ@example.org", "Ϊ́@example.org"),
        ("Root@LocalHost", "Root@localhost", "root@localhost", "Root@localhost"),
    ],
)
def test_the_forms_of_an_address(written: str, display: str, normal: str, spec: str) -> None:
    """The display form keeps the script, the normal form folds case, mail uses an ASCII domain."""
    found = parse_address(written)
    assert (found.display, found.normal, found.spec) == (display, normal, spec)
    assert spec == f"{found.local}@{found.domain}"


@pytest.mark.parametrize(
    ("written", "plain"),
    [("mira@example.org", True), ("mira@münchen.de", True), ("müller@example.org", False)],
)
def test_only_the_part_before_the_at_sign_needs_smtputf8(written: str, *, plain: bool) -> None:
    """A domain in another script has an ASCII form that every server accepts."""
    assert parse_address(written).spec.isascii() is plain


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "write an address, such as"),
        (" \t", "write an address, such as"),
        ("mira", 'one "@"'),
        ("mira@", "something after the @-sign"),
        ("@example.org", "something before the @-sign"),
        ("mira@lab@example.org", 'one "@"'),
        ("mira@lab", "a domain with a dot"),
        ("mira@10.0.0.1", "not an IP address"),
        ("mira@[10.0.0.1]", "bracketed IP address"),
        ("mira@example..org", "two periods"),
        ("mira..o@example.org", "two periods"),
        (".mira@example.org", "start with a period"),
        ("mira@-example.org", "hyphen"),
        ("mira@hidden.onion", "special-use"),
        ("Mira <mira@example.org>", "write only the address"),
        ("mira@example.org,jonas@example.org", "write only the address"),
        ('"mira o"@example.org', "write only the address"),
        ("mira o@example.org", "write only the address"),
        ("mira\u3000o@example.org", "write only the address"),
        ("mira\x00@example.org", "write only the address"),
        ("mira@example.org\r\nBcc: x@example.org", "write only the address"),
        ("=?utf-8?q?mira?=@example.org", "write only the address"),
        ("a\u037eb@example.org", "write only the address"),
        ("mira(lamps)@example.org", "write only the address"),
        ("mira\\@example.org", "write only the address"),
        ("mira＠example.org", 'one "@"'),
        ("mira\u200b@example.org", "ZERO WIDTH SPACE"),
        ("mira\u202e@example.org", "RIGHT-TO-LEFT OVERRIDE"),
        ("mira@exam\u00adple.org", "SOFT HYPHEN"),
        ("mira\ud800@example.org", "U+D800"),
        ("\u0301mira@example.org", "COMBINING ACUTE ACCENT"),
        ("mi\u2060\u2061\u2062\u2063\u2064\u200b\u200e@example.org", "ZERO WIDTH SPACE"),
        ("mira@example.org" * 1_000_000, "longer than mail allows"),
        ("é" * 1_000_000 + "@example.org", "longer than mail allows"),
    ],
)  # fmt: skip
def test_an_invalid_address_is_refused_with_a_reason(written: str, reason: str) -> None:
    """The reason is short, on one line and without a full stop."""
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        parse_address(written)
    why = str(caught.value)
    assert why == clean(why)
    assert len(why) < 130
    assert not why.endswith(".")
    assert not why[0].isupper()


@pytest.mark.parametrize(
    ("local", "domain", "length"),
    [
        ("a" * 64, "a." * 94 + "a", LONGEST),
        ("é" * 32, "a." * 94 + "a", LONGEST),
        ("é", "a." * 124 + "ab", LONGEST - 1),
    ],
)
def test_the_longest_address(local: str, domain: str, length: int) -> None:
    """254 bytes are accepted, in any script; one letter more is not."""
    assert len(parse_address(f"{local}@{domain}").spec.encode()) == length
    assert result(f"{local}é@{domain}") == "longer than mail allows (254 bytes)"


@pytest.mark.parametrize("character", ["a", "é"])
def test_the_longest_part_before_the_at_sign(character: str) -> None:
    """64 bytes are accepted, in any script."""
    most = 64 // len(character.encode())
    assert not isinstance(result(f"{character * most}@example.org"), str)
    reason = result(f"{character * most}a@example.org")
    assert reason == 'the part before the "@" is over 64 bytes'


@pytest.mark.parametrize(
    "written",
    [
        "ŉ" * 100 + "@a.org",
        f"a@{'.'.join(['一' * 30] * 3)}.org",
        f"a@{'.'.join(['xn--4gq' + 'a' * 29] * 3)}.org",
    ],
)
def test_every_form_of_an_address_has_the_limit(written: str) -> None:
    """The normal form and the display form can be longer than the form used for mail."""
    assert "long" in str(result(written))


@settings(max_examples=FUZZED)
@given(WRITTEN)
@example("mira@example.org")
def test_no_accepted_address_can_inject_anything(written: str) -> None:
    """In a header it is exactly one address, in a command it stays between < and >."""
    found = result(written)
    if isinstance(found, str):
        assert found == clean(found)
        return
    for form in (found.spec, found.normal, found.display):
        assert not set(form) & set('\r\n\x00\t <>"(),:;\\')
        assert form.isprintable()
        assert unicodedata.is_normalized("NFC", form)
        assert form.count("@") == 1
        assert "=?" not in form
        assert form.encode().decode("utf-8").splitlines() == [form]
        assert len(form.encode()) <= LONGEST
    assert found.domain.isascii()
    assert re.fullmatch(r"(?=.*\.|localhost$)[a-z0-9.-]+", found.domain)
    assert smtplib.quoteaddr(found.spec) == f"<{found.spec}>"
    message = message_from_string(f"To: {found.spec}\r\n\r\nbody", policy=default)
    assert message.keys() == ["To"]
    if found.spec.isascii():
        assert [one.addr_spec for one in message["To"].addresses] == [found.spec]
        assert mailbox(HeaderAddress("", found.local, found.domain)) == found.spec


@settings(max_examples=FUZZED)
@given(WRITTEN)
@example("a" * 242 + "@example.org")
@example("a" * 243 + "@example.org")
@example("a" * 250 + "@a.b")
@example("a" * 253 + "@a.b")
@example("a@b..c")
def test_the_fast_path_has_the_same_result(written: str) -> None:
    """The library would return the same for plain addresses, which skip it."""
    assert result(written) == result_of_library(written)


@given(st.builds("{}@{}".format, PLAIN, DOMAINS | PLAIN))
@example("mira@example.org")
def test_plain_addresses_agree_with_the_library(written: str) -> None:
    """The library validates the whole address, we validate its halves."""
    found = result(written)
    try:
        theirs = validate_email(written, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        assert isinstance(found, str) or found.domain == "localhost"
        return
    if isinstance(found, str):
        assert "." not in theirs.ascii_domain or theirs.ascii_domain.split(".")[-1].isdigit()
        return
    assert written.startswith(f"{found.local}@")
    assert found.domain == theirs.ascii_domain
    assert found.display.lower() == theirs.normalized.lower()


@settings(max_examples=FUZZED)
@given(WRITTEN)
@example("Zoë@bücher.example")
def test_every_form_of_an_address_is_the_same_address(written: str) -> None:
    """The display form parses to the same address, and all forms have one normal form."""
    found = result(written)
    if isinstance(found, str):
        return
    assert parse_address(found.display) == found
    assert parse_address(found.normal).normal == found.normal
    assert parse_address(found.spec).normal == found.normal
    assert parse_address(unicodedata.normalize("NFD", found.display)) == found


@settings(max_examples=FUZZED)
@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12))
@example("ΐ")
@example("STRASSE")
def test_case_does_not_distinguish_addresses(local: str) -> None:
    """This holds for every script and for the domain."""
    found = result(f"{local}@example.org")
    folded = result(f"{local.casefold()}@Example.ORG")
    assume(isinstance(found, Address) and isinstance(folded, Address))
    assert isinstance(found, Address)
    assert isinstance(folded, Address)
    assert found.normal == folded.normal


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("MIRA@example.org", "mira@EXAMPLE.org", True),
        ("STRASSE@example.org", "straße@example.org", True),
        (DECOMPOSED.upper(), COMPOSED, True),
        ("mira@MÜNCHEN.de", "mira@xn--mnchen-3ya.de", True),
        ("mira.o@example.org", "mirao@example.org", False),
        ("mira+x@example.org", "mira@example.org", False),
        ("mira@example.org", "mira@example.com", False),
    ],
)
def test_which_addresses_are_the_same(one: str, other: str, *, same: bool) -> None:
    """Case and encoding do not matter; dots and tags after a plus sign do."""
    assert (parse_address(one).normal == parse_address(other).normal) is same


def test_folding_is_idempotent_for_every_letter() -> None:
    """This holds for the letters of all scripts."""
    letters = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isalpha()]
    for letter in letters:
        once = address_module._folded(f"a{letter}")
        assert address_module._folded(once) == once, letter


@given(st.permutations(["mira@example.org", "MIRA@example.org", "mira@lab@x", "jonas@münchen.de"]))
def test_the_result_does_not_depend_on_the_cache(order: list[str]) -> None:
    """Cached domains, valid or not, have the same result the next time."""
    address_module._domain.cache_clear()
    first = {written: result(written) for written in order}
    assert first == {written: result(written) for written in reversed(order)}


def test_the_cache_of_domains_is_limited() -> None:
    """A file with a million domains does not fill the memory."""
    assert address_module._domain.cache_info().maxsize is not None
