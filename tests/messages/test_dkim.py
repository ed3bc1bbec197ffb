"""DKIM signatures, verified by independent implementations with invented DNS records."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dkim
import pytest
from authheaders import authenticate_message
from hypothesis import given
from hypothesis import strategies as st

from newsletter.app import dkim_keys
from newsletter.app.doctor.records.dkim import record
from newsletter.app.factories import sending_problems
from newsletter.config.parse import parse
from newsletter.config.schema import Config
from newsletter.messages.feedback_id import sender_id
from newsletter.messages.mime import Sender
from newsletter.models import UNSUBSCRIBE, Rendered
from newsletter.storage.database import Database
from tests.support.personalised import AT, SENDER, MessageFactory, delivery, origin, rendered

DOMAIN = "example.org"
HOSTILE = (
    "Plain Lamps",
    "Größe, 大きさ and גודל: «sizes» in every script, in a title that has to be folded twice",
    "=?utf-8?q?Bcc:_evil@example.com?= {{7*7}} <script>",
    ". a title that begins with a dot",
    "trailing white space \t and\u00a0more",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A configuration with a key of each kind."""
    folder = tmp_path_factory.mktemp("keys")
    text = f'[newsletter]\nsender = "News <news@{DOMAIN}>"\nowner = "owner@{DOMAIN}"\n'
    plain = parse(text, {}, where="config.toml", folder=folder)
    dkim_keys.generate(plain, "news", folder / "rsa.pem")
    dkim_keys.generate(plain, "news-ed", folder / "ed.pem", ed25519=True)
    text += '[dkim]\nkey_file = "rsa.pem"\ned25519_key_file = "ed.pem"\n'
    return parse(text, {}, where="config.toml", folder=folder)


@pytest.fixture(scope="module")
def dns(config: Config) -> Callable[..., bytes | str]:
    """Looks up the records that the keys are published in, and a DMARC policy."""
    zone = {
        f"{key.selector}._domainkey.{key.domain}": record(key.algorithm, key.public)
        for key in dkim_keys.published(config)
    }
    zone[f"_dmarc.{DOMAIN}"] = "v=DMARC1; p=reject; adkim=s"

    def txt(name: bytes | str, timeout: int = 5) -> bytes | str:
        asked = name.decode() if isinstance(name, bytes) else name
        text = zone.get(asked.rstrip("."), "")
        # The two libraries disagree about the type.
        return text if asked.startswith("_dmarc") else text.encode()

    return txt


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """An empty database."""
    return Database(f"sqlite:///{tmp_path}/news.db")


def factory(
    config: Config, database: Database, kind: str = "eml", base_url: str = "https://n.example.org"
) -> MessageFactory:
    """Returns what makes signed messages."""
    signed = replace(origin(base_url, reply_to=True), signer=dkim_keys.signer(config))
    return MessageFactory(database, signed, kind)


def verified(mail: bytes, dns: Callable[..., bytes | str]) -> list[bool]:
    """Returns whether each signature of a mail is valid."""
    many = len(re.findall(rb"(?mi)^dkim-signature:", mail))
    return [_is_valid(mail, index, dns) for index in range(many)]


def _is_valid(mail: bytes, index: int, dns: Callable[..., bytes | str]) -> bool:
    try:
        return bool(dkim.DKIM(mail).verify(index, dnsfunc=dns))
    except dkim.ValidationError:  # another body
        return False


@pytest.mark.parametrize("title", HOSTILE)
@pytest.mark.parametrize("base_url", ["https://n.example.org", ""])
@pytest.mark.parametrize("filler", [0, 1, 40])
def test_editions_of_all_kinds(
    config: Config,
    database: Database,
    dns: Callable[..., bytes | str],
    title: str,
    base_url: str,
    filler: int,
) -> None:
    """Both signatures are valid, and DMARC's strict alignment passes, for every recipient."""
    text = f"{title}\n{UNSUBSCRIBE}\n{'padding ' * filler}\n \t\n\n"
    html = f"<p>{'x' * filler}<a href='{UNSUBSCRIBE}'>leave</a> {filler * '. '}</p>\n\n\n"
    made = factory(config, database, base_url=base_url)
    edition = made.edition(Rendered(title, html, text))
    for subscriber in (1, 2**40):
        mail = made.mail(delivery(edition, subscriber))
        assert verified(mail, dns) == [True, True]
        results = authenticate_message(mail, "mx.example.net", spf=False, arc=False, dnsfunc=dns)
        assert "dkim=pass" in results
        assert "dmarc=pass" in results


def test_notices(config: Config, database: Database, dns: Callable[..., bytes | str]) -> None:
    """They are signed as well, from a sender of their own if there is one."""
    made = factory(config, database)
    notice = made.notice("test", "ana@example.net", "A test", "It works.\n\n\n")
    assert verified(made.mail(notice), dns) == [True, True]
    own = replace(made.origin, notice_sender=Sender("News", SENDER.address))
    assert verified(MessageFactory(database, own).mail(notice), dns) == [True, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: ", b"Subject: Re: "),
        (b"List-Unsubscribe: <https://n.", b"List-Unsubscribe: <https://m."),
        (b"From: ", b"From: evil@example.com, "),
        (b"MIME-Version: ", b"From: evil@example.com\r\nMIME-Version: "),
        (b"MIME-Version: ", b"Subject: Win\r\nMIME-Version: "),
        (b"Leave", b"Stay"),
        (b"Feedback-ID: ", b"Feedback-ID: x"),
    ],
)
def test_a_changed_mail(
    config: Config, database: Database, dns: Callable[..., bytes | str], old: bytes, new: bytes
) -> None:
    """A changed, added or duplicated header or a changed body breaks both signatures."""
    made = factory(config, database)
    mail = made.mail(delivery(made.edition(rendered())))
    head, _, rest = mail.partition(b"\r\nFrom: ")
    rest = b"\r\nFrom: " + rest
    assert old in rest
    assert verified(head + rest.replace(old, new, 1), dns) == [False, False]


def test_a_relay_that_refolds_headers(
    config: Config, database: Database, dns: Callable[..., bytes | str]
) -> None:
    """Lines folded elsewhere, other white space at line ends, and trace headers change nothing."""
    made = factory(config, database)
    mail = made.mail(delivery(made.edition(rendered())))
    head, _, body = mail.partition(b"\r\n\r\n")
    lines = re.sub(rb"\r\n[ \t]+", b" ", head).split(b"\r\n")
    folded = b"\r\n".join(
        b"\r\n\t".join(word.encode() for word in textwrap.wrap(
            line.decode(), 60, break_long_words=False, break_on_hyphens=False))
        for line in lines
        if b": " in line
    )  # fmt: skip
    relayed = b"Received: by relay.example.net\r\n" + folded + b"\r\n\r\n" + body + b"\r\n \r\n"
    assert verified(relayed, dns) == [True, True]


@pytest.mark.parametrize("kind", ["smtp", "maildir", "eml"])
def test_the_form_of_a_transport_is_not_signed(
    config: Config, database: Database, dns: Callable[..., bytes | str], kind: str
) -> None:
    """Receivers verify the message without dot-stuffing and with CRLF line ends."""
    made = factory(config, database, kind)
    edition = made.edition(Rendered(".", f"<p>{UNSUBSCRIBE}</p>", f".\n..\n.x\n{UNSUBSCRIBE}\n"))
    mail = made.mail(delivery(edition))
    if kind == "smtp":
        mail = re.sub(rb"(?m)^\.", b"", mail)
    if kind == "maildir":
        mail = mail.replace(b"\n", b"\r\n")
    assert verified(mail, dns) == [True, True]


WHITE = st.text("ab. \t\n=", max_size=60)


@given(before=WHITE, after=WHITE)
def test_white_space_anywhere(
    config: Config,
    dns: Callable[..., bytes | str],
    tmp_path_factory: pytest.TempPathFactory,
    before: str,
    after: str,
) -> None:
    """The body is put into relaxed form as other implementations do it."""
    signer = dkim_keys.signer(config)
    assert signer
    body = f"{before}TOKEN{after}\n".replace("\n", "\r\n")
    head = f"From: news@{DOMAIN}\r\nSubject: a  b \r\n\tc"
    data = f"{head}\r\n\r\n{body}".encode()
    values = {"token": "TOKEN"}
    made = signer.template(data, values).headers({"token": b"OTHER"}, AT)
    assert verified(made + data.replace(b"TOKEN", b"OTHER"), dns) == [True, True]


def test_the_sender_id_for_complaints() -> None:
    """Of 5 to 15 characters, and different for similar domains."""
    domains = [
        "a.de",
        "example.org",
        "letters.of.a.long.example.org",
        "letters.of.a.long.example.com",
    ]
    made = [sender_id(domain) for domain in domains]
    assert all(re.fullmatch(r"[a-z0-9]{5,15}", one) for one in made)
    assert len(set(made)) == len(domains)
    assert sender_id("EXAMPLE.org") == "exampleorg"


def test_keys_that_cannot_be_used(config: Config, tmp_path: Path) -> None:
    """A missing file, other text, and keys of the wrong kind are problems of their settings."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no key")
    section = config.dkim
    for file, what in [
        (str(tmp_path / "none.pem"), "cannot be read"),
        (str(broken), "is not a private key"),
        (section.ed25519_key_file, "is not an RSA key of at least 2048 bits"),
    ]:
        changed = config.model_copy(update={"dkim": section.model_copy(update={"key_file": file})})
        (problem,) = [one for one in sending_problems(changed) if one.startswith("dkim.")]
        assert problem.startswith("dkim.key_file: ")
        assert what in problem
