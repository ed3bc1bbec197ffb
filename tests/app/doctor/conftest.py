"""Servers on loopback for the tests of `newsletter doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.support.doctor import WELL, NameServer
from tests.support.smtp_server import Options as ServerOptions
from tests.support.smtp_server import Server


@pytest.fixture
def names() -> Iterator[Callable[..., NameServer]]:
    """Starts name servers."""
    made: list[NameServer] = []

    def make(zone: Mapping[str, Sequence[str]] = WELL, **options: Sequence[str]) -> NameServer:
        made.append(NameServer(zone, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def mail() -> Iterator[Callable[..., Server]]:
    """Starts mail servers."""
    made: list[Server] = []

    def make(**options: Any) -> Server:
        made.append(Server(ServerOptions(**options)))
        return made[-1]

    yield make
    for one in made:
        one.close()
