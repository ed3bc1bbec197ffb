"""A page's bytes as they come in: counted, and unpacked in small pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from newsletter.errors import FetchError

_PIECE = 64 * 1024  # bytes a decompressor may give at once


def capped(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """The chunks, as long as they are `limit` bytes or fewer together."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise too_large(limit)
        yield chunk


def too_large(limit: int) -> FetchError:
    """The error for a page past the limit."""
    return FetchError(f"the page is larger than {limit:,} bytes", hint="is this the right URL?")


def inflated(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The chunks unpacked, in pieces small enough to be counted before there are too many.

    Raises:
        zlib.error: they are packed in another way, or something follows the end.
        EOFError: the end is missing.
    """
    decoder, head = None, b""
    for chunk in chunks:
        head += chunk
        if decoder is None:
            if len(head) < 2:
                continue
            decoder = zlib.decompressobj(_window(encoding, head))
        piece = decoder.decompress(head, _PIECE)
        while piece:
            yield piece
            piece = decoder.decompress(decoder.unconsumed_tail, _PIECE)
        if decoder.unused_data:
            raise zlib.error("something follows its end")
        head = b""
    if head or (decoder is not None and not decoder.eof):
        raise EOFError


def _window(encoding: str, head: bytes) -> int:
    """zlib's `wbits`. "deflate" means a zlib stream, and many servers send it bare."""
    if encoding != "deflate":
        return 16 + zlib.MAX_WBITS
    wrapped = head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
