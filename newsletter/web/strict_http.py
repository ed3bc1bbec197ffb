"""Refuses requests that another HTTP parser could read as two requests, or as another one.

h11 takes a bare LF for the end of a line, unfolds folded headers and merges lengths that are given
twice. A server in front that reads them otherwise would pass on a request that it has not seen.
"""

from __future__ import annotations

import re

import h11

_BARE_LF = re.compile(rb"(?<!\r)\n")
_FOLDED = re.compile(rb"\r\n[ \t]")
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:([^\r]*)", re.IGNORECASE)
_ENCODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)


class StrictConnection(h11.Connection):
    """The server's side of a connection."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        """Returns the next event.

        Raises:
            h11.RemoteProtocolError: the request is invalid or ambiguous.
        """
        if self.their_state is h11.IDLE and (fault := ambiguity(self.trailing_data[0])):
            raise h11.RemoteProtocolError(fault)
        return super().next_event()


def ambiguity(received: bytes) -> str:
    """Returns why parsers may disagree about a request; empty if they cannot.

    Args:
        received: the request as far as it was received, from its first byte.
    """
    head, end, _ = received.partition(b"\r\n\r\n")
    if _BARE_LF.search(head):
        return "a line ends with LF alone"
    if not end:
        return ""
    if _FOLDED.search(head):
        return "a header is folded"
    lengths, encodings = _LENGTH.findall(head), _ENCODING.findall(head)
    if len(lengths) > 1 or any(b"," in length for length in lengths):
        return "the length is given twice"
    if lengths and encodings:
        return "there are both Content-Length and Transfer-Encoding"
    if encodings and head.partition(b"\r\n")[0].endswith(b"HTTP/1.0"):
        return "HTTP/1.0 has no Transfer-Encoding"
    return ""
