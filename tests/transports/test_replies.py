"""The meaning of replies: every code at every stage, and replies that arrive in pieces."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.text.clean import clean
from newsletter.transports.replies import (
    LONGEST_REPLY,
    STAGES,
    RawReply,
    ReplyBroken,
    ReplyKind,
    Stage,
    classify,
    take_reply,
    without_reply,
)

TEXTS = st.one_of(
    st.text(),
    st.builds(
        "{}.{}.{} {}".format,
        st.integers(0, 6),
        st.integers(0, 99),
        st.integers(0, 99),
        st.text(),
    ),
)
LINES = st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), min_size=1)


@pytest.mark.parametrize("stage", STAGES)
def test_every_code_is_classified(stage: Stage) -> None:
    """Every code has a meaning, and only 2xx for the final dot means sent."""
    for code in range(1000):
        reply = classify(stage, code, "words")
        assert reply.stage == stage
        assert reply.code == code
        assert (reply.kind is ReplyKind.SENT) == (stage == "dot" and 200 <= code < 300)
        assert (reply.kind is ReplyKind.UNKNOWN) == (
            stage == "dot" and not 200 <= code < 300 and not 400 <= code < 600
        )


@given(stage=st.sampled_from(STAGES), code=st.integers(0, 999), text=TEXTS)
def test_no_text_changes_what_its_code_permits(stage: Stage, code: int, text: str) -> None:
    """A refusal always needs a 5xx code, and suppression a missing mailbox."""
    reply = classify(stage, code, text)
    assert (reply.kind is ReplyKind.SENT) == (stage == "dot" and 200 <= code < 300)
    if reply.kind is ReplyKind.REFUSED:
        assert 500 <= code < 600
        assert stage in ("rcpt", "data", "dot")
    if reply.suppress:
        assert reply.kind is ReplyKind.REFUSED
        assert stage == "rcpt"
        assert reply.enhanced in ("5.1.1", "5.1.10", "5.2.1")
    assert len(reply.text) <= 500
    assert clean(reply.text) == reply.text


@pytest.mark.parametrize(
    ("stage", "said", "kind", "suppress"),
    [
        ("dot", "250 2.0.0 queued as 1", ReplyKind.SENT, False),
        ("rcpt", "550 5.1.1 no such user", ReplyKind.REFUSED, True),
        ("rcpt", "550 5.1.10 null MX", ReplyKind.REFUSED, True),
        ("rcpt", "554 5.2.1 disabled", ReplyKind.REFUSED, True),
        ("rcpt", "550 #5.1.1 no such user", ReplyKind.REFUSED, True),
        ("rcpt", "550 sorry, no mailbox here by that name. (#5.1.1)", ReplyKind.REFUSED, True),
        ("rcpt", "550 no\n5.1.1 such user", ReplyKind.REFUSED, True),
        ("rcpt", "550 5.1.100 something else", ReplyKind.OURS, False),
        ("rcpt", "550 5.1.1.1 no such code", ReplyKind.REFUSED, False),
        ("rcpt", "550 5.1.2 bad domain", ReplyKind.OURS, False),
        ("rcpt", "550 they say 5.1.1", ReplyKind.REFUSED, False),
        ("rcpt", "550 no", ReplyKind.REFUSED, False),
        ("rcpt", "552 5.2.2 mailbox full", ReplyKind.DEFERRED, False),
        ("rcpt", "550 5.7.1 relaying denied", ReplyKind.OURS, False),
        ("rcpt", "450 5.1.1 a contradiction", ReplyKind.DEFERRED, False),
        ("rcpt", "450 4.2.1 too fast", ReplyKind.DEFERRED, False),
        ("rcpt", "530 5.7.0 log in first", ReplyKind.OURS, False),
        ("rcpt", "503 5.5.1 need MAIL", ReplyKind.OURS, False),
        ("rcpt", "421 4.3.2 closing", ReplyKind.LOST, False),
        ("dot", "550 5.1.1 said too late", ReplyKind.OURS, False),
        ("dot", "550 5.7.1 looks like spam", ReplyKind.OURS, False),
        ("dot", "571 looks like spam", ReplyKind.OURS, False),
        ("dot", "523 5.2.3 too long for this mailbox", ReplyKind.OURS, False),
        ("dot", "552 5.3.4 too long", ReplyKind.OURS, False),
        ("dot", "554 transaction failed", ReplyKind.REFUSED, False),
        ("dot", "452 4.3.1 disk full", ReplyKind.DEFERRED, False),
        ("dot", "421 4.3.2 closing", ReplyKind.DEFERRED, False),
        ("dot", "354 what?", ReplyKind.UNKNOWN, False),
        ("data", "250 what?", ReplyKind.LOST, False),
        ("data", "451 not now", ReplyKind.DEFERRED, False),
        ("data", "554 no valid recipients", ReplyKind.REFUSED, False),
        ("mail", "550 5.7.1 we do not like you", ReplyKind.OURS, False),
        ("mail", "553 bad sender", ReplyKind.OURS, False),
        ("mail", "552 5.3.4 too long", ReplyKind.OURS, False),
        ("mail", "451 4.7.1 greylisted", ReplyKind.DEFERRED, False),
        ("auth", "535 5.7.8 bad password", ReplyKind.OURS, False),
        ("auth", "454 4.7.0 not now", ReplyKind.OURS, False),
        ("auth", "421 4.7.0 too many logins", ReplyKind.LOST, False),
        ("connect", "554 5.7.1 your address is blocked", ReplyKind.OURS, False),
        ("connect", "450 busy", ReplyKind.DEFERRED, False),
        ("starttls", "454 4.7.0 no TLS now", ReplyKind.DEFERRED, False),
    ],
)
def test_real_replies_are_classified(
    stage: Stage, said: str, kind: ReplyKind, suppress: bool
) -> None:
    """Replies that occur in practice, and the result of each."""
    reply = classify(stage, int(said[:3]), said[4:])
    assert (reply.kind, reply.suppress) == (kind, suppress)


def test_reply_is_one_line() -> None:
    """It begins with the code; the enhanced code, repeated on each line, is shown once."""
    reply = classify("rcpt", 550, "5.1.1 No such\t user.\n5.1.1 See\x07\n5.1.1 https://x.example")
    assert reply.text == "550 5.1.1 No such user. See https://x.example"
    assert reply.enhanced == "5.1.1"
    assert len(classify("dot", 250, "x" * 9999).text) == 500
    assert classify("dot", 250, "").text == "250"


def test_policy_code_counts_as_its_enhanced_code() -> None:
    """571 means 5.7.1, so the mailbox is not to blame."""
    assert classify("rcpt", 571, "blocked").enhanced == "5.7.1"


def test_outcome_without_reply() -> None:
    """A description of what happened takes the place of the reply."""
    reply = without_reply(ReplyKind.LOST, "mail", "gone\r\nsomewhere")
    assert (reply.code, reply.enhanced, reply.text) == (None, None, "gone somewhere")


# Extracting replies from bytes


@given(code=st.integers(200, 599), lines=LINES, cut=st.integers(1, 50), rest=st.binary())
def test_reply_in_any_pieces(code: int, lines: list[bytes], cut: int, rest: bytes) -> None:
    """However a reply arrives, it is read the same, and no byte after it is."""
    lines = [line.rstrip(b"\r") for line in lines]
    data = b"".join(b"%d-%s\r\n" % (code, line) for line in lines[:-1])
    data += b"%d %s\r\n" % (code, lines[-1])
    received = bytearray()
    for start in range(0, len(data), cut):
        assert take_reply(received) is None
        received += data[start : start + cut]
    received += rest
    assert take_reply(received) == RawReply(code, tuple(lines))
    assert received == rest


@given(st.binary())
@example(b"250 taken\r\n")
@example(b"250-taken\r\n")
@example(b"lamps\r\n")
def test_any_bytes_are_a_reply_incomplete_or_malformed(data: bytes) -> None:
    """No other result is possible."""
    received = bytearray(data)
    try:
        reply = take_reply(received)
    except ReplyBroken:
        return
    assert reply is None or 200 <= reply.code < 600


@pytest.mark.parametrize("data", [b"250\n", b"250\r\n", b"250 \r\n"])
def test_reply_without_words(data: bytes) -> None:
    """Three digits are enough, and so is a bare line feed."""
    assert take_reply(bytearray(data)) == RawReply(250, (b"",))


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"\r\n",
        b"25\r\n",
        b"2500 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"250-a\r\n550 b\r\n",
        b"250-a\r\nb\r\n",
        b"2" * LONGEST_REPLY,
        b"250-a\r\n" * LONGEST_REPLY,
        b"250 " + b"a" * LONGEST_REPLY + b"\r\n",
    ],
)
def test_malformed_replies(data: bytes) -> None:
    """Other protocols, codes that change within a reply, and replies without an end."""
    with pytest.raises(ReplyBroken):
        take_reply(bytearray(data))
