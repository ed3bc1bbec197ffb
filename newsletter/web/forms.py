"""Forms as visitors send them: small, whole, and only text."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import UploadFile
from starlette.requests import Request

_MOST_FIELDS = 20
TOO_OFTEN = (
    "Too often",
    "There were too many requests from your network, or altogether. Please try again in an hour.",
)


async def read(request: Request) -> Mapping[str, str]:
    """The fields of a form, the first value of each.

    Raises:
        HTTPException: it is no form, or too large a one.
    """
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            fields.setdefault(name, value)
    return fields
