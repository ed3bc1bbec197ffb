"""Servers that refuse all mail: few deliveries are affected, none is lost or suppressed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.commands import rows_of
from tests.support.newsroom import Newsroom, summary
from tests.support.smtp_process import Fault, MailServer
from tests.support.soak import SOAK

MANY = 2_000 if SOAK else 300
DOMAINS = 40
SESSIONS = 4
MOST = 40
"""Subscribers that a storm may affect."""
SUBSCRIBERS = [f"reader{number}@d{number % DOMAINS}.example" for number in range(MANY)]
ONE_DOMAIN = [f"reader{number}@big.example" for number in range(MANY)]

STORMS = {
    "relaying denied": Fault("RCPT", "550 5.7.1 relaying denied"),
    "relay access denied": Fault("RCPT", "554 5.4.1 relay access denied"),
    "bad sender": Fault("RCPT", "550 5.1.8 bad sender"),
    "rejected": Fault("RCPT", "550 5.1.0 rejected"),
    "no reason": Fault("RCPT", "550 no"),
    "no such user": Fault("RCPT", "550 5.1.1 no such user"),
    "disabled": Fault("RCPT", "550 5.2.1 disabled"),
    "policy at the dot": Fault("dot", "550 5.7.1 looks like spam"),
    "no reason at the dot": Fault("dot", "554 no"),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A server that works until a test plans a fault."""
    with MailServer(tmp_path / "server") as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, server: MailServer) -> Newsroom:
    """A newsletter with papers that sends with several sessions."""
    made = Newsroom(tmp_path / "room", server.port, sessions=SESSIONS)
    made.add_papers()
    return made


def assert_all_served_once(room: Newsroom, server: MailServer, subscribers: list[str]) -> None:
    """Checks that every subscriber gets the edition once, now that the cause is gone."""
    server.plan()
    assert room.command("continue").returncode == 0
    room.run()
    room.run()
    arrived = server.recipients()
    arrived.pop("owner@papers.example", None)
    assert arrived == dict.fromkeys(subscribers, 1)
    assert room.people("active") == set(subscribers)
    assert room.silence().startswith("nothing new")


USUAL = ("relaying denied", "no such user", "no reason", "policy at the dot")
"""The storms of each test run; the long one has all of them."""


@pytest.mark.parametrize(
    ("storm", "subscribers"),
    [
        *((storm, SUBSCRIBERS) for storm in (STORMS if SOAK else USUAL)),
        *((storm, ONE_DOMAIN) for storm in USUAL[: 4 if SOAK else 1]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0].partition("@")[2],
)
def test_a_relay_that_refuses_every_recipient(
    room: Newsroom, server: MailServer, storm: str, subscribers: list[str]
) -> None:
    """After three more runs few are affected; `status` says why and what to do."""
    server.plan(STORMS[storm])
    room.subscribe(subscribers)
    for _ in range(3):
        done = room.run()
        assert done.returncode == 3
        said = summary(done)
        assert (said["sent"], said["suppressed"]) == (0, 0)
        assert said["refused"] <= MOST
    rows = [row for row in room.deliveries() if row["address"] in subscribers]
    touched = [row for row in rows if row["attempts"]]
    assert 0 < len(touched) <= MOST
    assert room.people("suppressed") == set()
    assert room.states_of(subscribers)["refused"] == 0
    said_now = room.silence()
    assert said_now.startswith(f"held: {MANY - len(touched):,} mails have been waiting since ")
    assert STORMS[storm].say in said_now
    assert "newsletter continue" in said_now
    assert_all_served_once(room, server, subscribers)


def test_one_domain_that_refuses_does_not_affect_the_others(
    room: Newsroom, server: MailServer
) -> None:
    """They get their mail in the same run."""
    server.plan(replace(STORMS["relaying denied"], to="*@big.example"))
    room.subscribe([*ONE_DOMAIN, *SUBSCRIBERS])
    done = room.run()
    assert summary(done)["sent"] == len(SUBSCRIBERS)
    assert summary(done)["deferred"] <= MOST
    assert [row["domain"] for row in summary(done)["breakers"]] == ["big.example"]
    assert "mail to big.example has been held back" in room.silence()
    server.plan()
    room.command("continue")
    room.run()
    arrived = server.recipients()
    arrived.pop("owner@papers.example", None)
    assert arrived == dict.fromkeys([*ONE_DOMAIN, *SUBSCRIBERS], 1)


def test_a_relay_that_breaks_during_a_run(room: Newsroom, server: MailServer) -> None:
    """Mail sent before stays sent; few deliveries are affected after it."""
    server.plan(replace(STORMS["no such user"], skip=MANY // 2))
    room.subscribe(SUBSCRIBERS)
    said = summary(room.run())
    assert said["sent"] == MANY // 2
    assert said["deferred"] + said["refused"] <= MOST
    assert room.people("suppressed") == set()
    assert_all_served_once(room, server, SUBSCRIBERS)


@pytest.mark.parametrize("take", [True, False])
def test_a_server_that_hangs_up_at_the_dot(room: Newsroom, server: MailServer, take: bool) -> None:
    """Their results are unknown: few are risked, and none is sent again by itself."""
    server.plan(Fault("dot", drop=True, take=take))
    room.subscribe(SUBSCRIBERS)
    for _ in range(3):
        done = room.run()
        assert (done.returncode, summary(done)["sent"]) == (3, 0)
    unknown = {row["address"] for row in room.deliveries("unknown")} & set(SUBSCRIBERS)
    assert 0 < len(unknown) <= MOST
    assert "may or may not have arrived" in room.silence()
    server.plan()
    room.command("continue")
    room.run()
    arrived = server.recipients()
    arrived.pop("owner@papers.example", None)
    assert arrived == dict.fromkeys(set(SUBSCRIBERS) - (set() if take else unknown), 1)


def test_mail_lost_by_a_reset_in_data_is_retried(room: Newsroom, server: MailServer) -> None:
    """It cannot have arrived: the mails wait, and are all sent once when it is over."""
    server.plan(Fault("content", drop=True))
    room.subscribe(SUBSCRIBERS)
    assert summary(room.run())["sent"] == 0
    unknown = {row["address"] for row in room.deliveries("unknown")} & set(SUBSCRIBERS)
    assert len(unknown) <= MOST
    server.plan()
    room.command("continue")
    room.command("deliveries", "retry", "--state", "deferred")
    room.run()
    arrived = server.recipients()
    arrived.pop("owner@papers.example", None)
    assert arrived == dict.fromkeys(set(SUBSCRIBERS) - unknown, 1)


def test_single_refusals_in_a_healthy_run_suppress_as_usual(
    room: Newsroom, server: MailServer
) -> None:
    """One address in a hundred no longer has a mailbox."""
    many = 5_000 if SOAK else 1_000
    subscribers = [f"reader{number}@d{number % 397}.example" for number in range(many)]
    gone = {one for number, one in enumerate(subscribers) if number % 100 == 37}
    server.plan(*(Fault("RCPT", "550 5.1.1 no such user", to=one) for one in gone))
    room.subscribe(subscribers)
    said = summary(room.run())
    assert (said["sent"], said["refused"]) == (many - len(gone), len(gone))
    assert (said["suppressed"], said["breakers"], said["stopped"]) == (len(gone), [], None)
    assert room.people("suppressed") == gone
    assert room.silence().startswith("nothing new")
    assert_lifted(room, gone)


def assert_lifted(room: Newsroom, gone: set[str]) -> None:
    """One command lifts their suppression, and one sends them the edition again."""
    lifted = rows_of(room.command("suppressions", "undo", "--since", "1h", "--json"))
    assert {row["address"] for row in lifted} == gone
    assert room.people("suppressed") == set()
    edition = room.deliveries("refused")[0]["edition"]
    (row,) = rows_of(room.command("deliveries", "retry", "--edition", edition, "--json"))
    assert row["queued"] == len(gone)


def test_a_refused_edition_is_reported_until_it_is_decided(
    room: Newsroom, server: MailServer
) -> None:
    """The operator sends it again as a whole, or acknowledges it."""
    subscribers = SUBSCRIBERS[:100]
    server.plan(*(Fault("RCPT", "550 no", to=one, times=1) for one in subscribers[::50]))
    room.subscribe(subscribers)
    assert summary(room.run())["refused"] == 2
    assert room.silence().startswith("held: 2 mails were refused, the first on ")
    room.command("deliveries", "settle", "--state", "refused")
    assert room.silence().startswith("nothing new")
    edition = room.deliveries("refused")[0]["edition"]
    room.command("deliveries", "retry", "--edition", edition)
    assert summary(room.run())["sent"] == 2
    assert Counter(room.states().values()) == {"sent": 100}


def test_half_of_the_connections_fail(room: Newsroom, server: MailServer) -> None:
    """As long as other mail gets through, each of them is retried."""
    server.plan(
        *(Fault("connect", "554 5.3.2 no", drop=True, times=1, skip=n) for n in range(0, 60, 2))
    )
    room.subscribe(SUBSCRIBERS[:100])
    done = room.run()
    assert (summary(done)["sent"], summary(done)["stopped"]) == (100, None)


# --- reasons shown instead of "nothing new"


def test_mail_left_by_a_killed_run_is_reported(room: Newsroom, server: MailServer) -> None:
    """The report has the number waiting, since when, and the number that may have arrived."""
    room.subscribe(SUBSCRIBERS)
    run = room.start()
    assert server.wait_until(lambda one: one.count() >= 20, run)
    run.kill()
    run.communicate()
    waiting = room.states_of(SUBSCRIBERS)["queued"]
    assert waiting
    assert room.silence().startswith(f"held: {waiting:,} mails have been waiting since ")
    assert "`newsletter run` sends them" in room.silence()


def test_deferred_mail_is_reported(room: Newsroom, server: MailServer) -> None:
    """The reason includes the server's reply."""
    server.plan(Fault("RCPT", "451 4.7.1 greylisted"))
    subscribers = SUBSCRIBERS[:50]
    room.subscribe(subscribers)
    room.run()
    said = room.silence()
    assert said.startswith("held: 50 mails were deferred, the first on ")
    assert "(451 4.7.1 greylisted)" in said
