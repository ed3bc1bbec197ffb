"""Tokens and labels: they can be read with their key, and not forged without it."""

from __future__ import annotations

import re
import string
from binascii import b2a_qp
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.messages.tokens import (
    BOUNCE,
    COPY,
    SUPPRESSION,
    TOKEN_LENGTH,
    UNSUBSCRIBE,
    label,
    number_of,
    suppression_hash,
    timed,
    timed_number_of,
    token,
    unverified_number_of,
)

KEY = b"k" * 32
OLD = b"o" * 32
LAST = 2**48 - 1
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PURPOSES = (UNSUBSCRIBE, COPY, BOUNCE, SUPPRESSION, b"confirm", b"preferences", b"p" * 16)
WRITTEN = string.ascii_letters + string.digits + "-_"
LOOKALIKES = "\u0410\uff21\u0661\u2010\u2212\u200b\u0301\ud800é灯🏮"

KEYS = st.binary(min_size=1, max_size=64)
NUMBERS = st.integers(0, LAST)


@given(KEYS, st.sampled_from(PURPOSES), NUMBERS)
def test_a_token_contains_its_number(key: bytes, purpose: bytes, number: int) -> None:
    """It is read with the key and the purpose that it was made with."""
    assert number_of([key], purpose, token(key, purpose, number)) == number


@given(KEYS, st.sampled_from(PURPOSES), NUMBERS)
def test_a_token_needs_no_encoding(key: bytes, purpose: bytes, number: int) -> None:
    """It always has the same length, and URLs and quoted-printable leave it unchanged."""
    text = token(key, purpose, number)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert len(text) == TOKEN_LENGTH
    assert quote(text, safe="") == text
    assert b2a_qp(text.encode()) == text.encode()


def test_tokens_of_old_mail_stay_valid() -> None:
    """A link never expires, so an old token must be made and read the same for ever."""
    assert token(KEY, UNSUBSCRIBE, 7) == "AAAAAAAHs6VjeR8rYhzz37lRHftF"
    assert number_of([KEY], UNSUBSCRIBE, "AAAAAAAHs6VjeR8rYhzz37lRHftF") == 7
    assert label(KEY, COPY, 7, 1) == "i73igjxpg3eumuuu"
    assert suppression_hash(KEY, "mira@example.org").hex()[:16] == "e2922106eaae922b"


@pytest.mark.parametrize("number", [-1, LAST + 1])
def test_a_number_that_is_too_large_is_refused(number: int) -> None:
    """An error is raised, so that two subscribers never share a token."""
    with pytest.raises(OverflowError):
        token(KEY, UNSUBSCRIBE, number)


@pytest.mark.parametrize("made_for", PURPOSES)
def test_a_token_is_valid_for_one_purpose(made_for: bytes) -> None:
    """A token that unsubscribes a subscriber cannot confirm a subscription."""
    text = token(KEY, made_for, 7)
    for purpose in PURPOSES:
        assert number_of([KEY], purpose, text) == (7 if purpose == made_for else None)


@given(KEYS, KEYS, NUMBERS)
def test_another_key_cannot_read_a_token(key: bytes, other: bytes, number: int) -> None:
    """Only the key that made a token verifies it."""
    read = number_of([other], UNSUBSCRIBE, token(key, UNSUBSCRIBE, number))
    assert read == (number if key == other else None)


@given(st.lists(KEYS, unique=True, max_size=5), st.data())
def test_keys_can_be_rotated(keys: list[bytes], data: st.DataObject) -> None:
    """A token is valid as long as its key is among the known ones, in any position."""
    at = data.draw(st.integers(0, len(keys)))
    retired = b"retired" * 9
    text = token(retired, UNSUBSCRIBE, 7)
    assert number_of(keys, UNSUBSCRIBE, text) is None
    assert number_of([*keys[:at], retired, *keys[at:]], UNSUBSCRIBE, text) == 7
    for key in keys:
        assert number_of(keys, UNSUBSCRIBE, token(key, UNSUBSCRIBE, 8)) == 8


def test_without_a_key_no_token_is_read() -> None:
    """Keys may also come from an iterator, which can be read only once."""
    text = token(KEY, UNSUBSCRIBE, 7)
    assert number_of([], UNSUBSCRIBE, text) is None
    assert number_of(iter([OLD, KEY]), UNSUBSCRIBE, text) == 7


@pytest.mark.parametrize("number", [0, 7, 62, 63, LAST])
def test_no_character_can_be_changed(number: int) -> None:
    """No position can have another character, even one that looks the same."""
    text = token(KEY, UNSUBSCRIBE, number)
    for place, character in enumerate(text):
        for other in string.printable + LOOKALIKES:
            changed = text[:place] + other + text[place + 1 :]
            assert other == character or number_of([KEY], UNSUBSCRIBE, changed) is None, changed


def test_a_token_has_only_one_spelling() -> None:
    """The characters of standard base64 are not accepted."""
    texts = [token(KEY, UNSUBSCRIBE, number) for number in range(200)]
    assert any("-" in text for text in texts)
    assert any("_" in text for text in texts)
    for text in texts:
        other = text.replace("-", "+").replace("_", "/")
        assert other == text or number_of([KEY], UNSUBSCRIBE, other) is None


@given(NUMBERS, NUMBERS)
def test_a_hash_belongs_to_its_number(number: int, other: int) -> None:
    """The beginning of one token and the end of another are not a token."""
    mine, theirs = token(KEY, UNSUBSCRIBE, number), token(KEY, UNSUBSCRIBE, other)
    read = number_of([KEY], UNSUBSCRIBE, mine[:8] + theirs[8:])
    assert read == (number if number == other else None)


def test_a_token_has_one_length() -> None:
    """A token that is cut, doubled, or has anything before, after or within it is not valid."""
    text = token(KEY, UNSUBSCRIBE, 7)
    wrong = [text[:length] for length in range(len(text))]
    wrong += [text + text, *(text + end for end in ["A", "=", "==", "\n", "\r\n", " ", "\0", "/"])]
    wrong += [f" {text}", f"\ufeff{text}", text[:9] + "\n" + text[9:], text[:-1] + "=", "=" * 28]
    assert [one for one in wrong if number_of([KEY], UNSUBSCRIBE, one) is not None] == []


@given(st.text(st.characters()) | st.text(WRITTEN, min_size=28, max_size=28))
def test_no_other_text_is_a_token(text: str) -> None:
    """Any other text returns `None`, without an error."""
    assert number_of([KEY, OLD], UNSUBSCRIBE, text) is None


def test_tokens_differ() -> None:
    """They differ by number, purpose and key."""
    made = {
        token(key, purpose, number)
        for key in (KEY, OLD)
        for purpose in PURPOSES
        for number in range(1_000)
    }
    assert len(made) == 2 * len(PURPOSES) * 1_000


# --- timed tokens

BOUNDS = st.binary(max_size=300)


@given(KEYS, NUMBERS, BOUNDS, BOUNDS)
def test_a_bound_token_is_valid_for_what_it_is_bound_to(
    key: bytes, number: int, bound: bytes, other: bytes
) -> None:
    """It has the usual length, its number can be read, and it is not valid for anything else."""
    text = timed(key, UNSUBSCRIBE, number, NOW + HOUR, bound)
    assert len(text) == len(timed(key, UNSUBSCRIBE, number, NOW + HOUR))
    assert unverified_number_of(text) == number
    assert timed_number_of([OLD, key], UNSUBSCRIBE, text, NOW, bound) == number
    assert timed_number_of([key], COPY, text, NOW, bound) is None
    assert timed_number_of([key], UNSUBSCRIBE, text, NOW + HOUR, bound) is None
    read = timed_number_of([key], UNSUBSCRIBE, text, NOW, other)
    assert read == (number if bound == other else None)


@given(st.text(st.characters()) | st.text(WRITTEN, min_size=36, max_size=36))
def test_an_unverified_number_is_read_from_any_timed_token(text: str) -> None:
    """Only text of the right form has one, and it is never verified."""
    number = unverified_number_of(text)
    assert (number is not None) is bool(re.fullmatch(r"[A-Za-z0-9_-]{36}", text))
    assert timed_number_of([KEY, OLD], UNSUBSCRIBE, text, NOW) is None


# --- labels


@given(KEYS, st.sampled_from(PURPOSES), st.lists(st.integers(0, 2**64 - 1), max_size=4))
def test_a_label_fits_into_a_mailbox_name(key: bytes, purpose: bytes, numbers: list[int]) -> None:
    """It is lower-case, because mailboxes ignore case, and the same when made again."""
    for size in (5, 10, 20):
        made = label(key, purpose, *numbers, size=size)
        assert re.fullmatch(r"[a-z2-7]+", made)
        assert len(made) == size * 8 // 5
        assert made == label(key, purpose, *numbers, size=size)


def test_labels_differ() -> None:
    """They differ by each number, their order and count, and by purpose, key and size."""
    numbers = [(), (0,), (1,), (2,), (1, 2), (2, 1), (0, 1), (1, 0), (256,), (1, 2, 3), (2**40,)]
    made = [
        label(key, purpose, *some, size=size)
        for key in (KEY, OLD)
        for purpose in PURPOSES
        for some in numbers
        for size in (5, 10)
    ]
    assert len(set(made)) == len(made)
    assert not [(one, two) for one in made for two in made if one != two and one in two]


def test_a_label_hides_its_numbers() -> None:
    """Labels of consecutive numbers have nothing in common, and no label is a token."""
    first, second = label(KEY, COPY, 1, 1), label(KEY, COPY, 2, 1)
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 6
    assert number_of([KEY], COPY, label(KEY, COPY, 1, size=20)[:TOKEN_LENGTH]) is None


# --- suppression hashes


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_a_suppression_hash_stands_for_one_text(text: str, other: str) -> None:
    """It is the same for the same text, and different for any other."""
    assert suppression_hash(KEY, text) == suppression_hash(KEY, text)
    assert (suppression_hash(KEY, text) == suppression_hash(KEY, other)) is (text == other)


def test_a_suppression_hash_cannot_be_guessed() -> None:
    """Addresses cannot be tried out without the key: it is not, and contains no, plain hash."""
    made = suppression_hash(KEY, "mira@example.org")
    assert len(made) == 32
    assert made != suppression_hash(OLD, "mira@example.org")
    assert made != blake2b(b"mira@example.org", digest_size=32).digest()
    assert made != blake2b(b"mira@example.org", digest_size=32, person=SUPPRESSION).digest()
    assert b"mira" not in made
