"""A service under load that is killed and restarted at random."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.support.newsroom import Newsroom
from tests.support.ports import free_port
from tests.support.sending import (
    Process,
    assert_served,
    copied,
    kill,
    states,
    wait_a_while,
)
from tests.support.smtp_process import MailServer
from tests.support.soak import SOAK

SESSIONS = 8
ROUNDS = 40 if SOAK else 1
DEATHS_A_ROUND = 6


def begin(room: Newsroom) -> Process:
    """Starts the service on a free port."""
    port = {"NEWSLETTER__WEB__PORT": str(free_port())}
    return room.start("serve", "--log", "json", environment=port)


@pytest.mark.timeout(4 * 3600)
def test_killed_and_restarted_under_load(template: Path, tmp_path: Path) -> None:
    """No subscriber is missed or mailed twice, and a kill leaves one unknown mail per session."""
    dice = random.Random(5)
    interrupted = 0
    for round_ in range(ROUNDS):
        with MailServer(tmp_path / f"server{round_}") as server:
            room = copied(template, tmp_path / str(round_), server, sessions=SESSIONS)
            with room.opened() as app:
                assert all(report.held is None for report in app.sources.ingest_configured())
                app.planner.plan(due_now=True)
            doubtful = 0
            for _ in range(DEATHS_A_ROUND):
                service = begin(room)
                assert wait_a_while(server, service, dice)
                assert kill(service)
                left = states(room)
                before, doubtful = doubtful, left["sending"] + left["unknown"]
                assert before <= doubtful <= before + SESSIONS
                interrupted += doubtful > before
            assert assert_served(room, server, doubtful) == doubtful
    assert interrupted >= ROUNDS  # otherwise this tests nothing


def test_stopped_under_load(template: Path, tmp_path: Path) -> None:
    """It exits with status 0 and leaves nothing unknown; the next one continues."""
    dice = random.Random(6)
    with MailServer(tmp_path / "server") as server:
        room = copied(template, tmp_path / "room", server, sessions=SESSIONS)
        with room.opened() as app:
            assert all(report.held is None for report in app.sources.ingest_configured())
            app.planner.plan(due_now=True)
        for _ in range(3):
            service = begin(room)
            assert wait_a_while(server, service, dice)
            service.send_signal(signal.SIGTERM)
            _, logged = service.communicate(timeout=15)
            assert service.returncode == 0, logged
            left = states(room)
            assert left["sending"] + left["unknown"] == 0
            assert left["queued"] + left["sent"] == sum(left.values())
        assert assert_served(room, server, 0) == 0
