"""Queries that are not made: with `--offline`, and about domains that are not in the public DNS."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter.app.doctor.context import Options
from newsletter.app.doctor.resolver import Resolver
from tests.support.doctor import PASSWORD, NameServer, configure, findings


def test_offline_makes_no_connections(
    tmp_path: Path, names: Callable[..., NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to name servers nor to mail servers."""
    smtp = {"host": "smtp.relay.quay", "username": "papers", "password": PASSWORD}
    configure(tmp_path, delivery={"transport": "smtp"}, transports_smtp=smtp)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    server = names()
    found = findings(tmp_path, resolver=Resolver("127.0.0.1", server.port))
    (one,) = found["smtp"]
    assert one.what == "smtp.relay.quay:465 is not contacted (--offline)"
    assert [one.what for one in found["DNS"]] == ["not queried (--offline)"]
    assert server.queries == []


@pytest.mark.parametrize("domain", ["lab.test", "mira.local", "x.invalid", "example.org"])
def test_special_use_domains_are_not_queried(
    tmp_path: Path, names: Callable[..., NameServer], domain: str
) -> None:
    """They are not in the public DNS."""
    configure(tmp_path, newsletter={"sender": f"a@{domain}"})
    server = names()
    found = findings(tmp_path, Options(), resolver=Resolver("127.0.0.1", server.port))
    assert domain in found["DNS"][0].what
    assert server.queries == []
    assert not {"SPF", "DKIM", "DMARC", "MX", "PTR"} & set(found)
