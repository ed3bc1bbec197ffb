"""Installations, name servers and certificates for the tests of `newsletter doctor`."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from newsletter.app.composition import App
from newsletter.app.doctor.checks import run_checks
from newsletter.app.doctor.context import Context, Options
from newsletter.app.doctor.findings import Finding, Level
from newsletter.app.doctor.resolver import Resolver
from newsletter.app.inspection import sample
from newsletter.config.file import load_config
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import SubscriberRow
from tests.support.smtp_server import Server

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
"""The zone of a domain without problems."""


class NameServer:
    """A name server on loopback.

    Args:
        zone: the records by `name KIND`.
        failing: names for which it answers SERVFAIL.
        silent: names for which it does not answer.
    """

    def __init__(
        self,
        zone: Mapping[str, Sequence[str]],
        failing: Sequence[str] = (),
        silent: Sequence[str] = (),
    ) -> None:
        self.queries: list[str] = []
        self._zone, self._failing, self._silent = dict(zone), failing, silent
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self) -> str:
        """Its address and port."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stops it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            name = query.question[0].name.to_text().rstrip(".").lower()
            kind = dns.rdatatype.to_text(query.question[0].rdtype)
            self.queries.append(f"{name} {kind}")
            if name not in self._silent:
                self._socket.sendto(self._answer(query, name, kind).to_wire(), client)

    def _answer(self, query: dns.message.Message, name: str, kind: str) -> dns.message.Message:
        answer = dns.message.make_response(query)
        if name in self._failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif records := self._zone.get(f"{name} {kind}"):
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, *records))
        elif not any(known.startswith(f"{name} ") for known in self._zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


def certificate(folder: Path, *until: str) -> Path:
    """Creates a self-signed certificate for this machine, in one file with its key."""
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
    """Creates such a certificate that expired long ago."""
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
    """Returns the TLS settings of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def configure(folder: Path, **sections: Mapping[str, object]) -> Path:
    """Writes a configuration without problems, except for these keys of its sections.

    In the names of sections, `_` stands for a dot.
    """
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
    """Returns the sections of a configuration that sends through this server."""
    smtp = {"host": "127.0.0.1", "port": server.port, "security": "none", **keys}
    return {"delivery": {"transport": "smtp"}, "transports_smtp": smtp}


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


def ingest_sample(folder: Path, *addresses: str, at: datetime | None = None) -> None:
    """Creates a database with the papers of one day, and subscribers."""
    shutil.copy(sample()[0], folder / "captures" / "a.json")
    os.utime(folder / "captures" / "a.json", (1, 1))
    app = App(load_config(str(folder / "config.toml")), clock=lambda: at or datetime.now(UTC))
    list(app.sources.ingest_configured())
    for one in addresses or ("mira@inbox.quay",):
        app.subscribers.lifecycle.add(SubscriberRow(parse_address(one)))
    app.close()


def findings(
    folder: Path, options: Options | None = None, at: datetime = NOW, **context: Any
) -> dict[str, list[Finding]]:
    """Returns the findings by check; asserts that each that is not `OK` has a hint."""
    file = folder / "config.toml"
    context.setdefault("resolver", Resolver("127.0.0.1", 9))
    made = Context(
        load_config(str(file), to_check=True),
        file,
        options or Options(offline=True),
        lambda: at,
        **context,
    )
    found: dict[str, list[Finding]] = {}
    with closing(made):
        for name, finding in run_checks(made):
            assert bool(finding.hint) == (finding.level is not Level.OK), finding
            found.setdefault(name, []).append(finding)
    return found


def findings_with_dns(server: NameServer, folder: Path, **options: Any) -> dict[str, list[Finding]]:
    """Returns the findings by check with this name server."""
    return findings(folder, Options(**options), resolver=Resolver("127.0.0.1", server.port))
