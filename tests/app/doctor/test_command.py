"""The command `newsletter doctor`: its output, its options and its exit status."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.commands import newsletter, rows_of
from tests.support.doctor import (
    HOME,
    PASSWORD,
    NameServer,
    by_smtp,
    certificate,
    configure,
    expired,
    ingest_sample,
    secured,
)
from tests.support.smtp_server import Server


def run(
    folder: Path, *arguments: str, status: int = 0, trusted: str | Path = os.devnull
) -> list[tuple[str, str]]:
    """Returns the printed levels and lines. Each that is not `ok` must have a hint below it."""
    done = newsletter("doctor", *arguments, cwd=folder, SSL_CERT_FILE=str(trusted))
    assert done.returncode == status, done
    assert not done.stderr, done.stderr
    assert PASSWORD not in done.stdout
    *lines, last = done.stdout.splitlines()
    found: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith(" "):
            level, text = found.pop()
            found.append((level, f"{text}\n{line.strip()}"))
        else:
            found.append((line[:9].strip(), line[9:]))
    for level, text in found:
        assert level in ("ok", "warning", "failure")
        assert (level == "ok") != ("\n" in text), text
    levels = [level for level, _ in found]
    many = {level: levels.count(level) for level in ("warning", "failure")}
    words = [f"{many[level]} {level}{'s' * (many[level] != 1)}" for level in many]
    assert last == ", ".join([f"{levels.count('ok')} ok", *words])
    return found


def not_ok(found: list[tuple[str, str]]) -> list[str]:
    """Returns the lines that are not `ok`."""
    return [f"{level} {text}" for level, text in found if level != "ok"]


def at_level(found: list[tuple[str, str]], level: str) -> list[str]:
    """Returns the lines of that level."""
    return [text for one, text in found if one == level]


def test_a_fresh_installation_has_no_failure(tmp_path: Path) -> None:
    """What is still missing is a warning, and no database is created."""
    newsletter("init", cwd=tmp_path)
    for file in tmp_path.glob("newsletter.db*"):
        file.unlink()
    found = not_ok(run(tmp_path, "--offline"))
    assert all(one.startswith("warning ") for one in found)
    assert any("there is no database yet" in one and "newsletter ingest" in one for one in found)
    assert any("reports go to no one" in one for one in found)
    assert not list(tmp_path.glob("newsletter.db*"))


def test_a_complete_installation(
    tmp_path: Path, mail: Callable[..., Server], names: Callable[..., NameServer]
) -> None:
    """Over TLS, with a login and all DNS records: no findings, and no mail is sent."""
    path = certificate(tmp_path, "-days", "90")
    server = mail(tls=secured(path), auth="PLAIN", password=PASSWORD)
    login = {"security": "tls", "username": "papers", "password": PASSWORD}
    configure(tmp_path, **by_smtp(server, **login))
    ingest_sample(tmp_path)
    found = run(
        tmp_path,
        *("--dkim-selector", "s1", "--nameserver", names().address),
        trusted=path,
    )
    # This machine has no name in that domain.
    assert [one for one in not_ok(found) if not one.startswith("warning PTR:")] == []
    text = "\n".join(line for _, line in found)
    for words in ("TLSv1.3", "the login as papers works", "p=none", "mx1.quay, mx2.quay"):
        assert words in text
    assert server.received == []
    assert not {"MAIL", "RCPT", "DATA"} & set(server.verbs())


def test_a_wrong_password(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """The server's reply is shown, and the password is not."""
    path = certificate(tmp_path, "-days", "90")
    server = mail(tls=secured(path), auth="LOGIN", password="another")
    login = {"security": "tls", "username": "papers", "password_file": "secret"}
    configure(tmp_path, **by_smtp(server, **login))
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text(PASSWORD)
    (found,) = at_level(run(tmp_path, "--offline", status=3, trusted=path), "failure")
    assert "the login as papers fails: 535" in found
    assert "check username and password" in found


def test_a_server_that_offers_no_tls(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """Mail is never sent unencrypted, and the login is not tried."""
    server = mail()
    login = {"security": "starttls", "username": "papers", "password": PASSWORD}
    configure(tmp_path, **by_smtp(server, **login))
    (found,) = at_level(run(tmp_path, "--offline", status=3), "failure")
    assert "does not offer STARTTLS" in found
    assert "AUTH" not in server.verbs()


def test_an_expired_certificate(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """The message says so."""
    path = expired(tmp_path)
    server = mail(tls=secured(path))
    configure(tmp_path, **by_smtp(server, security="tls"))
    found = run(tmp_path, "--offline", status=3, trusted=path)
    (failure,) = at_level(found, "failure")
    assert "certificate has expired" in failure


def test_a_certificate_that_expires_soon(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """It is a warning."""
    path = certificate(tmp_path, "-days", "5")
    server = mail(tls=secured(path), starttls=True)
    configure(tmp_path, **by_smtp(server, security="starttls"))
    found = run(tmp_path, "--offline", trusted=path)
    until = datetime.now(UTC) + timedelta(days=5)
    assert any(f"valid until {until:%Y-%m-%d} only" in one for one in not_ok(found))


def test_missing_records_are_printed_as_they_are_published(
    tmp_path: Path, names: Callable[..., NameServer]
) -> None:
    """Each on a line for the domain's zone file."""
    smtp = {"host": "smtp.relay.quay", "port": 465}
    configure(tmp_path, delivery={"transport": "smtp"}, transports_smtp=smtp)
    found = "\n".join(not_ok(run(tmp_path, "--nameserver", names({}).address, status=3)))
    assert f'\n{HOME}. TXT "v=spf1 mx include:relay.quay ~all"' in found
    assert f'\n_dmarc.{HOME}. TXT "v=DMARC1; p=none; rua=mailto:owner@{HOME}"' in found
    assert "DKIM-Signature" in found
    assert "there is no host smtp.relay.quay" in found or "could not be looked up" in found


def test_json_output(tmp_path: Path) -> None:
    """One object for each check, and one with the counts."""
    configure(tmp_path)
    done = newsletter("doctor", "--offline", "--json", cwd=tmp_path)
    *rows, last = rows_of(done)
    keys = ["check", "level", "what", "hint", "record", "excerpt"]
    assert all(list(row) == keys for row in rows)
    assert [row["check"] for row in rows][:3] == ["config", "database", "templates"]
    assert all((row["hint"] is None) == (row["level"] == "ok") for row in rows)
    assert last == {"ok": len(rows) - 1, "warnings": 1, "failures": 0}


def test_a_configuration_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Its problems are listed as by other commands, with exit status 2."""
    file = configure(tmp_path, newsletter={"send_at": "25:00"}, delivery={"sessions": 0})
    done = newsletter("doctor", cwd=tmp_path)
    assert done.returncode == 2
    assert "2 problems" in done.stderr
    rows = rows_of(newsletter("doctor", "--json", cwd=tmp_path))
    assert [row["level"] for row in rows] == ["failure", "failure"]
    file.unlink()
    assert "newsletter init" in newsletter("doctor", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--offline", "--send", "mira@inbox.quay"),
        ("--send", "no-address"),
        ("--nameserver", "ns.quay"),
        ("--dkim-selector", "a b"),
    ],
)
def test_invalid_options(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Before any check runs."""
    configure(tmp_path)
    done = newsletter("doctor", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_a_test_message_is_sent_on_request(
    tmp_path: Path, mail: Callable[..., Server], names: Callable[..., NameServer]
) -> None:
    """One, to that address, with its outcome."""
    server = mail()
    configure(tmp_path, **by_smtp(server))
    ingest_sample(tmp_path)
    asked = ("--nameserver", names().address, "--send")
    found = run(tmp_path, *asked, "mira@inbox.quay")
    assert found[-1] == ("ok", "test: the mail to mira@inbox.quay is sent: 250 2.0.0 taken")
    assert [one.rcpt for one in server.received] == ["TO:<mira@inbox.quay>"]
    server.options.faults["RCPT"] = [b"550 5.1.1 no one of that name\r\n"]
    found = run(tmp_path, *asked, "nora@inbox.quay", status=3)
    assert found[-1][0] == "failure"
    assert "no one of that name" in found[-1][1]
