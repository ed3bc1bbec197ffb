"""Failing servers, through the command line: what happens to mails, subscribers and the run.

What would take days, or longer than the usual time-outs, runs in this process, with a clock that
the test sets and a transport with short time-outs.
"""

from __future__ import annotations

import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from newsletter.app.composition import App
from newsletter.app.factories import limits, origin
from newsletter.config.file import load_config
from newsletter.delivery.personalise import Personaliser
from newsletter.delivery.recorder import RunSummary
from newsletter.delivery.run import DeliveryRun
from newsletter.delivery.workers import OPENINGS
from newsletter.models import DeliveryState as State
from newsletter.planning.plan import PlanResult
from newsletter.storage import deliveries
from newsletter.storage.database import Database
from newsletter.storage.deliveries import Filter
from newsletter.subscribers.lifecycle import address_of
from newsletter.transports.smtp import Smtp
from newsletter.transports.wire import SmtpSettings
from tests.support.certificates import certificate
from tests.support.commands import assert_one_line_each, rows_of
from tests.support.newsroom import Newsroom, summary
from tests.support.smtp_process import Fault, MailServer

ANA, BEN, CLEO, DAN, EVA = (
    f"{name}@{name}.example" for name in ("ana", "ben", "cleo", "dan", "eva")
)
ALL_SUBSCRIBERS = (ANA, BEN, CLEO, DAN, EVA)
OWNER = "owner@papers.example"

POLICY = "550 5.7.1 we do not like you"

Serve = Callable[..., MailServer]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A server that works until a test plans a fault."""
    with MailServer(tmp_path / "server") as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, server: MailServer) -> Newsroom:
    """A newsletter with papers and without subscribers, which sends one mail at a time."""
    made = Newsroom(tmp_path / "room", server.port, sessions=1)
    made.add_papers()
    return made


# Replies of servers


IN_PLACE = {
    # name: the server's reply, the stage, and the resulting state
    "rcpt-421": (Fault("RCPT", "421 4.3.2 closing", drop=True, times=1), "sent"),
    "rcpt-450": (Fault("RCPT", "450 4.2.1 busy"), "deferred"),
    "rcpt-451": (Fault("RCPT", "451 4.7.1 greylisted"), "deferred"),
    "rcpt-452": (Fault("RCPT", "452 4.2.2 full"), "deferred"),
    "rcpt-550": (Fault("RCPT", "550 no"), "refused"),
    "rcpt-550-5.1.1": (Fault("RCPT", "550 5.1.1 no such user"), "refused"),
    "rcpt-550-5.1.10": (Fault("RCPT", "550 5.1.10 null MX"), "refused"),
    "rcpt-550-5.2.1": (Fault("RCPT", "550 5.2.1 disabled"), "refused"),
    "rcpt-550-5.1.2": (Fault("RCPT", "550 5.1.2 bad domain"), "deferred"),
    "rcpt-550-5.7.1": (Fault("RCPT", "550 5.7.1 blocked"), "deferred"),
    "rcpt-552": (Fault("RCPT", "552 too much"), "deferred"),
    "rcpt-552-5.2.2": (Fault("RCPT", "552 5.2.2 full"), "deferred"),
    "rcpt-554": (Fault("RCPT", "554 no"), "refused"),
    "rcpt-571": (Fault("RCPT", "571 blocked"), "deferred"),
    "data-421": (Fault("DATA", "421 4.3.2 closing", drop=True, times=1), "sent"),
    "data-450": (Fault("DATA", "450 4.2.1 busy"), "deferred"),
    "data-451": (Fault("DATA", "451 4.3.0 later"), "deferred"),
    "data-452": (Fault("DATA", "452 4.3.1 no room"), "deferred"),
    "data-550": (Fault("DATA", "550 no"), "refused"),
    "data-552": (Fault("DATA", "552 too large"), "deferred"),
    "data-554": (Fault("DATA", "554 no"), "refused"),
    "data-571": (Fault("DATA", "571 blocked"), "deferred"),
    "data-550-5.7.1": (Fault("DATA", "550 5.7.1 blocked"), "deferred"),
    "dot-421": (Fault("dot", "421 4.3.2 closing", drop=True), "deferred"),
    "dot-450": (Fault("dot", "450 4.2.1 busy"), "deferred"),
    "dot-451": (Fault("dot", "451 4.3.0 later"), "deferred"),
    "dot-452": (Fault("dot", "452 4.3.1 no room"), "deferred"),
    "dot-550": (Fault("dot", "550 no"), "refused"),
    "dot-550-5.1.1": (Fault("dot", "550 5.1.1 no such user"), "deferred"),
    "dot-552": (Fault("dot", "552 5.2.3 too large"), "deferred"),
    "dot-554": (Fault("dot", "554 looks like spam"), "refused"),
    "dot-571": (Fault("dot", "571 blocked"), "deferred"),
    "dot-550-5.7.1": (Fault("dot", "550 5.7.1 blocked"), "deferred"),
    "fine": (Fault("QUIT"), "sent"),
}
GONE = {"rcpt-550-5.1.1", "rcpt-550-5.1.10", "rcpt-550-5.2.1"}
AGAIN = {"rcpt-421", "data-421"}
HEALTHY = 20
"""Accepted mails for each refused one, so that the share of refusals is usual."""


def fine(many: int) -> list[str]:
    """Returns this many more subscribers, at domains that accept everything."""
    return [f"fine{number}@fine{number % 61}.example" for number in range(many)]


def among(subscribers: Iterable[str]) -> list[str]:
    """Returns these subscribers, each followed by many whose mail is accepted."""
    found: list[str] = []
    for number, one in enumerate(subscribers):
        found += [one, *fine((number + 1) * HEALTHY)[number * HEALTHY :]]
    return found


@pytest.mark.parametrize("pipelining", [True, False])
def test_states_after_each_reply(room: Newsroom, server: MailServer, pipelining: bool) -> None:
    """Only a reply that says so suppresses the subscriber."""
    subscribers = {name: f"{name}@{name}.example" for name in IN_PLACE}
    faults = [replace(fault, to=subscribers[name]) for name, (fault, _) in IN_PLACE.items()]
    extensions = ("PIPELINING", "8BITMIME") if pipelining else ("8BITMIME",)
    server.plan(*faults, extensions=extensions)
    addresses = among(subscribers.values())
    room.subscribe(addresses)
    done = room.run()
    said = summary(done)
    listed = rows_of(room.command("deliveries", "--json"))
    assert listed == room.deliveries()
    rows = {row["address"].partition("@")[0]: row for row in listed}
    assert {name: rows[name]["state"] for name in IN_PLACE} == {
        name: state for name, (_, state) in IN_PLACE.items()
    }
    for name, (fault, state) in IN_PLACE.items():
        row = rows[name]
        assert row["attempts"] == (2 if name in AGAIN else 1)
        assert (row["try_at"] is not None) == (state == "deferred")
        if state != "sent":
            assert row["reply"] == fault.say
    counts = Counter(state for _, state in IN_PLACE.values())
    counts["sent"] += HEALTHY * len(IN_PLACE)
    assert {state: said[state] for state in counts} == counts
    assert (done.returncode, said["unknown"], said["stopped"]) == (3, 0, None)
    assert said["suppressed"] == len(GONE)
    assert room.people("suppressed") == {subscribers[name] for name in GONE}
    assert len(room.people("active")) == len(addresses) - len(GONE)
    taken = server.recipients()
    refused = {subscribers[name] for name in IN_PLACE.keys() - AGAIN - {"fine"}}
    assert taken == dict.fromkeys(set(addresses) - refused, 1)


def test_replies_to_the_sender(room: Newsroom, server: MailServer) -> None:
    """None of them is about a recipient: each mail waits, and no subscriber is suppressed."""
    said = (
        *("450 4.2.1 busy", "451 later", "452 4.3.1 no room"),
        *("550 no", "552 5.3.4 too large", "554 no", "571 blocked", POLICY),
    )
    subscribers = fine((len(said) + 1) * HEALTHY)
    server.plan(
        *(Fault("MAIL", say, times=1, skip=number * HEALTHY) for number, say in enumerate(said)),
        Fault("MAIL", "421 4.3.2 closing", drop=True, times=1, skip=len(said) * HEALTHY),
    )
    room.subscribe(subscribers)
    done = room.run()
    rows = room.deliveries()
    put_off = [row for row in rows if row["state"] == "deferred"]
    assert [row["reply"] for row in put_off] == list(said)
    assert Counter(row["state"] for row in rows) == {
        "deferred": len(said),
        "sent": len(subscribers) - len(said),
    }
    assert sum(row["attempts"] == 2 for row in rows) == 1
    assert (done.returncode, summary(done)["stopped"]) == (3, None)
    assert room.people("active") == set(subscribers)


@pytest.mark.parametrize("at", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "dot"])
def test_a_server_that_wants_a_login(room: Newsroom, server: MailServer, at: str) -> None:
    """535 stops the run at any stage, at once and for all subscribers."""
    server.plan(Fault(at, "535 5.7.8 who are you?"))
    room.subscribe(ALL_SUBSCRIBERS)
    assert_stopped(room, server, "535 5.7.8 who are you?", tried=at not in ("connect", "EHLO"))


def assert_stopped(room: Newsroom, server: MailServer, why: str, *, tried: int) -> None:
    """Checks that the run gives the reason and exits with 3, and that untried mails wait."""
    done = room.run()
    said = summary(done)
    assert done.returncode == 3
    assert_one_line_each(done)
    assert why in said["stopped"]
    assert (said["sent"], said["refused"], said["suppressed"]) == (0, 0, 0)
    states = room.states_of(ALL_SUBSCRIBERS)
    assert states == +Counter(deferred=int(tried), queued=len(ALL_SUBSCRIBERS) - tried)
    # Mails held back by the breaker are not deferred.
    assert said["queued"] == (len(ALL_SUBSCRIBERS) if tried > 1 else states["queued"])
    assert room.people("active") == set(ALL_SUBSCRIBERS)
    assert server.count() == 0


# Policy


@pytest.mark.parametrize(
    ("at", "say"),
    [
        ("MAIL", POLICY),
        ("DATA", POLICY),
        ("dot", POLICY),
        ("dot", "571 go away"),
        ("dot", "554 5.7.26 unauthenticated"),
    ],
)
def test_three_refusals_stop_the_run_for_a_small_list(
    room: Newsroom, server: MailServer, at: str, say: str
) -> None:
    """The others are not tried, and all subscribers get their mail when the cause is gone."""
    server.plan(Fault(at, say))
    room.subscribe(ALL_SUBSCRIBERS)
    assert_stopped(room, server, say, tried=3)
    server.plan()
    assert summary(room.run())["sent"] == 0  # the breaker is open
    assert room.command("continue").returncode == 0
    assert summary(room.run())["sent"] == len(ALL_SUBSCRIBERS)


def test_a_domain_that_refuses_the_sender_is_held_back(room: Newsroom, server: MailServer) -> None:
    """It is stopped after five refusals; others get their mail, and this one after `continue`."""
    server.plan(Fault("dot", POLICY, to="*@big.example"))
    big = [f"reader{number}@big.example" for number in range(25)]
    others = [f"reader@d{number}.example" for number in range(25)]
    room.subscribe([*big, *others])
    done = room.run()
    assert (done.returncode, summary(done)["deferred"], summary(done)["sent"]) == (3, 5, 25)
    assert room.states_of([*big, *others]) == {"deferred": 5, "queued": 20, "sent": 25}
    assert not room.people("suppressed")
    (circuit,) = summary(done)["breakers"]
    assert circuit["domain"] == "big.example"
    assert POLICY in circuit["reason"]
    server.plan()
    assert summary(room.run())["sent"] == 0
    room.command("continue")
    assert summary(room.run())["sent"] == 25
    arrived = server.recipients()
    assert {one: arrived[one] for one in [*big, *others]} == dict.fromkeys([*big, *others], 1)


# Missing mailboxes


def test_waiting_mail_to_a_missing_mailbox_is_cancelled(room: Newsroom, server: MailServer) -> None:
    """An earlier edition for this subscriber is cancelled too, but no other subscriber's mail."""
    room.subscribe([ANA, BEN])
    server.plan(Fault("RCPT", "451 4.3.0 later"))
    assert summary(room.run())["deferred"] == 2
    room.add_papers()
    server.plan(Fault("RCPT", "550 5.1.1 no such user", to=ANA))
    done = room.run()
    assert (summary(done)["refused"], summary(done)["suppressed"]) == (1, 1)
    assert [(row["address"], row["state"]) for row in room.deliveries()] == [
        (ANA, "cancelled"),
        (BEN, "deferred"),
        (ANA, "refused"),
        (BEN, "sent"),
    ]
    assert room.people("suppressed") == {ANA}
    room.add_papers()
    assert summary(room.run())["planned"] == 1
    refused = room.command("subscribers", "add", ANA)
    assert refused.returncode == 2
    assert "no such mailbox (5.1.1)" in refused.stderr


def test_three_editions_refused_without_a_reason(room: Newsroom, server: MailServer) -> None:
    """Three in a row suppress the subscriber; a mail that arrives resets the count.

    A refusal for the message's size or because of its sender never counts.
    """
    never = {
        f"never{number}@many.example": Fault("RCPT", say)
        for number, say in enumerate(
            ("552 full", "554 no", "571 blocked", "550 5.5.0 what?", "452 full")
        )
    }
    never |= {"dot@many.example": Fault("dot", "550 no")}
    faults = [replace(fault, to=address) for address, fault in never.items()]
    always = Fault("RCPT", "550 no", to=ANA)
    sometimes = Fault("RCPT", "550 no", to=BEN)
    room.subscribe([*fine(50), ANA, *fine(100)[50:], BEN, *never])
    suppressed = []
    for edition, ben in enumerate([sometimes, sometimes, None, sometimes, sometimes]):
        server.plan(always, *filter(None, [ben]), *faults)
        suppressed.append(summary(room.run())["suppressed"])
        assert room.people("suppressed") == (set() if edition < 2 else {ANA})
        room.add_papers()
    assert suppressed == [0, 0, 1, 0, 0]
    server.plan(sometimes)
    assert summary(room.run())["suppressed"] == 1
    assert room.people("suppressed") == {ANA, BEN}


def test_one_edition_tried_again_counts_once(room: Newsroom, server: MailServer) -> None:
    """However often the operator retries two editions, they do not count as three."""
    server.plan(Fault("RCPT", "550 no", to=ANA))
    room.subscribe([ANA, *fine(50)])
    for _ in range(2):
        assert summary(room.run())["refused"] == 1
        room.add_papers()
    room.configure(server.port, sources=False, sessions=1)
    for _ in range(2):
        assert room.command("deliveries", "retry", "--address", ANA).returncode == 0
        done = room.run()
        assert (summary(done)["refused"], summary(done)["suppressed"]) == (2, 0)
    assert ANA in room.people("active")


# Lost connections


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_message(room: Newsroom, server: MailServer, at: str) -> None:
    """A message that cannot have arrived is sent again in the same run."""
    server.plan(Fault(at, drop=True, times=1))
    room.subscribe([ANA, BEN])
    done = room.run()
    assert (done.returncode, summary(done)["sent"]) == (0, 2), done
    assert [row["attempts"] for row in room.deliveries()] == [2, 1]
    assert server.recipients() == {ANA: 1, BEN: 1}


def test_a_connection_lost_repeatedly(room: Newsroom, server: MailServer) -> None:
    """After the second time the mail waits."""
    server.plan(Fault("RCPT", drop=True))
    room.subscribe([ANA])
    done = room.run()
    assert (done.returncode, summary(done)["deferred"]) == (3, 1)
    (row,) = room.deliveries()
    assert (row["state"], row["attempts"]) == ("deferred", 2)
    assert row["try_at"] > row["changed_at"]


def test_a_connection_lost_within_the_message(room: Newsroom, server: MailServer) -> None:
    """All of the message may have been written, so it is unknown and not sent again."""
    server.plan(Fault("content", drop=True, times=1))
    room.subscribe([ANA, BEN])
    done = room.run()
    states = room.states()
    assert states[BEN] == "sent"
    assert states[ANA] == ("sent" if ANA in server.recipients() else "unknown")
    assert done.returncode == (0 if states[ANA] == "sent" else 3)
    assert set(server.recipients().values()) == {1}


def lost_after_the_dot(room: Newsroom, server: MailServer) -> None:
    """Two mails were written completely and got no reply; one of them arrived."""
    server.plan(
        Fault("dot", drop=True, take=True, to=ANA, times=1),
        Fault("dot", drop=True, to=BEN, times=1),
    )
    room.subscribe([ANA, BEN, CLEO])
    done = room.run()
    assert (done.returncode, summary(done)["unknown"], summary(done)["sent"]) == (3, 2, 1)
    assert room.states() == {ANA: "unknown", BEN: "unknown", CLEO: "sent", OWNER: "sent"}


def test_a_connection_lost_after_the_dot(room: Newsroom, server: MailServer) -> None:
    """It is unknown whether the mail arrived, until the operator decides."""
    lost_after_the_dot(room, server)
    done = room.run()
    assert (done.returncode, summary(done)["sent"], summary(done)["unknown"]) == (0, 0, 0)
    assert server.recipients() == {ANA: 1, CLEO: 1, OWNER: 1}
    room.command("deliveries", "settle", "--as", "sent", "--address", ANA)
    room.command("deliveries", "retry", "--state", "unknown")
    assert summary(room.run())["sent"] == 1
    assert server.recipients() == {
        ANA: 1,
        BEN: 1,
        CLEO: 1,
        OWNER: 2,
    }  # and the owner gets the all-clear
    assert set(room.states().values()) == {"sent"}


def test_unknown_mails_are_sent_again_if_configured(room: Newsroom, server: MailServer) -> None:
    """A mail that arrives twice has the same Message-ID."""
    lost_after_the_dot(room, server)
    room.configure(server.port, unknown="resend", sessions=1)
    done = room.run()
    assert (done.returncode, summary(done)["sent"], summary(done)["unknown"]) == (0, 2, 0)
    assert set(room.states().values()) == {"sent"}
    ids = {(one.recipient, one.message_id) for one in server.taken() if one.recipient != OWNER}
    assert {address for address, _ in ids} == {ANA, BEN, CLEO}
    assert len(ids) == len({name for _, name in ids}) == 3
    assert server.recipients()[ANA] == 2
    assert summary(room.run())["sent"] == 0


def finished(run: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Waits for the end of a run and returns its result."""
    out, err = run.communicate(timeout=60)
    return subprocess.CompletedProcess(run.args, run.returncode, out, err)


def test_the_server_dies(tmp_path: Path, room: Newsroom, server: MailServer) -> None:
    """Mails being sent are unknown; the rest waits, and is sent once the server is back."""
    subscribers = [f"reader{number}@many.example" for number in range(100)]
    room.subscribe(subscribers)
    room.configure(server.port, sessions=4)
    server.plan(Fault("dot", stall=0.01))
    run = room.start()
    assert server.wait_until(lambda one: one.count() >= 20, run)
    server.kill()
    done = finished(run)
    said = summary(done)
    assert done.returncode == 3
    assert_one_line_each(done)
    assert "refused" in said["stopped"]  # the connection, by the system
    assert said["unknown"] <= 4
    assert said["sent"] <= server.count() <= said["sent"] + said["unknown"]
    assert said["sent"] + said["unknown"] + said["queued"] == len(subscribers)
    with MailServer(tmp_path / "server", port=server.port) as again:
        assert summary(room.run())["sent"] == said["queued"]
        arrived = again.recipients()
        unknown = {row["address"] for row in room.deliveries("unknown")}
        arrived.pop(OWNER, None)
        assert set(arrived.values()) == {1}
        assert set(subscribers) - arrived.keys() <= unknown


@pytest.mark.parametrize("say", ["421 4.3.2 busy", "450 4.7.0 later", "554 5.7.1 never"])
def test_a_server_that_refuses_connections(room: Newsroom, server: MailServer, say: str) -> None:
    """The run tries a few times, since a name may have several servers; then all mails wait."""
    server.plan(Fault("connect", say, drop=True))
    room.subscribe(ALL_SUBSCRIBERS)
    assert_stopped(room, server, say, tried=0)
    assert server.reached("connection") == OPENINGS


# Security


@pytest.fixture
def right(tmp_path: Path) -> str:
    """A certificate for this machine."""
    return str(certificate(tmp_path, "IP:127.0.0.1"))


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch, right: str) -> None:
    """The system trusts this certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", right)


def secured(room: Newsroom, server: MailServer, security: str, **smtp: str) -> None:
    """Configures this security, and five subscribers."""
    room.configure(server.port, smtp={"security": security, **smtp}, sessions=1)
    room.subscribe(ALL_SUBSCRIBERS)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_mail_is_sent_after_a_login(
    room: Newsroom, server: MailServer, right: str, security: str
) -> None:
    """With the right certificate and the right password everything is sent."""
    server.plan(certificate=right, starttls=security == "starttls", password="light")
    secured(room, server, security, username="papers", password="light")
    done = room.run()
    assert (done.returncode, summary(done)["sent"]) == (0, 5), done


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("said", ["535 5.7.8 bad credentials", "454 4.7.0 not now"])
def test_a_login_that_fails(room: Newsroom, server: MailServer, right: str, said: str) -> None:
    """A login that is refused stops the run at once; after a temporary failure it is retried."""
    password = "light" if said.startswith("4") else "dark"
    server.plan(Fault("AUTH", said), certificate=right, password="light")
    secured(room, server, "tls", username="papers", password=password)
    assert_stopped(room, server, said, tried=0)
    assert server.reached("connection") == (1 if said.startswith("535") else OPENINGS)


def test_an_unknown_certificate(room: Newsroom, server: MailServer, right: str) -> None:
    """Nothing is sent to a server that may be another one, not even our name."""
    server.plan(certificate=right)
    secured(room, server, "tls")
    assert_stopped(room, server, "certificate is not valid", tried=0)
    assert server.reached("EHLO") == 0


def test_a_certificate_for_another_name(
    room: Newsroom, server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted certificate for another machine is not accepted."""
    wrong = certificate(tmp_path, "DNS:mail.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(wrong))
    server.plan(certificate=str(wrong), starttls=True)
    secured(room, server, "starttls")
    assert_stopped(room, server, "certificate is not valid", tried=0)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("say", ["", "502 5.5.1 not here", "554 5.7.3 no"])
def test_no_starttls(room: Newsroom, server: MailServer, right: str, say: str) -> None:
    """Whether it is not offered or refused, no mail is sent unencrypted."""
    if say:
        server.plan(Fault("STARTTLS", say), certificate=right, starttls=True)
    secured(room, server, "starttls")
    assert_stopped(room, server, say or "does not offer STARTTLS", tried=0)


def test_a_server_with_a_small_size_limit(room: Newsroom, server: MailServer) -> None:
    """A mail that is larger than the server accepts is not started."""
    server.plan(size=2_000)
    room.subscribe(ALL_SUBSCRIBERS)
    assert_stopped(room, server, "the server accepts 2000", tried=1)
    assert server.reached("MAIL") == 0


# Limits


def test_the_rate_per_second(room: Newsroom, server: MailServer) -> None:
    """All sessions share one rate."""
    room.subscribe(f"reader{number}@many.example" for number in range(21))
    room.configure(server.port, sessions=4, max_per_second=20)
    said = summary(room.run())
    assert said["sent"] == server.count() == 21
    assert said["seconds"] >= 1.0


def test_the_limit_per_day(room: Newsroom, server: MailServer) -> None:
    """It applies to all runs together; further mails wait, and the exit status says so."""
    room.subscribe(f"reader{number}@many.example" for number in range(12))
    room.configure(server.port, sessions=4, max_per_day=7)
    first, second = room.run(), room.run()
    assert (first.returncode, summary(first)["sent"], summary(first)["queued"]) == (3, 7, 5)
    assert (second.returncode, summary(second)["sent"], summary(second)["queued"]) == (3, 0, 5)
    room.configure(server.port, sessions=4, max_per_day=9)
    assert summary(room.run())["sent"] == 2
    assert server.count() == 9


def test_a_slow_domain_delays_no_other(room: Newsroom, server: MailServer) -> None:
    """Its mails are sent at their rate, and the others pass them."""
    slow = [f"reader{number}@slow.example" for number in range(4)]
    room.subscribe([*slow, *(f"reader{number}@many.example" for number in range(40))])
    room.configure(server.port, sessions=2, per_domain={"slow.example": 1.0})
    said = summary(room.run())
    assert said["sent"] == 44
    assert said["seconds"] >= 3.0
    assert server.taken()[-1].recipient in slow


# Pausing, and subscribers who leave


def test_pause_and_continue(room: Newsroom, server: MailServer) -> None:
    """While all sending is stopped nothing is sent; a run says so, and exits with 0."""
    room.subscribe([ANA])
    room.command("pause")
    done = room.run()
    assert (done.returncode, server.count()) == (0, 0)
    assert summary(done)["silence"].startswith("paused")
    assert room.command("send-test", BEN).returncode == 3
    room.command("continue")
    assert summary(room.run())["sent"] == 1
    assert server.recipients() == {ANA: 1}


def test_a_pause_stops_a_run(room: Newsroom, server: MailServer) -> None:
    """A run in progress ends between two mails, and the next one continues."""
    room.subscribe(ALL_SUBSCRIBERS)
    server.plan(Fault("dot", stall=1.0, times=1))
    run = room.start()
    assert server.wait_until(lambda one: one.count() == 1, run)
    with room.opened() as app:
        app.sending.pause()
    done = finished(run)
    assert (done.returncode, summary(done)["sent"], summary(done)["queued"]) == (3, 1, 4)
    assert "newsletter continue" in summary(done)["stopped"]
    assert_one_line_each(done)
    room.command("continue")
    assert summary(room.run())["sent"] == 4
    assert server.recipients() == dict.fromkeys(ALL_SUBSCRIBERS, 1)


def test_subscribers_who_leave_before_their_mail_is_sent(
    room: Newsroom, server: MailServer
) -> None:
    """Those who left get nothing, even by a retry; those who paused get it when they resume."""
    server.plan(Fault("connect", "554 5.3.2 no", drop=True))
    room.subscribe(ALL_SUBSCRIBERS)
    assert summary(room.run())["queued"] == 5
    server.plan()
    with room.opened() as app:
        app.subscribers.lifecycle.unsubscribe(address_of(ANA))
        app.subscribers.lifecycle.pause(address_of(BEN))
        app.subscribers.lifecycle.remove(address_of(CLEO))
    assert len(room.deliveries("cancelled")) == 3
    room.command("deliveries", "retry", "--address", ANA)
    done = room.run()
    assert (done.returncode, summary(done)["sent"], summary(done)["queued"]) == (0, 2, 0)
    assert server.recipients() == {DAN: 1, EVA: 1}
    assert len(room.deliveries("cancelled")) == 3
    with room.opened() as app:
        app.subscribers.lifecycle.resume(address_of(BEN))
    assert summary(room.run())["sent"] == 1
    assert summary(room.run())["sent"] == 0
    assert server.recipients() == {BEN: 1, DAN: 1, EVA: 1}


# Notices


def test_a_test_mail(room: Newsroom, server: MailServer) -> None:
    """It is sent at once and alone, and its exit status tells the result."""
    server.plan(Fault("connect", "554 5.3.2 no", drop=True))
    room.subscribe([ANA])
    room.run()
    nowhere = room.command("send-test", BEN, "--json")
    assert nowhere.returncode == 3
    assert "554 5.3.2 no" in nowhere.stderr
    server.plan(Fault("RCPT", "550 5.1.1 no such user", to=BEN))
    refused = room.command("send-test", BEN, "--json")
    assert refused.returncode == 3
    assert [(row["state"], row["reply"]) for row in rows_of(refused)] == [
        ("refused", "550 5.1.1 no such user")
    ]
    sent = room.command("send-test", CLEO, "--json")
    assert (sent.returncode, rows_of(sent)[0]["state"]) == (0, "sent")
    (taken,) = server.taken()
    assert (taken.recipient, taken.subject) == (CLEO, "A test mail from Daily Papers")
    assert f"<{taken.message_id.strip('<>')}>" == rows_of(sent)[0]["message_id"]
    assert room.states()[ANA] == "queued"


def test_a_test_mail_over_the_limit(room: Newsroom, server: MailServer) -> None:
    """Once the day's limit is reached the error says so, and the mail is not sent later."""
    room.subscribe([ANA])
    room.configure(server.port, max_per_day=1)
    room.run()
    done = room.command("send-test", BEN)
    assert done.returncode == 3
    assert "max_per_day" in done.stderr
    assert not room.deliveries("queued")


def test_a_test_mail_that_cannot_be_sent(room: Newsroom, server: MailServer) -> None:
    """A suppressed address gets none, and a test mail that cannot be sent is not counted."""
    room.subscribe([ANA])
    room.command("subscribers", "forget", ANA)
    done = room.command("send-test", ANA)
    assert (done.returncode, server.count()) == (2, 0)
    assert "the address is suppressed: asked to be forgotten" in done.stderr
    server.plan(Fault("connect", "554 5.3.2 no", drop=True))
    assert room.command("send-test", BEN).returncode == 3
    assert rows_of(room.command("status", "--json"))[-1]["mails"] == {}


def test_why_mail_waits(room: Newsroom, server: MailServer) -> None:
    """`status` says why the last run ended while mail waits for the next one, and no longer."""
    server.plan(Fault("connect", "554 5.3.2 no", drop=True))
    room.subscribe([ANA, BEN])
    room.run()
    why = rows_of(room.command("status", "--json"))[-1]["silence"]
    assert why.startswith("held: 2 mails have been waiting since ")
    assert ", because the last run ended early (" in why
    assert "554 5.3.2 no" in why
    server.plan()
    room.run()
    why = rows_of(room.command("status", "--json"))[-1]["silence"]
    assert why.startswith("nothing new: ")


def test_a_message_keeps_its_message_id_when_the_sender_changes(
    room: Newsroom, server: MailServer
) -> None:
    """Sent again with another sender's domain, it has the Message-ID that it had."""
    server.plan(Fault("dot", drop=True, take=True, to=ANA))
    room.subscribe([ANA])
    room.run()
    (before,) = room.deliveries("unknown")
    room.configure(server.port, newsletter={"sender": "Lamps <lamps@elsewhere.example>"})
    server.plan()
    room.command("deliveries", "retry", "--address", ANA)
    room.run()
    names = [one.message_id for one in server.taken() if one.recipient == ANA]
    assert names == [before["message_id"]] * 2
    assert before["message_id"] in {row["message_id"] for row in room.deliveries("sent")}


def test_notices_are_sent_before_editions(room: Newsroom, server: MailServer) -> None:
    """A test mail that had to wait is sent first."""
    server.plan(Fault("connect", "554 5.3.2 no", drop=True))
    room.subscribe([ANA, BEN])
    room.run()
    server.plan(Fault("RCPT", "451 4.3.0 later"))
    assert room.command("send-test", CLEO).returncode == 3
    room.command("deliveries", "retry", "--edition", "test")
    server.plan()
    done = room.run()
    assert (summary(done)["sent"], summary(done)["notices"]) == (2, 1)
    assert [one.recipient for one in server.taken()] == [CLEO, ANA, BEN]


def reports(server: MailServer) -> list[str]:
    """Returns the subjects of the mails to the owner."""
    return [one.subject for one in server.taken() if one.recipient == OWNER]


def test_the_owner_hears_of_it_once(room: Newsroom, server: MailServer) -> None:
    """One mail when something needs attention, one when all is well again, and none between."""
    room.subscribe([ANA, BEN, CLEO])
    server.plan(Fault("dot", drop=True, to=ANA))
    assert summary(room.run())["notices"] == 1
    for _ in range(2):
        assert summary(room.run())["notices"] == 0
    assert reports(server) == ["Daily Papers: 1 thing to look at"]
    room.command("deliveries", "settle", "--as", "lost", "--state", "unknown")
    room.command("deliveries", "retry", "--state", "expired")
    server.plan()
    assert summary(room.run())["sent"] == 1
    for _ in range(2):
        room.run()
    assert reports(server)[1:] == ["Daily Papers: all is well again"]


def test_a_report_that_may_not_have_arrived_is_not_reported(
    room: Newsroom, server: MailServer
) -> None:
    """An owner's server that never replies does not get a mail with every run."""
    room.subscribe([ANA, BEN])
    server.plan(Fault("dot", drop=True, to=ANA), Fault("dot", drop=True, take=True, to=OWNER))
    for _ in range(3):
        room.run()
    assert len(reports(server)) == 1
    server.plan()
    room.command("deliveries", "settle", "--as", "sent", "--address", ANA)
    assert summary(room.run())["notices"] == 1
    assert reports(server)[1:] == ["Daily Papers: all is well again"]


# Runs in this process


class Post:
    """The same newsletter in this process, with its own clock.

    Args:
        room: the newsletter.
        subscribers: the addresses of its subscribers.
        commit_tries: see `Limits`.
        delivery: its `[delivery]` settings.
    """

    def __init__(
        self,
        room: Newsroom,
        port: int,
        subscribers: Sequence[str],
        commit_tries: int | None = 3,
        **delivery: Any,
    ) -> None:
        room.configure(port, **{"sessions": 1, **delivery})
        room.subscribe(subscribers)
        self.config = load_config(str(room.folder / "config.toml"))
        self.database = Database(self.config.database.url, busy_seconds=0.2)
        self.app = App(self.config, self.database)
        for report in self.app.sources.ingest_configured():
            assert report.held is None
        self.app.planner.plan(due_now=True)
        self.now = datetime.now(UTC)
        self.timeout = 30.0
        self.commit_tries = commit_tries
        self.stop = threading.Event()

    def send(
        self, progress: Callable[[RunSummary, int], None] = lambda _summary, _total: None
    ) -> RunSummary:
        """Runs delivery once."""
        settings = SmtpSettings(
            "127.0.0.1",
            self.config.transports.smtp.port,
            "none",
            timeout=self.timeout,
            reply_timeout=self.timeout,
        )
        transport = Smtp(settings, self.stop)
        return DeliveryRun(
            self.database,
            transport,
            Personaliser(self.database, origin(self.config), transport.encoded),
            replace(limits(self.config), retry_interval=0.01, commit_tries=self.commit_tries),
            lambda: self.now,
            self.stop,
            progress,
        ).run()

    def rows(self) -> list[deliveries.DeliveryRow]:
        """Returns all deliveries."""
        with self.database.read() as tx:
            return list(deliveries.listed(tx, Filter()))


Open = Callable[..., Post]


@pytest.fixture
def post(room: Newsroom, server: MailServer) -> Iterator[Open]:
    """Makes a `Post` with these subscribers."""
    opened: list[Post] = []

    def make(*subscribers: str, **settings: Any) -> Post:
        opened.append(Post(room, server.port, subscribers, **settings))
        return opened[-1]

    yield make
    for one in opened:
        one.database.close()


def test_delays_grow_until_the_delivery_expires(post: Open, server: MailServer) -> None:
    """Each delay is twice the one before, up to a limit; after three days it is expired."""
    server.plan(Fault("RCPT", "451 4.3.0 later"))
    one = post(ANA)
    began, waits = one.now, []
    while True:
        summary = one.send()
        (row,) = one.rows()
        if row.state != "deferred":
            break
        assert (summary[State.DEFERRED], row.try_at is not None) == (1, True)
        assert row.try_at
        waits.append((row.try_at - one.now).total_seconds() / 60)
        one.now = row.try_at - timedelta(seconds=1)
        assert one.send().done == 0  # not yet
        one.now = row.try_at
    assert waits[:7] == [5, 10, 20, 40, 80, 160, 240]
    assert set(waits[7:]) == {240}
    assert (row.state, row.reply, row.try_at) == ("expired", "451 4.3.0 later", None)
    assert timedelta(days=3) <= one.now - began < timedelta(days=3, hours=4)
    assert summary[State.EXPIRED] == 1
    assert one.send().done == 0
    server.plan()
    one.app.records.retry(Filter(address=ANA))
    assert one.send()[State.SENT] == 1


def test_give_up_after_is_configurable(post: Open, server: MailServer) -> None:
    """Mail that is lost, or refused for a reason on our side, expires too."""
    server.plan(
        Fault("RCPT", drop=True, to=ANA),
        Fault("dot", POLICY, to=BEN),
        Fault("dot", "421 4.3.2 later", drop=True, to=CLEO),
    )
    one = post(DAN, ANA, BEN, CLEO, give_up_after="1h")  # DAN's mail is accepted, so sending works
    for later, state in ((0, "deferred"), (59, "deferred"), (59, "expired")):
        one.now += timedelta(minutes=later)
        one.app.sending.resume()
        one.send()
        assert {row.state for row in one.rows() if row.address != DAN} == {state}


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA"])
def test_a_stall_before_the_message(post: Open, server: MailServer, at: str) -> None:
    """A silent server is given up, and the mail is sent through another connection."""
    server.plan(Fault(at, stall=3_600, times=1))
    one = post(ANA, BEN)
    one.timeout = 1.5
    assert one.send()[State.SENT] == 2
    assert server.recipients() == {ANA: 1, BEN: 1}
    assert [row.attempts for row in one.rows()] == [2, 1]


def test_a_stall_after_the_dot(post: Open, server: MailServer) -> None:
    """It is unknown whether the mail arrived; the others are sent."""
    server.plan(
        Fault("dot", stall=3_600, take=True, to=ANA), Fault("dot", stall=3_600, take=False, to=BEN)
    )
    one = post(ANA, BEN, CLEO)
    one.timeout = 1.5
    summary = one.send()
    assert (summary[State.UNKNOWN], summary[State.SENT]) == (2, 1)
    server.plan()
    assert one.send().done == 0
    assert server.recipients() == {ANA: 1, CLEO: 1}


@pytest.mark.parametrize("at", ["connect", "EHLO"])
def test_a_stall_before_there_is_a_session(post: Open, server: MailServer, at: str) -> None:
    """After a few tries the run ends with the reason; no mail is affected."""
    server.plan(Fault(at, stall=3_600))
    one = post(ANA, BEN)
    one.timeout = 0.2
    summary = one.send()
    assert "no reply" in summary.stopped
    assert (summary.done, summary.queued) == (0, 2)
    assert [row.attempts for row in one.rows()] == [0, 0]


OPENING = (
    "450 4.3.2 no",
    "451 no",
    "452 no",
    "421 no",
    "550 no",
    "552 no",
    "554 no",
    "571 no",
    POLICY,
)


@pytest.mark.parametrize("at", ["connect", "EHLO"])
@pytest.mark.parametrize("say", OPENING)
def test_replies_to_the_greeting(post: Open, server: MailServer, at: str, say: str) -> None:
    """No subscriber is affected, and opening is retried: a name may have several servers."""
    server.plan(Fault(at, say))
    one = post(ANA)
    summary = one.send()
    assert say in summary.stopped
    assert (summary.done, summary.queued) == (0, 1)
    assert server.reached("connection") == OPENINGS


def test_a_commit_that_fails_ends_the_sessions(post: Open, server: MailServer) -> None:
    """Without the record of the last mail no further one is sent."""
    subscribers = [f"reader{number}@many.example" for number in range(30)]
    one = post(*subscribers, sessions=4)
    other = sqlite3.connect(one.database.file, isolation_level=None, timeout=60)

    def lock(summary: RunSummary, _total: int) -> None:
        if summary[State.SENT] >= 5 and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with closing(other):
        summary = one.send(lock)
        assert "locked" in summary.stopped
        assert summary[State.SENT] + 4 >= server.count()
        assert summary[State.UNKNOWN] <= 4
        other.execute("ROLLBACK")
    assert not one.stop.is_set()  # in a service, that would shut it down
    after = one.send()
    assert after[State.UNKNOWN] <= 4
    assert server.recipients() == {
        row.address: 1 for row in one.rows() if row.address in server.recipients()
    }
    states = Counter(str(row.state) for row in one.rows())
    assert states["sent"] + states["unknown"] == len(subscribers)
    assert states["unknown"] <= 4


def test_a_lock_that_a_service_waits_for(post: Open, server: MailServer) -> None:
    """However long it lasts, sent mail is recorded as sent, and the rest follows."""
    one = post(*ALL_SUBSCRIBERS, sessions=2, commit_tries=None)
    other = sqlite3.connect(one.database.file, isolation_level=None, timeout=60)
    tried: list[str] = []

    def lock(summary: RunSummary, _total: int) -> None:
        if summary.blocked:
            tried.append(summary.blocked)
            if len(tried) == 6:  # twice as many as if tries were limited
                other.execute("ROLLBACK")
        elif summary[State.SENT] and not tried and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with closing(other):
        summary = one.send(lock)
    assert len(tried) == 6
    assert "locked" in tried[0]
    assert (summary[State.SENT], summary[State.UNKNOWN]) == (5, 0)
    assert (summary.stopped, summary.blocked) == ("", "")
    assert server.recipients() == dict.fromkeys(ALL_SUBSCRIBERS, 1)


def test_a_service_that_waits_for_a_lock_can_be_stopped(post: Open, server: MailServer) -> None:
    """The caller's stop event ends the wait; only mails being sent become unknown."""
    one = post(*ALL_SUBSCRIBERS, sessions=2, commit_tries=None)
    other = sqlite3.connect(one.database.file, isolation_level=None, timeout=60)

    def lock(summary: RunSummary, _total: int) -> None:
        if summary.blocked:
            one.stop.set()
        elif summary[State.SENT] and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with closing(other):
        summary = one.send(lock)
        other.execute("ROLLBACK")
    assert "locked" in summary.stopped
    one.stop.clear()
    assert one.send()[State.UNKNOWN] <= 2
    assert set(server.recipients().values()) == {1}


def test_an_older_reason_is_not_shown_for_a_newer_run(post: Open, server: MailServer) -> None:
    """A run that cannot record its reason does not leave the previous run's reason."""
    one = post(*(f"reader{number}@many.example" for number in range(30)), sessions=2)
    server.plan(Fault("connect", "554 5.3.2 closed for the night"))
    assert one.send().done == 0
    assert "closed for the night" in one.app.status.read().idle_reason
    server.plan()
    other = sqlite3.connect(one.database.file, isolation_level=None, timeout=60)

    def lock(summary: RunSummary, _total: int) -> None:
        if summary[State.SENT] and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with closing(other):
        assert "locked" in one.send(lock).stopped
        said = one.app.status.read().idle_reason
        other.execute("ROLLBACK")
    assert said.startswith("held: ")
    assert "closed for the night" not in said
    assert "its end is not on record" in said


class Unlocking(threading.Event):
    """Releases another connection's lock while the run waits for the next try."""

    def __init__(self, other: sqlite3.Connection) -> None:
        super().__init__()
        self._other = other

    def wait(self, timeout: float | None = None) -> bool:
        """Waits as usual."""
        if self._other.in_transaction:
            self._other.execute("ROLLBACK")
        return super().wait(timeout)


def test_a_commit_that_fails_temporarily(post: Open, server: MailServer) -> None:
    """It is tried again, and nothing is lost."""
    one = post(*ALL_SUBSCRIBERS, sessions=2)
    other = sqlite3.connect(one.database.file, isolation_level=None, timeout=60)
    one.stop = Unlocking(other)
    locked = 0

    def lock(summary: RunSummary, _total: int) -> None:
        nonlocal locked
        if summary[State.SENT] > locked:
            other.execute("BEGIN IMMEDIATE")
            locked += 2

    with closing(other):
        summary = one.send(lock)
    assert locked
    assert (summary[State.SENT], summary.stopped) == (5, "")
    assert server.recipients() == dict.fromkeys(ALL_SUBSCRIBERS, 1)


def test_a_delivery_deferred_by_another_run_is_not_tried_at_once(
    post: Open, server: MailServer
) -> None:
    """A run that read it before it was deferred does not try it."""
    server.plan(Fault("RCPT", "451 4.3.0 later", to=CLEO))
    one = post(ANA, BEN, CLEO)
    others: list[RunSummary] = []

    def overtaken(_summary: RunSummary, _total: int) -> None:
        if not others:
            others.append(RunSummary())  # only once
            others.append(one.send())

    summary = one.send(overtaken)
    assert (others[1][State.SENT], others[1][State.DEFERRED]) == (1, 1)
    assert (summary[State.SENT], summary[State.DEFERRED]) == (1, 0)
    assert [row.attempts for row in one.rows()] == [1, 1, 1]


def test_a_report_that_cannot_be_queued(post: Open, server: MailServer) -> None:
    """The result still has what was sent before."""
    server.plan(Fault("dot", drop=True, times=1))
    one = post(ANA, BEN)
    other = sqlite3.connect(one.database.file, isolation_level=None, timeout=60)

    def lock(summary: RunSummary, _total: int) -> None:
        if summary.done == 2 and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with closing(other):
        result = one.app.sending.send(PlanResult(), one.stop, lock)
    assert (result.summary[State.SENT], result.summary[State.UNKNOWN]) == (1, 1)
    assert "locked" in result.stopped


def test_a_subscriber_who_leaves_during_a_run(post: Open, server: MailServer) -> None:
    """Deliveries that were read already are checked again before they are sent."""
    one = post(ANA, BEN, CLEO)

    def leave(summary: RunSummary, _total: int) -> None:
        if not summary.done:
            one.app.subscribers.lifecycle.unsubscribe(address_of(CLEO))

    assert one.send(leave)[State.SENT] == 2
    assert [row.state for row in one.rows()] == ["sent", "sent", "cancelled"]
    assert server.recipients() == {ANA: 1, BEN: 1}


def test_a_subscriber_who_leaves_before_a_retry(post: Open, server: MailServer) -> None:
    """No delivery stays waiting for a subscriber who has left."""
    server.plan(Fault("RCPT", "451 4.3.0 later", stall=0.2))
    one = post(ANA, BEN)
    left: list[str] = []

    def leave(summary: RunSummary, _total: int) -> None:
        if not left:  # the first is claimed by now
            left.append(ANA)
            one.app.subscribers.lifecycle.remove(address_of(ANA))

    summary = one.send(leave)
    assert (summary[State.DEFERRED], summary[State.CANCELLED]) == (1, 1)
    assert {(row.address, str(row.state)) for row in one.rows()} == {
        (None, "cancelled"),
        (BEN, "deferred"),
    }


def test_the_limit_of_any_day(post: Open, server: MailServer) -> None:
    """No window of nearly a day has more mails than the limit, and all are sent in the end."""
    one = post(*(f"reader{number}@many.example" for number in range(16)), max_per_day=4)
    sent: list[datetime] = []
    hours = 0
    while len(sent) < 16:
        summary = one.send()
        sent += [one.now] * summary[State.SENT]
        assert hours < 24 * 6
        one.now, hours = one.now + timedelta(minutes=97), hours + 2
    for first, fifth in zip(sent, sent[4:], strict=False):
        assert fifth - first >= timedelta(hours=22, minutes=30)
    assert server.count() == 16


def test_a_daily_job_sends_its_limit_every_day(post: Open, server: MailServer) -> None:
    """It does so even if it took a while the day before, and starts a little early."""
    one = post(*(f"reader{number}@many.example" for number in range(12)), max_per_day=4)
    one.now = (one.now + timedelta(days=1)).replace(hour=7, minute=30)
    for early in (0, 20, 5):
        began = one.now

        assert one.send()[State.SENT] == 4
        one.now += timedelta(minutes=80)
        assert one.send()[State.SENT] == 0
        one.now = began + timedelta(days=1, minutes=-early)
    assert server.count() == 12


def test_old_unknown_mails_are_not_sent_again(post: Open, server: MailServer) -> None:
    """`resend` applies only to recent mail."""
    server.plan(Fault("dot", drop=True, times=2))
    one = post(ANA, BEN, unknown="resend")
    assert one.send()[State.UNKNOWN] == 2
    one.now += timedelta(days=3, minutes=1)
    assert one.send().done == 0
    assert [row.state for row in one.rows()] == ["unknown", "unknown"]


def test_concurrent_runs_queue_one_report(post: Open, server: MailServer) -> None:
    """Two runs that see the same problem queue one mail about it."""
    server.plan(Fault("dot", drop=True, times=1))
    one = post(ANA)
    assert one.send()[State.UNKNOWN] == 1
    both = threading.Barrier(2)
    written: list[bool] = []

    def report() -> None:
        with Database(one.config.database.url) as database:
            owner = App(one.config, database).alerts
            owner.current(one.now)
            both.wait()
            written.append(owner.report(one.now))

    with closing(sqlite3.connect(one.database.file, isolation_level=None)) as other:
        threads = [threading.Thread(target=report) for _ in range(2)]
        for thread in threads:
            thread.start()
        other.execute("BEGIN IMMEDIATE")
        for thread in threads:
            thread.join(0.3)  # both have checked, and wait to write
        other.execute("ROLLBACK")
        for thread in threads:
            thread.join()
    assert sorted(written) == [False, True]
