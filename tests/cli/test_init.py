"""`newsletter init`: the conversation on a terminal, its options, and what it writes."""

from __future__ import annotations

import signal
import ssl
import tomllib
from collections.abc import Callable, Iterator, Sequence
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from newsletter.app.inspection import sample
from newsletter.config.file import example_config
from newsletter.transports.mail_servers import PROVIDERS, Provider
from tests.support.certificates import certificate
from tests.support.commands import assert_one_line_each, newsletter, rows_of
from tests.support.hosts import with_hosts
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
    talk.answer("Write an edition with the latest papers")
    assert talk.ended() == 0
    assert f"{ADDRESS} was added as a subscriber." in talk.said
    assert f"Mail that was sent is in {folder}/outbox." in talk.said
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
    before = with_hosts(tmp_path / "hosts", {provider.host: host})
    address = f"ada@{provider.domains[0]}"
    talk = begun(folder, before=before, address=address, SSL_CERT_FILE=str(path))
    talk.answer("Number")  # the address suggests the provider
    talk.answer("User name", "papers")
    said = talk.answer(
        "Command" if by_token else "App password",
        "echo abcdefghijkl" if by_token else "abcd efgh ijkl",
    )
    assert provider.advice.replace("\n", "\r\n") in said
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
        ({"auth": "XOAUTH2"}, "1", "newsletter init --smtp-token-command"),
        ({"tls": None}, "1", "that port and encryption"),
        ({"tls": None}, "2", "the server does not offer STARTTLS"),
        ({"starttls": True, "auth": "PLAIN"}, "1", "that port and encryption"),
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
    talk.answer("Write an edition", "n")
    assert talk.ended() == 0
    assert config(folder)["delivery"]["transport"] == "eml"
    assert "host" not in config(folder)["transports"]["smtp"]
    assert not (folder / "smtp-password").exists()


def test_a_server_that_does_not_answer(folder: Path, server: Callable[..., Server]) -> None:
    """After some seconds it says so; the answers can be kept for later."""
    running = server(faults={"connect": [silence()]})
    talk = begun(folder)
    own_server(talk, running.port)
    assert "Check that a mail server runs on this machine" in talk.answer("Number", "2")
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


TOKEN = """
[delivery]
transport = "smtp"
[transports.smtp]
host = "smtp.gmail.com"
username = "ada@gmail.com"
token_command = "echo token"
"""
KEPT = {
    "files": ("", ["Number [6]"]),
    "a maildir": ('[delivery]\ntransport = "maildir"\n', ["Number [6]"]),
    "a token": (TOKEN, ["Number [1]", "User name [ada@gmail.com]", "Command [echo token]", "2"]),
}


@pytest.mark.parametrize("how", KEPT)
def test_enter_keeps_how_mail_leaves(folder: Path, how: str) -> None:
    """Whatever the address suggests."""
    text, labels = KEPT[how]
    head = '[newsletter]\nowner = "ada@gmail.com"\nsender = "A <a@b.example>"\n'
    before = f'{head}[[sources]]\nname = "c"\npath = "captures"\n{text}'
    (folder / "config.toml").write_text(before)
    talk = Talk(folder, "init")
    for label in ("Name", "Address", "Time zone", "Time", "Number [1]", *labels):
        talk.answer("Number" if label == "2" else label, "2" if label == "2" else "")
    talk.answer("Write config.toml?")
    talk.answer("Send the latest" if how == "a token" else "Write an edition", "n")
    assert talk.ended() == 0
    assert "config.toml was not changed." in talk.said
    assert (folder / "config.toml").read_text() == before


def test_options_win_over_what_a_provider_suggests(folder: Path) -> None:
    """The questions that they answer are not asked."""
    talk = begun(folder, "--smtp-port", "587", "--smtp-security", "starttls", address="a@gmail.com")
    talk.answer("Number [1]")
    talk.answer("User name")
    talk.answer("App password", "secret")
    talk.answer("Number", "2")
    declined(talk, "y")
    smtp = config(folder)["transports"]["smtp"]
    assert (smtp["host"], smtp["port"], smtp["security"]) == ("smtp.gmail.com", 587, "starttls")


def test_a_known_host_is_not_asked_about(folder: Path) -> None:
    """And a login is for one server only: the old one's is not suggested."""
    old = TOKEN.replace("smtp.gmail.com", "mail.old.example")
    (folder / "config.toml").write_text(f'[newsletter]\nowner = "ada@me.com"\n{old}')
    talk = Talk(folder, "init", "--smtp-host", "smtp.mail.me.com")
    for label in ("Name", "Address", "Time zone", "Time"):
        talk.answer(label)
    talk.answer("Number", "4")
    talk.answer("Folder")
    talk.answer("User name [ada@me.com]")
    talk.answer("App password:"[:-1], "secret")
    assert "error: smtp.mail.me.com:587: " in talk.answer("Number", "2")
    declined(talk, "y")
    made = config(folder)
    assert made["transports"]["smtp"] == {
        "host": "smtp.mail.me.com",
        "username": "ada@me.com",
        "port": 587,
        "security": "starttls",
        "password_file": "smtp-password",
    }
    assert made["newsletter"]["sender"] == "Daily Papers <ada@me.com>"


def test_a_configuration_reached_by_a_link(folder: Path, tmp_path: Path) -> None:
    """What is written, read and sent belongs to the folder of the link."""
    real = tmp_path / "real.toml"
    real.write_text(f'[newsletter]\nowner = "{ADDRESS}"\n')
    (folder / "config.toml").symlink_to(real)
    talk = Talk(folder, "init")
    for label, text in (("Name", "B"), ("Address", ""), ("Time zone", ""), ("Time", "")):
        talk.answer(label, text)
    talk.answer("Number", "4")
    talk.answer("Folder")
    talk.answer("Number")
    talk.answer("Write ")
    talk.answer("Write an edition")
    assert talk.ended() == 0
    assert (folder / "config.toml").is_symlink()
    assert 'name = "B"' in real.read_text()
    assert len(list((folder / "outbox").iterdir())) == 1
    assert not list(tmp_path.glob("newsletter.db*"))


def test_ctrl_c_before_sending(folder: Path) -> None:
    """Everything was written, and nothing is sent."""
    talk = begun(folder)
    talk.answer("Number", "6")
    talk.answer("Write config.toml?")
    talk.interrupt()
    assert talk.ended() == 130
    assert "Nothing was written" not in talk.said
    assert not (folder / "outbox").exists()
    assert newsletter("config", "check", cwd=folder).returncode == 0


def test_an_address_is_not_required(folder: Path) -> None:
    """A hyphen leaves it out, although $EMAIL suggests one."""
    talk = Talk(folder, "init", "--name", "N", "--source", "captures", EMAIL=ADDRESS)
    talk.answer(f"Address [{ADDRESS}]", "-")
    talk.answer("Time zone")
    talk.answer("Time")
    assert "captures: 11 papers" in talk.answer("Write config.toml?")
    assert talk.ended() == 0
    assert "owner" not in config(folder)["newsletter"]


def test_an_owner_who_left_is_not_added_again(tmp_path: Path) -> None:
    """Neither after unsubscribing nor, unless the address changes, after being removed."""
    newsletter("init", "--yes", "--owner", ADDRESS, cwd=tmp_path)
    newsletter("subscribers", "unsubscribe", ADDRESS, cwd=tmp_path)
    done = newsletter("init", "--yes", "--name", "B", cwd=tmp_path)
    assert f"{ADDRESS} is unsubscribed." in done.stdout
    newsletter("subscribers", "remove", ADDRESS, cwd=tmp_path)
    newsletter("init", "--yes", "--send-at", "06:00", cwd=tmp_path)
    assert rows_of(newsletter("subscribers", "list", "--json", cwd=tmp_path)) == []
    newsletter("init", "--yes", "--owner", "bo@harbour.example", cwd=tmp_path)
    (row,) = rows_of(newsletter("subscribers", "list", "--json", cwd=tmp_path))
    assert (row["address"], row["state"]) == ("bo@harbour.example", "active")


@pytest.mark.parametrize(
    ("options", "port", "security"),
    [
        (["smtp.gmail.com"], 465, "tls"),
        (["smtp.gmail.com", "--smtp-port", "587"], 587, "starttls"),
        (["smtp.gmail.com", "--smtp-security", "starttls"], 587, "starttls"),
        (["smtp.mail.me.com"], 587, "starttls"),
        (["mail.example", "--smtp-security", "starttls"], 587, "starttls"),
        (["mail.example", "--smtp-port", "25"], 25, "starttls"),
        (["mail.example", "--smtp-port", "2465"], 2465, "tls"),
        (["localhost", "--smtp-port", "25"], 25, "none"),
        (["localhost", "--smtp-security", "none"], 25, "none"),
    ],
)
def test_port_and_security_follow_each_other(
    tmp_path: Path, options: Sequence[str], port: int, security: str
) -> None:
    """Whichever of them is given, the other is the usual one."""
    done = newsletter("init", "--yes", "--owner", ADDRESS, "--smtp-host", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    smtp = config(tmp_path)["transports"]["smtp"]
    assert (smtp["port"], smtp["security"]) == (port, security)


def test_one_secret_replaces_another(tmp_path: Path) -> None:
    """The file is named from the current folder, and an environment variable that wins is told."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "pw").write_text("secret")
    (tmp_path / "etc" / "config.toml").write_text(
        f'[newsletter]\nowner = "{ADDRESS}"\n'
        '[transports.smtp]\nhost = "m.example"\npassword = "x"\n'
    )
    options = ("--smtp-password-file", "pw", "--name", "B")
    words = ("init", "etc/config.toml", "--yes", *options)
    done = newsletter(*words, cwd=tmp_path, NEWSLETTER__NEWSLETTER__NAME="C")
    assert done.returncode == 0, done.stderr
    smtp = config(tmp_path / "etc")["transports"]["smtp"]
    assert smtp == {"host": "m.example", "password_file": str(tmp_path / "pw")}
    assert "NEWSLETTER__NEWSLETTER__NAME overrides newsletter.name" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_password(folder: Path, number: int) -> None:
    """The terminal shows again what is typed, and nothing is written."""
    talk = Talk(folder, "init", "--smtp-host", "127.0.0.1", "--smtp-security", "tls")
    for label, text in ALL_ANSWERS[:6]:
        talk.answer(label, text)
    talk.answer("Port", "1")
    talk.answer("User name", "papers")
    talk.signal("Password", number)
    assert talk.ended() == 128 + number
    assert talk.had_echo
    assert "Nothing was written." in talk.said
    assert [path.name for path in folder.iterdir()] == ["captures"]


def test_several_sources_beside_each_other(tmp_path: Path) -> None:
    """Names are free, the same place is one source, and quotation marks stay in a URL."""
    for name in ("a/captures", "b/captures", "daily-papers"):
        (tmp_path / name).mkdir(parents=True)
    url = "https://example.org/?q='a b'"
    places = ("a/captures", "b/captures", "daily-papers", "a/captures", url)
    options = [word for place in places for word in ("--source", place)]
    done = newsletter("init", "--yes", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = [(one["name"], one.get("path") or one["url"]) for one in config(tmp_path)["sources"]]
    assert made == [
        ("captures", "a/captures"),
        ("captures 2", "b/captures"),
        ("daily-papers", "daily-papers"),
        ("example.org", url),
    ]


def test_the_sender_follows_the_owner_unless_chosen(tmp_path: Path) -> None:
    """It is derived from name and address, and stays if the operator wrote another."""
    server = ("--smtp-host", "mail.example", "--smtp-username", "x")
    newsletter("init", "--yes", "--owner", ADDRESS, *server, cwd=tmp_path)
    assert config(tmp_path)["newsletter"]["sender"] == f"Daily Papers <{ADDRESS}>"
    newsletter("init", "--yes", "--owner", "bo@b.example", "--name", "N", cwd=tmp_path)
    assert config(tmp_path)["newsletter"]["sender"] == "N <bo@b.example>"
    newsletter("init", "--yes", "--sender", "Own <own@c.example>", cwd=tmp_path)
    newsletter("init", "--yes", "--name", "M", cwd=tmp_path)
    assert config(tmp_path)["newsletter"]["sender"] == "Own <own@c.example>"


def test_a_password_that_could_not_be_used_is_taken_back(
    folder: Path, server: Callable[..., Server], tmp_path: Path
) -> None:
    """If the configuration changed meanwhile, the old password is in its file again."""
    path = certificate(tmp_path, "IP:127.0.0.1")
    running = server(tls=secured(path), auth="PLAIN", password="new")
    (folder / "config.toml").write_text(
        f'[newsletter]\nowner = "{ADDRESS}"\n[delivery]\ntransport = "smtp"\n[transports.smtp]\n'
        f'host = "127.0.0.1"\nport = {running.port}\nusername = "papers"\npassword_file = "pw"\n'
    )
    (folder / "pw").write_text("old\n")
    (folder / "pw").chmod(0o640)
    talk = Talk(folder, "init", SSL_CERT_FILE=str(path))
    for label, text in (("Name", "B"), ("Address", ""), ("Time zone", ""), ("Time", "")):
        talk.answer(label, text)
    talk.answer("Number", "4")
    talk.answer("Folder")
    for label in ("Number [5]", "Server", "Number [1]", "Port", "User name"):
        talk.answer(label)
    talk.answer("Password", "new")
    with (folder / "config.toml").open("a") as file:
        file.write("# theirs\n")
    talk.answer("Write config.toml?")
    assert talk.ended() == 3
    assert "was changed meanwhile" in talk.said
    assert (folder / "pw").read_text() == "old\n"
    assert (folder / "pw").stat().st_mode & 0o777 == 0o640


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
    assert done.stdout.startswith("config.toml was not changed.\n")
    assert (tmp_path / "config.toml").read_text() == changed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--time-zone", "Mars"], "newsletter.time_zone: no such time zone"),
        (["--smtp-host", "mail.example", "--smtp-security", "none"], "for this machine itself"),
        (["--smtp-host", "mail.example"], "newsletter.owner: mail needs a way to unsubscribe"),
        (["--transport", "smtp", "--owner", ADDRESS], "mail by SMTP needs a server"),
        (["--source", "."], "this folder has the configuration, the database or a secret"),
        (["--owner", f"{'a' * 65}@example.org"], "the part before the @ is over 64 bytes long"),
        (["--source", "nowhere"], "there is no preset, file or folder “nowhere”"),
        (["--source", 'arxiv "cs'], "is not a category such as cs.CL"),
        (["--owner", "ada"], 'newsletter.owner: write "Name <address>", or an address such as'),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: list[str], said: str) -> None:
    """One line says so, and nothing is written."""
    done = newsletter("init", "--yes", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert_one_line_each(done)
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
