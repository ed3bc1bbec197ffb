"""Response bodies as streams: limited in size, and decompressed in small pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from newsletter.errors import FetchError

_PIECE = 64 * 1024  # maximum bytes per step of the decompressor


def capped(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Yields the chunks. Raises `FetchError` once their total exceeds `limit` bytes."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise too_large(limit)
        yield chunk


def too_large(limit: int) -> FetchError:
    """Returns the error for a page larger than the limit."""
    return FetchError(f"the page is larger than {limit:,} bytes", hint="check the source's URL")


def inflated(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yields the decompressed chunks, in pieces small enough to enforce a size limit.

    Raises:
        zlib.error: the data has another encoding, or continues after the end of the stream.
        EOFError: the end of the stream is missing.
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
            raise zlib.error("there is data after its end")
        head = b""
    if head or (decoder is not None and not decoder.eof):
        raise EOFError


def _window(encoding: str, head: bytes) -> int:
    """Returns zlib's `wbits`. "deflate" means a zlib stream, but many servers send a raw one."""
    if encoding != "deflate":
        return 16 + zlib.MAX_WBITS
    wrapped = head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
