"""How the owner is told when mail itself does not work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from email.header import decode_header, make_header
from pathlib import Path
from time import monotonic

import pytest

from newsletter.app.alert_channels import AlertChannels
from newsletter.config.parse import parse
from tests.support import http_server
from tests.support.http_server import Answer, Server, reply
from tests.support.ports import free_port

SUBJECT = "Harbour Papers: 1 thing to look at"
TEXT = "- The mail server refuses everything: “go away”.\n"
SECRET = "tk-only-we-know"

Serve = Callable[[Mapping[str, "Answer | list[Answer]"]], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts HTTP servers."""
    started: list[Server] = []

    def start(answers: Mapping[str, Answer | list[Answer]]) -> Server:
        started.append(Server(answers))
        return started[-1]

    yield start
    for one in started:
        one.close()


def channels(seconds: float = 10.0, **settings: str) -> AlertChannels:
    """Returns the channels of a configuration."""
    lines = "".join(f"{key} = '''{value}'''\n" for key, value in settings.items())
    config = parse(f"[newsletter]\n{lines}", {}, where="config.toml", folder=Path())
    return AlertChannels(config.newsletter, seconds, seconds)


def python(code: str) -> str:
    """Returns a command line that runs this."""
    return f'"{sys.executable}" -c "{code}" {SECRET}'


def test_without_settings_there_are_none() -> None:
    """No command is run and no URL is requested."""
    assert not channels()
    assert not channels().has_ping
    assert not channels(ping_url="http://127.0.0.1/").tell(SUBJECT, TEXT).heard


def test_a_command_gets_text_and_subject(tmp_path: Path) -> None:
    """The text on standard input, the subject in a variable; the line is not passed to a shell."""
    file = tmp_path / "heard; touch this"
    code = (
        "import os, sys; open(sys.argv[2], 'w', encoding='utf-8').write("
        "os.environ['NEWSLETTER_ALERT'] + chr(10) + sys.stdin.buffer.read().decode())"
    )
    told = channels(alert_command=f'{python(code)} "{file}"').tell(SUBJECT, TEXT)
    assert (told.heard, told.faults) == (True, ())
    assert file.read_text("utf-8") == f"{SUBJECT}\n{TEXT}"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (python("raise SystemExit(7)"), "ended with status 7"),
        (f"/nowhere/at/all {SECRET}", "cannot be started (No such file or directory)"),
        (python("import time; time.sleep(60)"), "did not finish within 0.5 s"),
    ],
)
def test_a_command_that_fails(command: str, said: str) -> None:
    """It does not count as told; the fault names the setting and shows nothing of its value."""
    told = channels(0.5 if "sleep" in command else 10.0, alert_command=command).tell(SUBJECT, TEXT)
    assert not told.heard
    (fault,) = told.faults
    assert fault.startswith("newsletter.alert_command: the command ")
    assert said in fault
    assert SECRET not in fault


def test_a_command_is_ended_with_what_it_started(tmp_path: Path) -> None:
    """After the time limit, none of its processes is left."""
    file = tmp_path / "late"
    late = "import sys, time; time.sleep(1); open(sys.argv[1], 'w')"
    (tmp_path / "late.py").write_text(late)
    code = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[2:]])"
    command = f'{python(code)} "{tmp_path}/late.py" "{file}"'
    began = monotonic()
    assert not channels(0.3, alert_command=command).tell(SUBJECT, TEXT).heard
    while monotonic() < began + 1.6:
        assert not file.exists()


def test_a_command_that_does_not_read_its_input() -> None:
    """A text longer than a pipe's buffer does no harm."""
    told = channels(alert_command=python("pass")).tell(SUBJECT, TEXT * 10_000)
    assert told.heard


def test_a_url_gets_text_and_subject(serve: Serve) -> None:
    """By POST, as notification services expect it."""
    server = serve({f"/topic?auth={SECRET}": reply(b"ok")})
    told = channels(alert_url=server.url(f"/topic?auth={SECRET}")).tell(SUBJECT, TEXT)
    assert (told.heard, told.faults) == (True, ())
    (request,) = server.requests
    assert (request.method, request.body.decode()) == ("POST", TEXT)
    assert request.headers["title"] == SUBJECT
    assert request.headers["content-type"] == "text/plain; charset=utf-8"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


def test_a_subject_that_is_not_ascii(serve: Serve) -> None:
    """It is encoded on one line."""
    server = serve({"/": reply(status=204)})
    subject = "Hafenblätter “α”: all is well again " + "β" * 200
    assert channels(alert_url=server.url()).tell(f"{subject}\r\nX: y", TEXT).heard
    (request,) = server.requests
    assert str(make_header(decode_header(request.headers["title"]))) == f"{subject} X: y"
    assert "x" not in request.headers


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(status=500), "answered 500; check"),
        (reply(status=404), "answered 404; check"),
        (reply(status=302, Location="/other"), "answered 302, and redirects are not followed"),
        (b"nothing that HTTP knows\r\n\r\n", "no HTTP"),
        (http_server.reset, "the connection failed"),
        (http_server.no_response, "within 0.5 s|in time"),
        (http_server.drip(b"HTTP/1.1 200 OK\r\nX: "), "within 0.5 s|in time"),
    ],
)
def test_a_url_that_fails(serve: Serve, answer: Answer, said: str) -> None:
    """It does not count as told; the fault names the setting and shows nothing of its value."""
    server = serve({f"/{SECRET}": answer, "/other": reply()})
    is_slow = "0.5" in said
    told = channels(0.5 if is_slow else 10.0, alert_url=server.url(f"/{SECRET}")).tell(
        SUBJECT, TEXT
    )
    assert not told.heard
    (fault,) = told.faults
    assert fault.startswith("newsletter.alert_url: ")
    assert any(part in fault for part in said.split("|")), fault
    assert SECRET not in fault
    assert server.paths() == [f"/{SECRET}"]


@pytest.mark.parametrize("host", ["127.0.0.1", f"{SECRET}.invalid"])
def test_a_server_that_is_not_there(host: str) -> None:
    """Neither its address nor its name is shown."""
    told = channels(alert_url=f"http://{host}:{free_port()}/{SECRET}").tell(SUBJECT, TEXT)
    assert not told.heard
    assert host not in told.faults[0]
    assert SECRET not in told.faults[0]


def test_one_of_two_is_enough(serve: Serve) -> None:
    """Both are tried, and the one that failed is named."""
    server = serve({"/": [reply(status=500), reply()]})
    both = channels(alert_command=python("pass"), alert_url=server.url())
    first, second = both.tell(SUBJECT, TEXT), both.tell(SUBJECT, TEXT)
    assert (first.heard, len(first.faults)) == (True, 1)
    assert first.faults[0].startswith("newsletter.alert_url: ")
    assert (second.heard, second.faults) == (True, ())


def test_a_ping(serve: Serve) -> None:
    """A GET request; a failure names only the setting."""
    server = serve({f"/{SECRET}": [reply(b"OK"), reply(status=500)]})
    one = channels(ping_url=server.url(f"/{SECRET}"))
    assert one.has_ping
    assert one.ping() == ""
    assert one.ping() == "newsletter.ping_url: the server answered 500; check the URL"
    assert [request.method for request in server.requests] == ["GET", "GET"]
