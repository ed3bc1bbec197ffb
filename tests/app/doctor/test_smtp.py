"""The check of the mail server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter.app.doctor import context as context_module
from newsletter.app.doctor.context import Options
from newsletter.app.doctor.findings import Level
from tests.support.doctor import PASSWORD, by_smtp, configure, findings, ingest_sample
from tests.support.smtp_server import Server


def test_a_port_without_a_server(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """The hint says what the port is usually for."""
    server = mail()
    server.close()
    configure(tmp_path, **by_smtp(server))
    (found,) = findings(tmp_path)["smtp"]
    assert found.level is Level.FAILURE
    assert "refused" in found.what
    assert "check host, port and security" in found.hint


def test_a_server_that_refuses_us(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """Its reply is shown."""
    server = mail(faults={"connect": [b"554 5.7.1 not from you\r\n"]})
    configure(tmp_path, **by_smtp(server))
    (found,) = findings(tmp_path)["smtp"]
    assert found.level is Level.FAILURE
    assert "not from you" in found.what


def test_a_server_that_takes_small_mails_and_plain_addresses_only(
    tmp_path: Path, mail: Callable[..., Server]
) -> None:
    """It would refuse editions, and subscribers with internationalised addresses."""
    server = mail(size="50000")
    configure(tmp_path, **by_smtp(server))
    ingest_sample(tmp_path, "mira@inbox.quay", "jürgen@inbox.quay", "ana@bücher.quay")
    answers, size, beyond = findings(tmp_path)["smtp"]
    assert answers.level is Level.OK
    assert "50,000 bytes" in size.what
    assert beyond.what == ("the server takes no addresses beyond ASCII, and 1 subscribed with one")
    server.options.size = "9" * 5_000
    assert len(findings(tmp_path)["smtp"]) == 2
    server.options.extensions = ("SMTPUTF8",)
    server.options.size = "0"
    assert len(findings(tmp_path)["smtp"]) == 1


def test_a_login_without_tls_is_not_tried(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """Not even on this machine."""
    server = mail()
    configure(tmp_path, **by_smtp(server, username="papers", password=PASSWORD))
    found = findings(tmp_path)["smtp"]
    assert found[-1].level is Level.FAILURE
    assert "never sent in clear" in found[-1].what
    assert "AUTH" not in server.verbs()


def test_a_port_with_the_wrong_security(tmp_path: Path) -> None:
    """The hint says what the port usually requires."""
    smtp = {"host": "127.0.0.1", "port": 587}
    configure(tmp_path, delivery={"transport": "smtp"}, transports_smtp=smtp)
    (found,) = findings(tmp_path)["smtp"]
    assert found.level is Level.FAILURE
    assert 'port 587 usually wants security = "starttls"' in found.hint


def test_a_server_that_offers_a_login(
    tmp_path: Path, mail: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers on other machines usually require one."""
    configure(tmp_path, **by_smtp(mail(extensions=("AUTH PLAIN",))))
    assert len(findings(tmp_path)["smtp"]) == 1
    monkeypatch.setattr(context_module, "LOOPBACK", ())
    assert "none is configured" in findings(tmp_path, Options())["smtp"][1].what
