"""Reads mails with a strict parser, and as raw bytes."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

STRICT = default.clone(raise_on_defect=True)

TO_ONE = [
    "from", "to", "subject", "date", "message-id", "list-id", "list-unsubscribe",
    "auto-submitted", "feedback-id", "list-unsubscribe-post", "mime-version", "content-type",
]  # fmt: skip


def read(data: bytes) -> EmailMessage:
    """Parses the mail strictly, after checking its raw bytes."""
    check_raw(data)
    message = message_from_bytes(data, policy=STRICT)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects
        for value in part.values():
            assert not value.defects
    return message


def check_raw(data: bytes) -> None:
    """Asserts what holds for every mail of ours, whatever its content."""
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert data.isascii()
    head, bodies = data.split(b"\r\n\r\n", 1)
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert max(map(len, bodies.split(b"\r\n"))) <= 76
    for word in re.findall(rb"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=", head):
        assert len(word) <= 75
    for line in head.split(b"\r\n"):
        assert line.strip(), "an empty continuation line"
    for name, value in fields(data):
        if name in ("list-unsubscribe", "list-unsubscribe-post", "message-id", "date"):
            assert b"=?" not in value
        for address in re.findall(rb"<[^<>]*@[^<>]*>", value):
            assert b"=?" not in address
        if b"=?" in value:
            assert max(map(len, (name.encode() + b": " + value).split(b"\r\n"))) <= 76


def fields(data: bytes) -> list[tuple[str, bytes]]:
    """Returns names and raw values of the header fields, in order."""
    head = data.split(b"\r\n\r\n", 1)[0]
    found = re.split(rb"\r\n(?![ \t])", head)
    return [
        (name.decode().lower(), value.strip())
        for name, _, value in (field.partition(b":") for field in found)
    ]


def raw(data: bytes, name: str) -> bytes:
    """Returns one field's raw value, unfolded."""
    (value,) = [value for found, value in fields(data) if found == name]
    return value.replace(b"\r\n", b"")


def body(message: EmailMessage, kind: str) -> str:
    """Returns the text of one part, with `\\n` line ends."""
    part = message.get_body((kind,))
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8").replace("\r\n", "\n")
