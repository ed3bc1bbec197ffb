"""Private names of libraries that we override, or that our attributes share: a short, tested list.

A library may rename them in any release. Each is here by name, so that such a release fails here,
with a clear word, instead of in production; a new one has to be added.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import smtplib
from collections.abc import Iterator

import email_validator
import pytest
from feedparser.api import LooseFeedParser, StrictFeedParser
from jinja2 import Environment

import newsletter
from newsletter.subscribers.address import parse_address

OVERRIDDEN = {
    "newsletter.editions.templating.TemplateEnvironment._generate": Environment,
    "newsletter.formats.linear_feedparser._Bounded._sync_author_detail": StrictFeedParser,
    "newsletter.transports.wire.Wire._get_socket": smtplib.SMTP,
}
"""Our methods, by the class of the library that calls them by that name."""

CALLED = [
    (StrictFeedParser, "_get_context"),
    (LooseFeedParser, "_get_context"),
    (LooseFeedParser, "_sync_author_detail"),
]
"""Private methods of libraries that we call, or that a second class overrides."""


def ours() -> Iterator[type]:
    """Every class of the package."""
    for module in pkgutil.walk_packages(newsletter.__path__, "newsletter."):
        if module.name.endswith("__main__") or ".migrations" in module.name:
            continue
        found = vars(importlib.import_module(module.name)).values()
        yield from (one for one in found if inspect.isclass(one) and one.__module__ == module.name)


def overrides(cls: type) -> Iterator[str]:
    """The private names that a class, or a class of ours before it, takes from a library's."""
    mro = inspect.getmro(cls)
    for at, mine in enumerate(mro):
        if mine.__module__.startswith("newsletter."):
            theirs = [base for base in mro[at + 1 :] if is_library(base)]
            for name in vars(mine):
                private = name.startswith("_") and not name.startswith("__")
                if private and any(name in vars(base) for base in theirs):
                    yield f"{mine.__module__}.{mine.__qualname__}.{name}"


def is_library(cls: type) -> bool:
    """Whether a class is of a library whose private names may change."""
    own = ("newsletter", "builtins", "typing", "abc", "enum", "pydantic")
    return cls.__module__.partition(".")[0] not in own


def test_no_other_private_name_is_overridden() -> None:
    """And each of these still is: the library has it, or our method is never called."""
    of_python = ("._abc_impl", "._is_protocol")
    found = {name for cls in ours() for name in overrides(cls) if not name.endswith(of_python)}
    assert found == set(OVERRIDDEN)


@pytest.mark.parametrize(
    ("cls", "name"),
    [*((cls, name.rpartition(".")[2]) for name, cls in OVERRIDDEN.items()), *CALLED],
)
def test_the_library_has_it(cls: type, name: str) -> None:
    """Under the name that we use."""
    library = cls.__module__.partition(".")[0]
    assert callable(getattr(cls, name, None)), f"{library} has no {name} any more: adapt to it"


def test_smtplib_connects_by_get_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that it opens in another way would be without TLS and limits."""
    asked = []

    class Asked(smtplib.SMTP):
        def _get_socket(self, host: str, port: int, timeout: float) -> object:
            asked.append((host, port, timeout))
            raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        Asked("127.0.0.1", 25, "lamp.harbour", 7.0)
    assert asked == [("127.0.0.1", 25, 7.0)], "smtplib does not call _get_socket any more"


def test_the_validator_reads_the_list_that_is_changed() -> None:
    """Its list of special domains is the library's public way (its documentation names it)."""
    assert email_validator.SPECIAL_USE_DOMAIN_NAMES == ["arpa", "onion"]
    assert parse_address("mira@lamps.test").domain == "lamps.test"
    with pytest.raises(ValueError, match="special"):
        parse_address("mira@lamps.onion")
