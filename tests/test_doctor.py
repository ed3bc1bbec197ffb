"""`newsletter doctor`: what is wrong is found, said with what to do, and nothing is sent."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from newsletter import resolver as resolver_module
from newsletter.app import App
from newsletter.app.checks import sample
from newsletter.app.doctor import Asked, Doctor, machine
from newsletter.app.doctor import mail as mail_checks
from newsletter.config.file import load_config
from newsletter.csv_columns import SubscriberRow
from newsletter.domains import Finding, Level, Unanswered
from newsletter.recipients import parse_address
from newsletter.resolver import Resolver, place
from newsletter.storage.database import Database
from tests.support.commands import newsletter, rows_of
from tests.support.smtp_server import Options, Server

HOME = "papers.harbour"
SENDER = f"Lanterns <lanterns@{HOME}>"
PASSWORD = "moonlight-over-the-quay"
KEY = base64.b64encode(bytes(294)).decode()
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

WELL = {
    f"{HOME} TXT": ['"site=1"', '"v=spf1 mx " "include:relay.quay ~all"'],
    "relay.quay TXT": ['"v=spf1 ip4:192.0.2.0/24 -all"'],
    f"_dmarc.{HOME} TXT": ['"v=DMARC1; p=none"'],
    f"s1._domainkey.{HOME} TXT": [f'"v=DKIM1; k=rsa; p={KEY[:200]}" "{KEY[200:]}"'],
    f"{HOME} MX": ["20 mx2.quay.", "10 mx1.quay."],
    "mx1.quay A": ["192.0.2.1"],
    "mx2.quay AAAA": ["2001:db8::1"],
}
"""A domain in which all is well."""


class NameServer:
    """A name server on loopback.

    Args:
        zone: `name KIND` and its records.
        failing: names at which it fails.
        silent: names of which it says nothing.
    """

    def __init__(
        self,
        zone: Mapping[str, Sequence[str]],
        failing: Sequence[str] = (),
        silent: Sequence[str] = (),
    ) -> None:
        self.asked: list[str] = []
        self._zone, self._failing, self._silent = dict(zone), failing, silent
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def place(self) -> str:
        """Where it is."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """It ends."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            question = dns.message.from_wire(data)
            name = question.question[0].name.to_text().rstrip(".").lower()
            kind = dns.rdatatype.to_text(question.question[0].rdtype)
            self.asked.append(f"{name} {kind}")
            if name not in self._silent:
                self._socket.sendto(self._answer(question, name, kind).to_wire(), client)

    def _answer(self, question: dns.message.Message, name: str, kind: str) -> dns.message.Message:
        answer = dns.message.make_response(question)
        if name in self._failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif records := self._zone.get(f"{name} {kind}"):
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, *records))
        elif not any(known.startswith(f"{name} ") for known in self._zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@pytest.fixture
def names() -> Iterator[Callable[..., NameServer]]:
    """Makes name servers."""
    made: list[NameServer] = []

    def make(zone: Mapping[str, Sequence[str]] = WELL, **options: Sequence[str]) -> NameServer:
        made.append(NameServer(zone, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def mail() -> Iterator[Callable[..., Server]]:
    """Makes mail servers."""
    made: list[Server] = []

    def make(**options: Any) -> Server:
        made.append(Server(Options(**options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def certificate(folder: Path, *until: str) -> Path:
    """A certificate for this machine that nobody signed, with its key in one file."""
    path, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=mail.example", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(path), *until),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


def expired(folder: Path) -> Path:
    """The same, of a day long ago."""
    certificate(folder, "-days", "2")  # for its key
    request, path = folder / "request.pem", folder / "expired.pem"
    (folder / "index.txt").touch()
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca = own\n[own]\nnew_certs_dir = .\ndatabase = index.txt\n"
        "rand_serial = yes\ndefault_md = sha256\npolicy = any\nx509_extensions = names\n"
        "[any]\ncommonName = supplied\n[names]\nsubjectAltName = IP:127.0.0.1\n"
    )
    key = ("-key", "key.pem")
    for arguments in (
        ("req", "-new", *key, "-subj", "/CN=mail.example", "-out", str(request)),
        (
            *("ca", "-batch", "-selfsign", "-config", "ca.cnf", "-keyfile", "key.pem"),
            *("-startdate", "20240101000000Z", "-enddate", "20240102000000Z", "-notext"),
            *("-in", str(request), "-out", str(path)),
        ),
    ):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (folder / "key.pem").read_bytes())
    return path


def secured(path: Path) -> ssl.SSLContext:
    """What a server with that certificate has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def configure(folder: Path, **sections: Mapping[str, object]) -> Path:
    """A configuration in which all is well, but for these keys of its sections (`_`: a dot)."""
    tables: dict[str, dict[str, object]] = {
        "newsletter": {
            "sender": SENDER,
            "owner": f"owner@{HOME}",
            "base_url": f"https://{HOME}",
            "postal_address": "1 Quay, Harbour",
        },
        "delivery": {"transport": "eml"},
        "web": {"trusted_hops": 1},
    }
    for name, keys in sections.items():
        tables.setdefault(name.replace("_", "."), {}).update(keys)
    lines = ["[[sources]]", 'name = "saved"', 'path = "captures"']
    for name, keys in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
    (folder / "captures").mkdir(exist_ok=True)
    file = folder / "config.toml"
    file.touch(0o600)
    file.write_text("\n".join(lines) + "\n")
    return file


def by_smtp(server: Server, **keys: object) -> dict[str, dict[str, object]]:
    """The sections with which mail leaves through a server of ours."""
    smtp = {"host": "127.0.0.1", "port": server.port, "security": "none", **keys}
    return {"delivery": {"transport": "smtp"}, "transports_smtp": smtp}


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


def fill(folder: Path, *people: str, at: datetime | None = None) -> None:
    """A database with a day's papers, and people."""
    shutil.copy(sample()[0], folder / "captures" / "a.json")
    os.utime(folder / "captures" / "a.json", (1, 1))
    app = App(load_config(str(folder / "config.toml")), clock=lambda: at or datetime.now(UTC))
    list(app.sources.ingest_configured())
    for one in people or ("mira@inbox.quay",):
        app.subscriptions.add(SubscriberRow(parse_address(one)))
    app.close()


def look(
    folder: Path, asked: Asked | None = None, at: datetime = NOW, **options: Any
) -> dict[str, list[Finding]]:
    """What is found, by what was looked at. Each that is not well says what to do."""
    file = folder / "config.toml"
    options.setdefault("resolver", Resolver("127.0.0.1", 9))
    made = Doctor(
        load_config(str(file)), file, asked or Asked(offline=True), clock=lambda: at, **options
    )
    found: dict[str, list[Finding]] = {}
    for name, finding in made.findings():
        assert bool(finding.hint) == (finding.level is not Level.OK), finding
        found.setdefault(name, []).append(finding)
    return found


def run(
    folder: Path, *arguments: str, status: int = 0, trusted: str | Path = os.devnull
) -> list[tuple[str, str]]:
    """The levels and lines that are printed. Each that is not `ok` has a hint below it."""
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


def troubles(found: list[tuple[str, str]]) -> list[str]:
    """What is not well."""
    return [f"{level} {text}" for level, text in found if level != "ok"]


def troubles_of(found: list[tuple[str, str]], level: str) -> list[str]:
    """What is of that level."""
    return [text for one, text in found if one == level]


# --- through the command line


def test_a_fresh_installation_has_no_failure(tmp_path: Path) -> None:
    """Everything that is still to be done is a warning, and no database is made."""
    newsletter("init", cwd=tmp_path)
    found = troubles(run(tmp_path, "--offline"))
    assert all(one.startswith("warning ") for one in found)
    assert any("there is no database yet" in one and "newsletter ingest" in one for one in found)
    assert any("nobody gets reports" in one for one in found)
    assert not list(tmp_path.glob("newsletter.db*"))


def test_where_all_is_well_nothing_is_found_and_nothing_sent(
    tmp_path: Path, mail: Callable[..., Server], names: Callable[..., NameServer]
) -> None:
    """Over TLS, with a login, and with all that its domain needs."""
    path = certificate(tmp_path, "-days", "90")
    server = mail(tls=secured(path), auth="PLAIN", password=PASSWORD)
    login = {"security": "tls", "username": "papers", "password": PASSWORD}
    configure(tmp_path, **by_smtp(server, **login))
    fill(tmp_path)
    found = run(
        tmp_path,
        *("--dkim-selector", "s1", "--nameserver", names().place),
        trusted=path,
    )
    # This machine has no name in that domain.
    assert [one for one in troubles(found) if not one.startswith("warning PTR:")] == []
    text = "\n".join(line for _, line in found)
    for words in ("TLSv1.3", "the login as papers works", "p=none", "mx1.quay, mx2.quay"):
        assert words in text
    assert server.received == []
    assert not {"MAIL", "RCPT", "DATA"} & set(server.verbs())


def test_a_wrong_password(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """It is a failure with the server's words, and the password is not shown."""
    path = certificate(tmp_path, "-days", "90")
    server = mail(tls=secured(path), auth="LOGIN", password="another")
    login = {"security": "tls", "username": "papers", "password_file": "secret"}
    configure(tmp_path, **by_smtp(server, **login))
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text(PASSWORD)
    (found,) = troubles_of(run(tmp_path, "--offline", status=3, trusted=path), "failure")
    assert "the login as papers fails: 535" in found
    assert "check username and password" in found


def test_a_server_that_offers_no_tls(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """Mail never leaves in clear, and the login is not even tried."""
    server = mail()
    login = {"security": "starttls", "username": "papers", "password": PASSWORD}
    configure(tmp_path, **by_smtp(server, **login))
    (found,) = troubles_of(run(tmp_path, "--offline", status=3), "failure")
    assert "does not offer STARTTLS" in found
    assert "AUTH" not in server.verbs()


def test_an_expired_certificate(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """It is said as what it is."""
    path = expired(tmp_path)
    server = mail(tls=secured(path))
    configure(tmp_path, **by_smtp(server, security="tls"))
    found = run(tmp_path, "--offline", status=3, trusted=path)
    (failure,) = troubles_of(found, "failure")
    assert "certificate has expired" in failure


def test_a_certificate_that_ends_soon(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """Nothing is wrong yet, and will be."""
    path = certificate(tmp_path, "-days", "5")
    server = mail(tls=secured(path), starttls=True)
    configure(tmp_path, **by_smtp(server, security="starttls"))
    found = run(tmp_path, "--offline", trusted=path)
    until = datetime.now(UTC) + timedelta(days=5)
    assert any(f"valid until {until:%Y-%m-%d} only" in one for one in troubles(found))


def test_missing_records_are_printed_as_they_are_published(
    tmp_path: Path, names: Callable[..., NameServer]
) -> None:
    """On a line of their own, for the domain's zone."""
    smtp = {"host": "smtp.relay.quay", "port": 465}
    configure(tmp_path, delivery={"transport": "smtp"}, transports_smtp=smtp)
    found = "\n".join(troubles(run(tmp_path, "--nameserver", names({}).place, status=3)))
    assert f'\n{HOME}. TXT "v=spf1 mx include:relay.quay ~all"' in found
    assert f'\n_dmarc.{HOME}. TXT "v=DMARC1; p=none; rua=mailto:owner@{HOME}"' in found
    assert "DKIM-Signature" in found
    assert "there is no host smtp.relay.quay" in found or "could not be looked up" in found


def test_json_is_a_row_for_each_and_the_counts(tmp_path: Path) -> None:
    """What scripts rely on."""
    configure(tmp_path)
    done = newsletter("doctor", "--offline", "--json", cwd=tmp_path)
    *rows, last = rows_of(done)
    assert all(list(row) == ["check", "level", "what", "hint", "record"] for row in rows)
    assert [row["check"] for row in rows][:3] == ["config", "database", "templates"]
    assert all((row["hint"] is None) == (row["level"] == "ok") for row in rows)
    assert last == {"ok": len(rows) - 1, "warnings": 1, "failures": 0}


def test_a_configuration_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Its problems are shown as they always are, and the status is 2."""
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
        ("--send", "nobody"),
        ("--nameserver", "ns.quay"),
        ("--dkim-selector", "a b"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Before anything is looked at."""
    configure(tmp_path)
    done = newsletter("doctor", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_a_test_mail_is_sent_when_it_is_asked_for(
    tmp_path: Path, mail: Callable[..., Server], names: Callable[..., NameServer]
) -> None:
    """One, to that address, and what became of it is said."""
    server = mail()
    configure(tmp_path, **by_smtp(server))
    fill(tmp_path)
    asked = ("--nameserver", names().place, "--send")
    found = run(tmp_path, *asked, "mira@inbox.quay")
    assert found[-1] == ("ok", "test: the mail to mira@inbox.quay is sent: 250 2.0.0 taken")
    assert [one.rcpt for one in server.received] == ["TO:<mira@inbox.quay>"]
    server.options.faults["RCPT"] = [b"550 5.1.1 nobody of that name\r\n"]
    found = run(tmp_path, *asked, "nora@inbox.quay", status=3)
    assert found[-1][0] == "failure"
    assert "nobody of that name" in found[-1][1]


# --- this machine


def test_a_port_at_which_nobody_listens(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """With what such a port usually wants."""
    server = mail()
    server.close()
    configure(tmp_path, **by_smtp(server))
    (found,) = look(tmp_path)["smtp"]
    assert found.level is Level.FAILURE
    assert "refused" in found.what
    assert "check host, port and security" in found.hint


def test_a_server_that_refuses_us(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """Its words are said."""
    server = mail(faults={"connect": [b"554 5.7.1 not from you\r\n"]})
    configure(tmp_path, **by_smtp(server))
    (found,) = look(tmp_path)["smtp"]
    assert found.level is Level.FAILURE
    assert "not from you" in found.what


def test_a_server_that_takes_small_mails_and_plain_addresses_only(
    tmp_path: Path, mail: Callable[..., Server]
) -> None:
    """Editions, and people with other addresses, would be refused."""
    server = mail(size="50000")
    configure(tmp_path, **by_smtp(server))
    fill(tmp_path, "mira@inbox.quay", "jürgen@inbox.quay", "ana@bücher.quay")
    answers, size, beyond = look(tmp_path)["smtp"]
    assert answers.level is Level.OK
    assert "50,000 bytes" in size.what
    assert beyond.what == ("the server takes no addresses beyond ASCII, and 1 subscribed with one")
    server.options.size = "9" * 5_000
    assert len(look(tmp_path)["smtp"]) == 2
    server.options.extensions = ("SMTPUTF8",)
    server.options.size = "0"
    assert len(look(tmp_path)["smtp"]) == 1


def test_a_login_without_tls_is_not_tried(tmp_path: Path, mail: Callable[..., Server]) -> None:
    """Not even on this machine."""
    server = mail()
    configure(tmp_path, **by_smtp(server, username="papers", password=PASSWORD))
    found = look(tmp_path)["smtp"]
    assert found[-1].level is Level.FAILURE
    assert "never sent in clear" in found[-1].what
    assert "AUTH" not in server.verbs()


def test_offline_asks_nobody_else(
    tmp_path: Path, names: Callable[..., NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither about names nor about mail."""
    smtp = {"host": "smtp.relay.quay", "username": "papers", "password": PASSWORD}
    configure(tmp_path, delivery={"transport": "smtp"}, transports_smtp=smtp)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    server = names()
    found = look(tmp_path, resolver=Resolver("127.0.0.1", server.port))
    assert [one.what for one in found["smtp"]] == ["smtp.relay.quay:465 is not asked (--offline)"]
    assert [one.what for one in found["DNS"]] == ["not asked (--offline)"]
    assert server.asked == []


def test_a_port_with_the_wrong_security(tmp_path: Path) -> None:
    """What it usually wants is said."""
    smtp = {"host": "127.0.0.1", "port": 587}
    configure(tmp_path, delivery={"transport": "smtp"}, transports_smtp=smtp)
    (found,) = look(tmp_path)["smtp"]
    assert found.level is Level.FAILURE
    assert 'port 587 usually wants security = "starttls"' in found.hint


def test_a_server_that_offers_a_login(
    tmp_path: Path, mail: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere it usually wants one."""
    configure(tmp_path, **by_smtp(mail(extensions=("AUTH PLAIN",))))
    assert len(look(tmp_path)["smtp"]) == 1
    monkeypatch.setattr(mail_checks, "LOOPBACK", ())
    assert "none is configured" in look(tmp_path, Asked())["smtp"][1].what


def test_who_writes_and_how_readers_leave(tmp_path: Path) -> None:
    """A sender that is nobody's, and a page that nobody reaches."""
    configure(
        tmp_path,
        newsletter={"sender": "a@example.org", "base_url": "http://localhost:8000"},
        delivery={"transport": "smtp"},
        transports_smtp={"host": "smtp.relay.quay"},
    )
    sender, leave = look(tmp_path)["sender"]
    assert "nobody takes mail from example.org" in sender.what
    assert "only this machine reaches" in leave.what
    configure(tmp_path, newsletter={"base_url": ""})
    assert look(tmp_path)["sender"][1].what == f"Unsubscribe writes to owner@{HOME}"


@pytest.mark.parametrize("domain", ["lab.test", "mira.local", "x.invalid", "example.org"])
def test_domains_that_are_for_one_network_are_not_asked_about(
    tmp_path: Path, names: Callable[..., NameServer], domain: str
) -> None:
    """What the Internet says of them is no news."""
    configure(tmp_path, newsletter={"sender": f"a@{domain}"})
    server = names()
    found = look(tmp_path, Asked(), resolver=Resolver("127.0.0.1", server.port))
    assert domain in found["DNS"][0].what
    assert server.asked == []
    assert not {"SPF", "DKIM", "DMARC", "MX", "PTR"} & set(found)


def test_the_configuration_s_problems_and_what_is_missing(tmp_path: Path) -> None:
    """A format that does not exist, mail without a sender, a password that is not there."""
    file = configure(
        tmp_path,
        newsletter={"sender": "", "owner": "", "base_url": "", "postal_address": ""},
        delivery={"transport": "smtp"},
        transports_smtp={"password_file": "nowhere", "host": "smtp.relay.quay"},
    )
    file.write_text(file.read_text().replace("path =", 'format = "nope"\npath ='))
    found = look(tmp_path)
    said = "\n".join(one.what for one in found["config"])
    for words in ("sources[1].format", "newsletter.sender", "newsletter.owner", "nowhere"):
        assert words in said
    assert {one.level for one in found["config"]} == {Level.FAILURE}
    assert [one.level for one in found["sender"]] == [Level.WARNING] * 2


def test_a_broken_theme(tmp_path: Path) -> None:
    """The trial edition says so, under its own name."""
    folder = tmp_path / "mine" / "themes" / "default"
    folder.mkdir(parents=True)
    (folder / "subject.txt.j2").write_text("{% broken")
    configure(tmp_path, theme={"templates_dir": "mine"})
    found = look(tmp_path)
    assert found["templates"][0].level is Level.FAILURE
    assert found["config"][0].level is Level.OK


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    """In the configuration and in a file; a configuration without any may be read."""
    file = configure(tmp_path)
    file.chmod(0o644)
    assert [one.level for one in look(tmp_path)["config"]] == [Level.OK]
    configure(tmp_path, transports_smtp={"password": PASSWORD})
    warned = look(tmp_path)["config"][1]
    assert "may read" in warned.what
    assert f"chmod o-rwx {file}" in warned.hint
    file.chmod(0o666)
    assert "may change" in look(tmp_path)["config"][1].what
    file.chmod(0o640)
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "secret").chmod(0o644)
    configure(tmp_path, transports_smtp={"password_file": "secret"})
    assert "secret, which holds a secret" in look(tmp_path)["config"][1].what


@pytest.mark.parametrize(
    ("base_url", "web", "level", "says"),
    [
        ("", {}, Level.OK, "for this machine only"),
        ("https://papers.example.org", {"trusted_hops": 0}, Level.WARNING, "only visitor"),
        ("https://papers.example.org", {}, Level.OK, "answers for"),
        (
            "https://papers.example.org",
            {"host": "192.0.2.1", "trusted_hops": 0},
            Level.OK,
            "192.0.2.1:8000",
        ),
        ("http://localhost:8000", {}, Level.OK, "answers for"),
    ],
)
def test_the_pages(
    tmp_path: Path, base_url: str, web: dict[str, object], level: Level, says: str
) -> None:
    """Whether visitors are told apart behind a web server."""
    configure(tmp_path, newsletter={"base_url": base_url}, web=web)
    (found,) = look(tmp_path)["web"]
    assert (found.level, says in found.what) == (level, True)


def test_a_short_key(tmp_path: Path) -> None:
    """It is not shown."""
    configure(tmp_path, web={"secret_keys": ["x" * 32, "lantern"]})
    (found,) = look(tmp_path)["secrets"]
    assert found.level is Level.WARNING
    assert "lantern" not in found.what + found.hint
    configure(tmp_path, web={"secret_keys": ["x" * 32]})
    assert look(tmp_path)["secrets"][0].level is Level.OK


def test_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens, and is looked through unless it is too large; others cannot read it."""
    configure(tmp_path)
    fill(tmp_path)
    (found,) = look(tmp_path)["database"]
    assert found.what.endswith("undamaged")
    monkeypatch.setattr(machine, "_LOOKED_THROUGH", 10)
    (tmp_path / "newsletter.db").chmod(0o644)
    opened, large = look(tmp_path)["database"]
    assert "others could read" in opened.what
    assert "too large to be looked through" in large.what
    monkeypatch.setattr(machine, "_ROOM", 10**18)
    tmp_path.chmod(0o777)
    folder, room, _ = look(tmp_path)["database"]
    assert "may replace" in folder.what
    assert room.hint == "make room"


def test_a_damaged_database(tmp_path: Path) -> None:
    """It is found before it is needed, and the rest is looked at all the same."""
    configure(tmp_path)
    fill(tmp_path)
    file = tmp_path / "newsletter.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'blobs'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    content = bytearray(file.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 200] = b"\xff" * 200
    file.write_bytes(content)
    found = look(tmp_path)
    assert found["database"][-1].level is Level.FAILURE
    assert "damaged" in found["database"][-1].what
    assert "restore a backup" in found["database"][-1].hint
    assert found["clock"][0].level is Level.OK


def test_a_database_that_is_not_ours(tmp_path: Path) -> None:
    """Nor is one of a kind that is not there yet."""
    configure(tmp_path)
    (tmp_path / "newsletter.db").write_text("Dear diary, " * 20)
    (found,) = look(tmp_path)["database"]
    assert found.level is Level.FAILURE
    url = "postgresql+psycopg://papers:moonlight@db.quay/papers"
    configure(tmp_path, database={"url": url})
    (found,) = look(tmp_path)["database"]
    assert found.level is Level.FAILURE
    assert "moonlight" not in found.what


def test_the_clock_and_the_next_due_time(tmp_path: Path) -> None:
    """In the newsletter's zone; a clock that went back, or that was never set, is a failure."""
    configure(tmp_path, newsletter={"time_zone": "Asia/Tokyo"})
    fill(tmp_path, at=NOW)
    says, due = look(tmp_path)["clock"]
    assert "2026-11-20 12:00 UTC, 21:00 in Asia/Tokyo" in says.what
    assert due.what == "the next is due on Saturday 2026-11-21 07:30 in Asia/Tokyo"
    late = look(tmp_path, at=NOW + timedelta(days=2))["clock"][1]
    assert late.level is Level.WARNING
    assert "newsletter serve" in late.hint
    back = look(tmp_path, at=NOW - timedelta(days=2))["clock"][1]
    assert back.level is Level.FAILURE
    assert "newsletter continue" in back.hint
    assert look(tmp_path, at=datetime(1970, 1, 1, tzinfo=UTC))["clock"][0].level is Level.FAILURE


def test_sending_that_is_stopped(tmp_path: Path) -> None:
    """The way to start it is named, and nobody is called overdue."""
    configure(tmp_path)
    fill(tmp_path, at=NOW)
    app = App(load_config(None), clock=lambda: NOW)
    app.sending.pause()
    app.close()
    found = look(tmp_path, at=NOW + timedelta(days=2))["clock"]
    assert [one.level for one in found] == [Level.OK, Level.WARNING, Level.OK]
    assert "newsletter continue" in found[1].hint


def test_a_zone_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that has it is named."""
    configure(tmp_path)

    def gone(key: str) -> None:
        raise KeyError(key)

    monkeypatch.setattr(machine, "ZoneInfo", gone)
    (found,) = look(tmp_path)["clock"]
    assert found.level is Level.FAILURE
    assert "tzdata" in found.hint


def test_sources(tmp_path: Path) -> None:
    """Never captured, gone, failing, and not asked for days."""
    file = configure(tmp_path)
    url = "http://127.0.0.1:9/papers"
    file.write_text(file.read_text() + f'[[sources]]\nname = "far"\nurl = "{url}"\n')
    fill(tmp_path, at=NOW)
    saved, far = look(tmp_path, at=NOW + timedelta(minutes=5))["sources"]
    assert saved.what == "saved: last captured 5 min ago"
    assert far.level is Level.WARNING
    assert "far fails since 2026-11-20 12:00 UTC" in far.what
    later = look(tmp_path, at=NOW + timedelta(days=3))["sources"][1]
    assert later.level is Level.FAILURE
    with sqlite3.connect(tmp_path / "newsletter.db") as connection:
        connection.execute("UPDATE sources SET failing_since = NULL, captured_at = '2026-11-10'")
    connection.close()
    shutil.rmtree(tmp_path / "captures")
    gone, stale = look(tmp_path)["sources"]
    assert gone.level is Level.FAILURE
    assert stale.level is Level.WARNING
    assert "last captured 10 days ago" in stale.what


def test_without_sources_and_subscribers(tmp_path: Path) -> None:
    """Nothing would ever go out."""
    file = configure(tmp_path)
    file.write_text("[newsletter]" + file.read_text().partition("[newsletter]")[2])
    Database(f"sqlite:///{tmp_path}/newsletter.db").close()
    found = look(tmp_path)
    assert "[[sources]]" in found["sources"][0].hint
    assert "newsletter subscribers add" in found["subscribers"][0].hint


def test_where_mails_become_files(tmp_path: Path) -> None:
    """A folder that is made later, one that is a file, and none at all; nothing is made now."""
    configure(tmp_path)
    assert look(tmp_path)["eml"][0].level is Level.OK
    assert not (tmp_path / "outbox").exists()
    (tmp_path / "outbox").write_text("no folder")
    assert look(tmp_path)["eml"][0].level is Level.FAILURE
    configure(tmp_path, delivery={"transport": "null"})
    assert look(tmp_path)["null"][0].level is Level.WARNING


# --- its domain


def asked_of(server: NameServer, folder: Path, **asked: Any) -> dict[str, list[Finding]]:
    """What is found when that server is asked."""
    return look(folder, Asked(**asked), resolver=Resolver("127.0.0.1", server.port))


def test_a_domain_with_all_that_it_needs(tmp_path: Path, names: Callable[..., NameServer]) -> None:
    """Texts in several pieces are one; what a record refers to is asked too."""
    configure(tmp_path)
    server = names()
    found = asked_of(server, tmp_path, selector="s1")
    kinds = ("SPF", "DKIM", "DMARC", "MX")
    assert [one.level for kind in kinds for one in found[kind]] == [Level.OK] * 4
    assert "relay.quay TXT" in server.asked
    assert "PTR" not in found


def test_a_name_server_that_fails_says_nothing_about_the_domain(
    tmp_path: Path, names: Callable[..., NameServer]
) -> None:
    """A record that could not be asked is not called missing, and none is to be published."""
    configure(tmp_path)
    failing = [HOME, f"_dmarc.{HOME}", f"s1._domainkey.{HOME}"]
    found = asked_of(names(failing=failing), tmp_path, selector="s1")
    for kind in ("SPF", "DKIM", "DMARC", "MX"):
        (one,) = found[kind]
        assert one.level is Level.WARNING
        assert "could not be asked: the name servers fail or refuse" in one.what
        assert not one.record


def test_spf_is_asked_of_the_bounce_domain(
    tmp_path: Path, names: Callable[..., NameServer]
) -> None:
    """Its record is what receivers look at, and it should belong to the sender's domain."""
    zone = {
        **WELL,
        f"bounces.{HOME} TXT": ['"v=spf1 ip4:192.0.2.1 -all"'],
        f"bounces.{HOME} MX": ["0 ."],
    }
    configure(tmp_path, newsletter={"bounce_domain": f"bounces.{HOME}", "reply_to": "a@quay.quay"})
    found = asked_of(names(zone), tmp_path)
    assert "ip4:192.0.2.1" in found["SPF"][0].what
    assert "belongs together" in found["DMARC"][1].what
    replies, bounces = found["MX"]
    assert "quay.quay has no MX record, so replies" in replies.what
    assert "takes no mail, so bounces are lost" in bounces.what
    configure(tmp_path, newsletter={"bounce_domain": "bounces.elsewhere"})
    assert asked_of(names(), tmp_path)["DMARC"][1].level is Level.WARNING


def test_the_name_of_the_machine_that_sends(
    tmp_path: Path, mail: Callable[..., Server], names: Callable[..., NameServer]
) -> None:
    """Only where that is this machine."""
    zone = {
        **WELL,
        "mail.quay A": ["8.8.8.8", "192.168.1.2"],
        "mail.quay AAAA": ["2001:4860::7"],
        "8.8.8.8.in-addr.arpa PTR": ["mail.quay."],
    }
    server = names(zone)
    configure(tmp_path, **by_smtp(mail()))
    resolver = Resolver("127.0.0.1", server.port)
    well, nameless = look(tmp_path, Asked(), resolver=resolver, machine=lambda: "mail.quay")["PTR"]
    assert well.what == "8.8.8.8 is mail.quay, and back"
    assert "2001:4860::7 has no name" in nameless.what


# --- questions


def test_answers(names: Callable[..., NameServer]) -> None:
    """What is there, and what is not: no such record, and no such name."""
    found = names({**WELL, "none.quay MX": ["0 ."], "4.2.0.192.in-addr.arpa PTR": ["a.quay."]})
    resolver = Resolver("127.0.0.1", found.port)
    # Name servers and resolvers give records in any order.
    said = resolver.txt(HOME), resolver.mx(HOME)
    assert [sorted(one) for one in said if isinstance(one, tuple)] == [
        ["site=1", "v=spf1 mx include:relay.quay ~all"],
        ["mx1.quay", "mx2.quay"],
    ]
    assert resolver.mx("none.quay") == ("",)
    assert resolver.addresses("mx1.quay") == ("192.0.2.1",)
    assert resolver.addresses("mx2.quay") == ("2001:db8::1",)
    assert resolver.ptr("192.0.2.4") == ("a.quay",)
    assert resolver.txt("mx1.quay") == ()
    assert resolver.txt("nowhere.quay") == ()


def test_questions_that_get_no_answer(
    names: Callable[..., NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never answers is asked once; one that did is asked again."""
    monkeypatch.setattr(resolver_module, "_TIMEOUT", 0.1)
    monkeypatch.setattr(resolver_module, "_LIFETIME", 0.3)
    dead = names(silent=["a.quay", "b.quay"])
    resolver = Resolver("127.0.0.1", dead.port)
    assert resolver.txt("a.quay") == Unanswered("no name server answered within 0.3 s")
    assert isinstance(resolver.txt("b.quay"), Unanswered)
    assert set(dead.asked) == {"a.quay TXT"}
    other = names(silent=["a.quay"], failing=["b.quay"])
    resolver = Resolver("127.0.0.1", other.port)
    assert resolver.mx(HOME)
    for name in ("a.quay", "b.quay", "a..quay", f"{'x' * 64}.quay"):
        assert isinstance(resolver.txt(name), Unanswered), name
        assert isinstance(resolver.addresses(name), Unanswered), name
    assert resolver.txt(HOME)


def test_a_machine_without_name_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can ask nobody, and says so."""

    def none(self: object, file: object) -> None:
        raise dns.exception.DNSException

    monkeypatch.setattr("dns.resolver.Resolver.read_resolv_conf", none)
    assert Resolver().txt(HOME) == Unanswered("this machine has no name server")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_places_of_name_servers(text: str, found: tuple[str, int]) -> None:
    """With and without a port."""
    assert place(text) == found


@pytest.mark.parametrize("text", ["", "ns.quay", "192.0.2.53:", "192.0.2.53:0", "1.2.3.4:70000"])
def test_what_is_no_place(text: str) -> None:
    """It is said what to write."""
    with pytest.raises(ValueError, match="write an address"):
        place(text)


def test_a_test_mail_needs_a_database(tmp_path: Path) -> None:
    """It is where mails are counted."""
    configure(tmp_path, newsletter={"sender": "a@lab.test"})
    (found,) = look(tmp_path, Asked(send_to=parse_address("mira@inbox.quay")))["test"]
    assert found.level is Level.FAILURE
