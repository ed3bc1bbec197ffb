"""The checks that query the DNS: SPF, DKIM, DMARC, MX and PTR."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from newsletter.app import dkim_keys
from newsletter.app.doctor.context import Options
from newsletter.app.doctor.findings import Level
from newsletter.app.doctor.records import dkim
from newsletter.app.doctor.resolver import Resolver
from newsletter.config.file import load_config
from tests.support.doctor import (
    HOME,
    WELL,
    NameServer,
    by_smtp,
    configure,
    findings,
    findings_with_dns,
)
from tests.support.smtp_server import Server


def test_a_complete_domain(tmp_path: Path, names: Callable[..., NameServer]) -> None:
    """Strings of one record are joined, and records that it refers to are queried."""
    configure(tmp_path)
    server = names()
    found = findings_with_dns(server, tmp_path, dkim_selector="s1")
    kinds = ("SPF", "DKIM", "DMARC", "MX")
    assert [one.level for kind in kinds for one in found[kind]] == [Level.OK] * 4
    assert "relay.quay TXT" in server.queries
    assert "PTR" not in found


def test_a_name_server_that_fails_says_nothing_about_the_domain(
    tmp_path: Path, names: Callable[..., NameServer]
) -> None:
    """A record that could not be queried is not called missing, and none is suggested."""
    configure(tmp_path)
    failing = [HOME, f"_dmarc.{HOME}", f"s1._domainkey.{HOME}"]
    found = findings_with_dns(names(failing=failing), tmp_path, dkim_selector="s1")
    for kind in ("SPF", "DKIM", "DMARC", "MX"):
        (one,) = found[kind]
        assert one.level is Level.WARNING
        assert "could not be queried: the name servers fail or refuse" in one.what
        assert not one.record


def test_spf_is_checked_at_the_bounce_domain(
    tmp_path: Path, names: Callable[..., NameServer]
) -> None:
    """Receivers query that domain, which should belong to the sender's."""
    zone = {
        **WELL,
        f"bounces.{HOME} TXT": ['"v=spf1 ip4:192.0.2.1 -all"'],
        f"bounces.{HOME} MX": ["0 ."],
    }
    configure(tmp_path, newsletter={"bounce_domain": f"bounces.{HOME}", "reply_to": "a@quay.quay"})
    found = findings_with_dns(names(zone), tmp_path)
    assert "ip4:192.0.2.1" in found["SPF"][0].what
    assert "belongs together" in found["DMARC"][1].what
    replies, bounces = found["MX"]
    assert "quay.quay has no MX record, so replies" in replies.what
    assert "takes no mail, so bounces are lost" in bounces.what
    configure(tmp_path, newsletter={"bounce_domain": "bounces.elsewhere"})
    assert findings_with_dns(names(), tmp_path)["DMARC"][1].level is Level.WARNING


def test_the_name_of_the_machine_that_sends(
    tmp_path: Path, mail: Callable[..., Server], names: Callable[..., NameServer]
) -> None:
    """It is checked only if this machine sends the mail itself."""
    zone = {
        **WELL,
        "mail.quay A": ["8.8.8.8", "192.168.1.2"],
        "mail.quay AAAA": ["2001:4860::7"],
        "8.8.8.8.in-addr.arpa PTR": ["mail.quay."],
    }
    server = names(zone)
    configure(tmp_path, **by_smtp(mail()))
    resolver = Resolver("127.0.0.1", server.port)
    well, nameless = findings(tmp_path, Options(), resolver=resolver, hostname=lambda: "mail.quay")[
        "PTR"
    ]
    assert well.what == "8.8.8.8 is mail.quay, and back"
    assert "2001:4860::7 has no name" in nameless.what


def test_the_key_of_mail_signed_here(tmp_path: Path, names: Callable[..., NameServer]) -> None:
    """A missing or different public key is an error, with the record to publish."""
    configure(tmp_path)
    config = load_config(str(tmp_path / "config.toml"))
    key = dkim_keys.generate(config, "news", tmp_path / "key.pem")
    configure(tmp_path, dkim={"key_file": "key.pem"})
    text = dkim.record(key.algorithm, key.public)
    place = f"news._domainkey.{HOME} TXT"
    for published, what in [
        (None, "no key is published"),
        (text.replace("p=M", "p=N"), "publishes another key"),
        (text, "has a key"),
    ]:
        zone = (
            WELL
            if published is None
            else {**WELL, place: [f'"{published[:200]}" "{published[200:]}"']}
        )
        (found,) = findings_with_dns(names(zone), tmp_path)["DKIM"]
        assert what in found.what
        assert (found.level is Level.OK) == (published == text)
        strings = re.findall(r'"([^"]*)"', found.record)
        assert "".join(strings) == ("" if published == text else text)
        assert all(len(string) <= 255 for string in strings)
