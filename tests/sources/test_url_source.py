"""A configured URL through the command line, from the first capture to a failing server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from newsletter.app.inspection import sample
from tests.support.commands import assert_one_line_each, newsletter, rows_of
from tests.support.http_server import Answers, Server, reply

Serve = Callable[..., Server]
"""Starts a server with these answers, and configures a path of it as a source."""

DAY = sample()[0].read_bytes()
NEXT = sample()[1].read_bytes()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Returns a function that starts a server and configures one of its paths as a source."""
    servers: list[Server] = []

    def started(answers: Answers, path: str = "/papers") -> Server:
        server = Server(answers)
        servers.append(server)
        (tmp_path / "config.toml").write_text(
            f'[[sources]]\nname = "page"\nurl = "{server.url(path)}"\nallow_private = true\n'
        )
        return server

    yield started
    for server in servers:
        server.close()


def test_an_unchanged_page_is_requested_with_its_validator(serve: Serve, tmp_path: Path) -> None:
    """The second request has the ETag; a 304 announces nothing."""
    server = serve(
        {"/papers": [reply(DAY, ETag='"one"'), reply(status=304, ETag='"one"'), reply(NEXT)]}
    )
    first, second, third = (rows_of(newsletter("ingest", "--json", cwd=tmp_path)) for _ in range(3))
    assert (first[0]["source"], first[0]["new"]) == ("page", 9)
    assert (second[0]["unchanged"], second[0]["new"]) == (True, 0)
    assert (third[0]["new"], third[0]["updated"]) == (8, 1)
    asked = [request.headers.get("if-none-match") for request in server.requests]
    assert asked == [None, '"one"', '"one"']


@pytest.mark.parametrize("body", [b"<title>Log in</title><form>", b'{"error":"Sorry"}', DAY[:900]])
def test_a_response_without_a_list_is_held_and_the_source_continues(
    serve: Serve, tmp_path: Path, body: bytes
) -> None:
    """A login page, an error as JSON, or half a response is held, and its bytes are kept."""
    serve({"/papers": [reply(body), reply(DAY)]})
    held = newsletter("ingest", "--json", cwd=tmp_path)
    assert held.returncode == 3
    (row,) = rows_of(held)
    assert row["held"]
    assert row["snapshot"]
    (well,) = rows_of(newsletter("ingest", "--json", cwd=tmp_path))
    assert well["new"] == 9


def test_a_failing_server_is_reported_until_it_recovers(serve: Serve, tmp_path: Path) -> None:
    """Exit status 3, one line, and `source failing` in the status until the next success."""
    server = serve({"/papers": [reply(status=404), reply(DAY)]})
    failed = newsletter("ingest", cwd=tmp_path)
    assert failed.returncode == 3
    assert_one_line_each(failed)
    assert "404" in failed.stderr
    *_, last = rows_of(newsletter("status", "--json", cwd=tmp_path))
    assert last["silence"].startswith("source failing: page")
    assert newsletter("ingest", cwd=tmp_path).returncode == 0
    *_, last = rows_of(newsletter("status", "--json", cwd=tmp_path))
    assert last["silence"].startswith("nobody subscribed")
    assert len(server.requests) == 2


def test_a_dated_url_is_fetched_for_yesterday_and_today(serve: Serve, tmp_path: Path) -> None:
    """A day's list still grows after its first capture."""
    server = serve({}, "/papers?date={date}")
    done = newsletter("ingest", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert len(rows_of(done)) == 2
    days = [request.path.partition("date=")[2] for request in server.requests]
    assert len(days) == 2
    assert days == sorted(days)
    assert [row["path"].partition("date=")[2] for row in rows_of(done)] == days


def test_a_private_address_needs_allow_private(serve: Serve, tmp_path: Path) -> None:
    """Without it, no request is made."""
    server = serve({"/papers": reply(DAY)})
    config = (tmp_path / "config.toml").read_text().replace("allow_private = true\n", "")
    (tmp_path / "config.toml").write_text(config)
    done = newsletter("ingest", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert "private" in json.dumps(rows_of(done)) or "loopback" in json.dumps(rows_of(done))
    assert server.requests == []
