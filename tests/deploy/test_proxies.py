"""The pages behind the documented web servers: what works, and what is logged."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.web_room import WebRoom

DEPLOY = Path(__file__).parents[2] / "deploy"
TIMEOUT = 30.0
HOST = "papers.example.org"


def nginx(folder: Path, port: int, upstream: int, patience: int) -> list[str]:
    """Configures nginx as documented, except for ports, certificate, folders and its patience."""
    site = (DEPLOY / "nginx.conf").read_text()
    site = re.sub(r" *ssl_certificate.*\n", "", site)
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "proxy.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/proxy.log info;\n"
        f"events {{}}\nhttp {{ proxy_read_timeout {patience}s; {temporary} {site} }}\n"
    )
    return ["nginx", "-p", str(folder), "-e", f"{folder}/proxy.log", "-c", f"{folder}/proxy.conf"]


def caddy(folder: Path, port: int, upstream: int, patience: int) -> list[str]:
    """Configures Caddy as documented, except for ports and storage."""
    site = (DEPLOY / "Caddyfile").read_text()
    site = site.replace(
        "{\n\tlog", f"{{\n\tadmin off\n\tstorage file_system {folder}/store\n\tlog", 1
    )
    site = site.replace(f"{HOST} {{", f"http://{HOST}:{port} {{\n\tbind 127.0.0.1")
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    (folder / "Caddyfile").write_text(site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


Proxy = Callable[[Path, int, int, int], list[str]]
PROXIES: dict[str, Proxy] = {"nginx": nginx, "caddy": caddy}


@contextmanager
def proxied(
    name: str, folder: Path, upstream: int, patience: int = round(TIMEOUT)
) -> Iterator[int]:
    """Runs a web server in front of `upstream`. Yields its port.

    Args:
        patience: seconds that nginx waits for a response.
    """
    if shutil.which(name) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing")
        pytest.skip(f"{name} is not installed here")
    folder.mkdir()
    port = free_port()
    with (folder / "proxy.log").open("ab") as log:
        process = subprocess.Popen(
            PROXIES[name](folder, port, upstream, patience),
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "proxy.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def listens(port: int) -> bool:
    """Returns whether connections to a port are accepted."""
    with socket.socket() as wire:
        return wire.connect_ex(("127.0.0.1", port)) == 0


def until(is_so: Callable[[], object]) -> None:
    """Waits until the condition is true; fails after a timeout."""
    ends = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.05)


def ask(port: int, path: str, form: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Sends a request for the public name. Returns status and text."""
    named = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", form, named)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def logged(folder: Path) -> str:
    """Returns everything that a web server has written, except its configuration."""
    files = [one for one in folder.rglob("*") if one.is_file() and one.suffix != ".conf"]
    return "".join(one.read_text(errors="replace") for one in files if one.name != "Caddyfile")


@pytest.fixture
def room(tmp_path: Path) -> WebRoom:
    """A newsletter with one subscriber and a public name, behind one proxy."""
    room = WebRoom(tmp_path, free_port(), base_url=f"https://{HOST}")
    room.configure(1)
    with (tmp_path / "config.toml").open("a") as config:
        config.write("trusted_hops = 1\n")
    room.subscribe(["mira@example.org"])
    return room


@pytest.mark.parametrize("name", PROXIES)
def test_the_pages_work_behind_a_web_server(room: WebRoom, tmp_path: Path, name: str) -> None:
    """Forms and one-click work, the visitor's network is known, and metrics are not public."""
    with room.opened() as app:
        token = app.subscribers.links.unsubscribe_token(1)
    process = room.start_process("web")
    try:
        until(lambda: listens(room.port))
        with proxied(name, tmp_path / "proxy", room.port) as port:
            assert ask(port, "/")[0] == 200
            assert ask(port, "/metrics")[0] == ask(port, "/readyz")[0] == 404
            assert ask(port, "/healthz")[0] == 200
            form = b"address=ada@example.org"
            assert ask(port, "/subscribe", form, X_Forwarded_For="198.51.100.7")[0] == 200
            one_click = ask(port, f"/unsubscribe/{token}", b"List-Unsubscribe=One-Click")
            assert one_click == (200, "unsubscribed\n")
            assert ask(port, "/subscribe", b"address=" + b"a" * 20_000)[0] == 413
    finally:
        process.terminate()
        assert process.wait(TIMEOUT) == 0
    with closing(sqlite3.connect(room.database)) as database:
        asked = database.execute("SELECT network FROM requests").fetchall()
    # The network of the visitor's connection to the proxy, not the header that the visitor sent.
    assert asked == [("127.0.0.0/24",)]
    assert token not in logged(tmp_path / "proxy")


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("upstream", ["down", "silent", "closing"])
def test_logs_contain_no_personal_links(tmp_path: Path, name: str, upstream: str) -> None:
    """This holds even if the pages cannot be reached, time out or close the connection."""
    token = "A" * 28
    with socket.socket() as wire:
        wire.bind(("127.0.0.1", 0))
        if upstream != "down":
            wire.listen()
        accepting = threading.Thread(target=_accept, args=(wire, upstream), daemon=True)
        accepting.start()
        with proxied(name, tmp_path / "proxy", wire.getsockname()[1], 1) as port:
            for page in ("unsubscribe", "preferences", "confirm"):
                with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                    head = f"GET /{page}/{token} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
                    client.sendall(head.encode())
                    with suppress(TimeoutError):  # Caddy waits longer than the visitor
                        client.recv(1000)
    assert token not in logged(tmp_path / "proxy")


def _accept(wire: socket.socket, upstream: str) -> None:
    kept = []
    while True:
        try:
            client, _ = wire.accept()
        except OSError:
            return
        if upstream == "closing":
            client.recv(100)
            client.close()
        kept.append(client)
