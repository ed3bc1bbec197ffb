"""Reads submitted forms: small, complete, and text only."""

from __future__ import annotations

from collections.abc import Mapping

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

_MOST_FIELDS = 20
_CHARSETS = (b"utf-8", b"utf8")  # others can produce text that no page can contain
TOO_OFTEN = (
    "Too often",
    "There were too many requests from your network, or altogether. Please try again in an hour.",
)


async def read(request: Request) -> Mapping[str, str]:
    """Returns the fields of a form; for repeated fields, the first value.

    Raises:
        HTTPException: the body is not a form, not UTF-8, or too large.
    """
    _, options = parse_options_header(request.headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise HTTPException(415)
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            fields.setdefault(name, value)
    return fields
