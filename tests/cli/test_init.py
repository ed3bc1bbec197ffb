"""`newsletter init`: the conversation on a terminal, its options, and what it writes."""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from newsletter.app.inspection import sample
from newsletter.config.file import example_config
from newsletter.transports.mail_servers import PROVIDERS, Provider
from tests.support.certificates import certificate
from tests.support.commands import assert_one_line_each, newsletter, rows_of
from tests.support.smtp_server import Options, Server, silence
from tests.support.terminal import Talk

ADDRESS = "ada@harbour.example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with saved pages."""
    captures = tmp_path / "new" / "captures"
    captures.mkdir(parents=True)
    for file in sample():
        (captures / file.name).write_bytes(file.read_bytes())
    return tmp_path / "new"


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Starts mail servers on this machine."""
    running: list[Server] = []

    def start(*, host: str = "127.0.0.1", port: int = 0, **options: Any) -> Server:
        running.append(Server(Options(**options), port, host))
        return running[-1]

    yield start
    for one in running:
        one.close()


def secured(path: Path) -> ssl.SSLContext:
    """Returns the TLS settings of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def config(folder: Path) -> dict[str, Any]:
    """Returns the configuration as written."""
    return tomllib.loads((folder / "config.toml").read_text())


def begun(folder: Path, *arguments: str, address: str = ADDRESS, **how: Any) -> Talk:
    """Answers the questions before those about mail."""
    talk = Talk(folder, "init", *arguments, **how)
    talk.answer("Name", "Harbour papers")
    talk.answer("Address", address)
    talk.answer("Time zone", "Europe/Berlin")
    talk.answer("Time", "08:15")
    talk.answer("Number", "4")
    talk.answer("Folder")
    return talk


def own_server(talk: Talk, port: int, security: str = "3", host: str = "127.0.0.1") -> None:
    """Chooses a mail server of one's own."""
    talk.answer("Number", str(len(PROVIDERS) + 1))
    talk.answer("Server", host)
    talk.answer("Number", security)
    talk.answer("Port", str(port))


def declined(talk: Talk, written: str = "n") -> str:
    """Writes or does not write, and sends nothing. Returns what was said before."""
    said = talk.answer("Write config.toml?", written)
    if written == "y":
        talk.answer("Send the latest", "n")
    assert talk.ended() == 0
    return said


def test_the_first_edition_as_a_file(folder: Path) -> None:
    """Everything that is asked is written, and the first edition is there at the end."""
    talk = begun(folder)
    said = talk.answer("Number", "6")
    assert "captures: 11 papers of 2026-11-20, read as api-json" in said
    talk.answer("Write config.toml?")
    talk.answer("Write the latest papers to files now")
    assert talk.ended() == 0
    assert f"{ADDRESS} was added as a subscriber." in talk.said
    assert f"What is sent is in {folder}/outbox." in talk.said
    made = config(folder)
    section = made["newsletter"]
    assert (section["name"], section["owner"]) == ("Harbour papers", ADDRESS)
    assert (section["time_zone"], section["send_at"]) == ("Europe/Berlin", "08:15")
    assert made["sources"] == [{"name": "captures", "path": "captures"}]
    assert made["delivery"]["transport"] == "eml"
    assert (folder / "config.toml").stat().st_mode & 0o777 == 0o600
    (mail,) = (folder / "outbox").glob("*.eml")
    read = message_from_bytes(mail.read_bytes(), policy=policy.default)
    assert ADDRESS in str(read["To"])
    assert newsletter("config", "check", cwd=folder).returncode == 0


def test_the_first_edition_in_the_inbox(folder: Path, server: Callable[..., Server]) -> None:
    """Through a mail server on this machine, without a login."""
    running = server()
    talk = begun(folder)
    own_server(talk, running.port)
    assert "The server answers." in talk.answer("Write config.toml?")
    talk.answer("Send the latest papers to")
    assert talk.ended() == 0
    (mail,) = running.received
    read = message_from_bytes(mail.content, policy=policy.default)
    assert str(read["From"]) == f"Harbour papers <{ADDRESS}>"
    assert ADDRESS in str(read["To"])
    smtp = config(folder)["transports"]["smtp"]
    assert smtp == {"host": "127.0.0.1", "port": running.port, "security": "none"}
    assert not (folder / "smtp-password").exists()


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_a_login_at_each_provider(
    folder: Path, server: Callable[..., Server], tmp_path: Path, provider: Provider
) -> None:
    """The preset leads to the right host, port and security, and the right kind of secret."""
    host = f"127.77.0.{PROVIDERS.index(provider) + 1}"
    path = certificate(tmp_path, f"DNS:{provider.host}")
    by_token = provider.login == "token"
    options = {"auth": "XOAUTH2" if by_token else "PLAIN", "password": "abcdefghijkl"}
    starttls = provider.security == "starttls"
    running = server(host=host, port=provider.port, tls=secured(path), starttls=starttls, **options)
    (tmp_path / "hosts").write_text(f"{host} {provider.host}\n127.0.0.1 localhost\n")
    mount = f'mount --bind {tmp_path}/hosts /etc/hosts && exec "$@"'
    before = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    address = f"ada@{provider.domains[0]}"
    talk = begun(folder, before=before, address=address, SSL_CERT_FILE=str(path))
    talk.answer("Number")  # the address suggests the provider
    talk.answer("User name", "papers")
    said = talk.answer(
        "Command" if by_token else "App password",
        "echo abcdefghijkl" if by_token else "abcd efgh ijkl",
    )
    assert provider.advice in said
    assert "The login works." in declined(talk, "y")
    made = config(folder)
    smtp = made["transports"]["smtp"]
    assert (smtp["host"], smtp["port"]) == (provider.host, provider.port)
    assert smtp["security"] == provider.security
    assert made["newsletter"]["sender"] == f"Harbour papers <{address}>"
    assert running.verbs().count("AUTH") == 1
    assert "abcd" not in talk.said.replace("echo abcdefghijkl", "")
    if by_token:
        assert smtp["token_command"] == "echo abcdefghijkl"
        return
    secret = folder / smtp["password_file"]
    assert secret.read_text() == "abcdefghijkl\n"
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "security", "said"),
    [
        ({"auth": "PLAIN", "password": "other"}, "1", "app password"),
        ({"auth": "PLAIN", "faults": {"AUTH": [b"454 4.7.0 not now\r\n"]}}, "1", "454 4.7.0"),
        ({"auth": "XOAUTH2"}, "1", "needs --smtp-token-command"),
        ({"tls": None}, "1", "with that security"),
        ({"tls": None}, "2", "the server does not offer STARTTLS"),
        ({"starttls": True, "auth": "PLAIN"}, "1", "with that security"),
    ],
    ids=["refuses", "refuses for now", "wants a token", "no TLS", "no STARTTLS", "wants STARTTLS"],
)
def test_a_login_that_fails(
    folder: Path,
    server: Callable[..., Server],
    tmp_path: Path,
    options: dict[str, Any],
    security: str,
    said: str,
) -> None:
    """It is said why and what to do; files instead of mail are always possible."""
    path = certificate(tmp_path, "IP:127.0.0.1")
    running = server(**{"tls": secured(path), **options})
    talk = begun(folder, SSL_CERT_FILE=str(path))
    own_server(talk, running.port, security)
    talk.answer("User name", "papers")
    talk.answer("Password", "secret")
    heard = talk.answer("Number", "3")
    assert "error: " in heard
    assert said in heard
    talk.answer("Write config.toml?")
    talk.answer("Write the latest", "n")
    assert talk.ended() == 0
    assert config(folder)["delivery"]["transport"] == "eml"
    assert "host" not in config(folder)["transports"]["smtp"]
    assert not (folder / "smtp-password").exists()


def test_a_server_that_does_not_answer(folder: Path, server: Callable[..., Server]) -> None:
    """After some seconds it says so; the answers can be kept for later."""
    running = server(faults={"connect": [silence()]})
    talk = begun(folder)
    own_server(talk, running.port)
    assert "Check that a mail server on this machine listens" in talk.answer("Number", "2")
    declined(talk, "y")
    assert config(folder)["transports"]["smtp"]["port"] == running.port


def test_answers_are_given_again(folder: Path, server: Callable[..., Server]) -> None:
    """After a failure, the questions about mail are asked again, and no others."""
    running = server()
    talk = begun(folder)
    own_server(talk, 1)
    assert "error: 127.0.0.1:1: " in talk.answer("Number")
    own_server(talk, running.port)
    assert "The server answers." in declined(talk, "y")


def test_a_source_that_cannot_be_read(folder: Path) -> None:
    """Another is chosen, or it is used anyway; a folder that is missing is asked for again."""
    talk = Talk(
        folder, "init", "--name", "N", "--owner", "", "--time-zone", "UTC", "--send-at", "7:00"
    )
    talk.answer("Number", "4")
    talk.answer("Folder", "missing")
    assert "there is no preset, file or folder “missing”" in talk.answer("Number", "3")
    talk.answer("URL", "http://nowhere.invalid/feed")
    assert "error: http://nowhere.invalid/feed: " in talk.answer("Number", "2")
    assert "error: http://nowhere.invalid/feed: " in talk.answer("Number", "3")
    talk.answer("Write config.toml?")
    assert talk.ended() == 0
    assert config(folder)["sources"] == [
        {"name": "nowhere.invalid", "url": "http://nowhere.invalid/feed"}
    ]
    assert "newsletter preview --open" in talk.said


ALL_ANSWERS = (
    ("Name", "N"),
    ("Address", ADDRESS),
    ("Time zone", "UTC"),
    ("Time", "8:00"),
    ("Number", "4"),
    ("Folder", "captures"),
    ("Number", "5"),
    ("Server", "127.0.0.1"),
    ("Number", "1"),
    ("Port", "1"),
    ("User name", "papers"),
    ("Password", "secret"),
    ("Number", "2"),
)


@pytest.mark.parametrize("questions", range(len(ALL_ANSWERS) + 1))
def test_interrupted_at_every_question(folder: Path, questions: int) -> None:
    """Nothing is written, whatever was answered before."""
    talk = Talk(folder, "init")
    for label, text in ALL_ANSWERS[:questions]:
        talk.answer(label, text)
    talk.interrupt()
    assert talk.ended() == 130
    assert talk.said.rstrip().endswith("Nothing was written. `newsletter init` starts again.")
    assert [path.name for path in folder.iterdir()] == ["captures"]


def test_a_second_time_it_changes_only_what_is_answered(
    folder: Path, server: Callable[..., Server], tmp_path: Path
) -> None:
    """Enter keeps every value, byte for byte, and the password."""
    path = certificate(tmp_path, "IP:127.0.0.1")
    running = server(tls=secured(path), auth="PLAIN")
    trusting = {"SSL_CERT_FILE": str(path)}
    talk = begun(folder, **trusting)
    own_server(talk, running.port, "1")
    talk.answer("User name", "papers")
    talk.answer("Password", "secret")
    declined(talk, "y")
    before = (folder / "config.toml").read_text()

    def again(name: str = "") -> str:
        talk = Talk(folder, "init", **trusting)
        talk.answer("Name [Harbour papers]", name)
        for label in (
            f"Address [{ADDRESS}]",
            "Time zone [Europe/Berlin]",
            "Time [08:15]",
            "Number [1]",
            "Number [5]",
            "Server [127.0.0.1]",
            "Number [1]",
            f"Port [{running.port}]",
            "User name [papers]",
            "Password (Enter keeps the current one)",
        ):
            talk.answer(label)
        declined(talk, "y")
        assert f"{ADDRESS} is a subscriber already." in talk.said
        return talk.said

    assert "Keep what is configured: captures" in again()
    assert (folder / "config.toml").read_text() == before
    again("Lamps")
    text = (folder / "config.toml").read_text()
    assert text.replace("Lamps", "Harbour papers").split() == before.split()
    assert (folder / "smtp-password").read_text() == "secret\n"
    assert running.verbs().count("AUTH") == 3


def test_what_is_not_ours_is_not_overwritten(folder: Path, server: Callable[..., Server]) -> None:
    """A file with the name of the password's file, and a configuration written meanwhile."""
    (folder / "smtp-password").write_text("theirs")
    running = server()
    talk = begun(folder, "--smtp-security", "none", "--smtp-username", "papers")
    talk.answer("Number", str(len(PROVIDERS) + 1))
    talk.answer("Server", "127.0.0.1")
    talk.answer("Port", str(running.port))
    talk.answer("Password", "secret")
    assert "a password is never sent in clear text" in talk.answer("Number", "2")
    (folder / "config.toml").write_text("# theirs\n")
    talk.answer("Write config.toml?")
    assert talk.ended() == 3
    assert (folder / "config.toml").read_text() == "# theirs\n"
    assert (folder / "smtp-password").read_text() == "theirs"
    assert not (folder / "smtp-password-2").exists()


def test_with_yes_it_asks_nothing(tmp_path: Path) -> None:
    """Options are written, known hosts bring their port, and the owner is the first subscriber."""
    talk = Talk(
        *(tmp_path, "init", "--yes", "--name", "Lamps, daily", "--owner", ADDRESS),
        *("--time-zone", "Europe/Paris", "--send-at", "06:00", "--smtp-host", "smtp.mail.me.com"),
        *("--source", "arxiv cs.CL cs.LG", "--source", "hf-daily", "--smtp-username", "ada"),
    )
    assert talk.ended() == 0, talk.said
    made = config(tmp_path)
    assert made["newsletter"] | {"language": ""} == {
        "name": "Lamps, daily",
        "owner": ADDRESS,
        "sender": f'"Lamps, daily" <{ADDRESS}>',
        "time_zone": "Europe/Paris",
        "send_at": "06:00",
        "language": "",
    }
    assert [one["name"] for one in made["sources"]] == ["daily-papers", "arxiv-cs.CL-cs.LG"]
    smtp = made["transports"]["smtp"]
    assert smtp == {
        "host": "smtp.mail.me.com",
        "port": 587,
        "security": "starttls",
        "username": "ada",
    }
    rows = rows_of(newsletter("subscribers", "list", "--json", cwd=tmp_path))
    assert [(row["address"], row["state"]) for row in rows] == [(ADDRESS, "active")]


def test_options_change_an_existing_configuration(tmp_path: Path) -> None:
    """Only what they name; a source that is there already is not added again."""
    done = newsletter("init", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Wrote config.toml.\n")
    before = (tmp_path / "config.toml").read_text()
    assert before == example_config().replace(
        'time_zone = "UTC" ', f'time_zone = "{config(tmp_path)["newsletter"]["time_zone"]}" '
    )
    changes = ("--send-at", "06:30", "--source", "hf-daily")
    assert newsletter("init", "--yes", *changes, cwd=tmp_path).returncode == 0
    changed = (tmp_path / "config.toml").read_text()
    assert changed == before.replace('send_at = "07:30"', 'send_at = "06:30"')
    done = newsletter("init", *changes, cwd=tmp_path)
    assert done.stdout.startswith("config.toml is as it was.\n")
    assert (tmp_path / "config.toml").read_text() == changed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--time-zone", "Mars"], "newsletter.time_zone: no such time zone"),
        (["--smtp-host", "mail.example", "--smtp-security", "none"], "for this machine itself"),
        (["--source", "nowhere"], "there is no preset, file or folder “nowhere”"),
        (["--source", 'arxiv "cs'], "is not a category such as cs.CL"),
        (["--owner", "ada"], 'newsletter.owner: write "Name <address>" or an address'),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: list[str], said: str) -> None:
    """One line says so, and nothing is written."""
    done = newsletter("init", "--yes", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert_one_line_each(done)
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
