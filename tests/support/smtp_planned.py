"""The process of a `MailServer`: an SMTP server that fails as planned and records what it accepts.

It does not import the package, so it starts quickly.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.support import smtp_dialogue
from tests.support.smtp_dialogue import Dialogue, Options, Over, Received
from tests.support.smtp_server import Server

MAILS = "mails"
"""The folder in which a server keeps whole messages, if the folder exists."""


@dataclass(frozen=True)
class Fault:
    """A fault at a place.

    Attributes:
        at: `connect`, a verb, `content` (within the message) or `dot` (after it).
        say: sent instead of the ordinary reply.
        drop: close the connection, after `say` if any.
        stall: seconds of silence before.
        take: whether the message counts as accepted, at `dot`; by default it does if it is not
            refused and the connection stays open.
        to: only for recipients that match (`*@slow.example`); from RCPT on.
        skip: number of times without the fault at first.
        times: number of times with the fault; `None` for no limit.
    """

    at: str
    say: str = ""
    drop: bool = False
    stall: float = 0.0
    take: bool | None = None
    to: str = "*"
    skip: int = 0
    times: int | None = None

    @property
    def takes(self) -> bool:
        """Whether a message counts as accepted in spite of the fault."""
        if self.take is None:
            return not self.drop and (not self.say or self.say.startswith("2"))
        return self.take


@dataclass(frozen=True)
class Plan:
    """The server's options and faults.

    Attributes:
        size: the announced limit in bytes; `None` to announce none.
        certificate: a file with a certificate and its key; empty for no TLS.
        starttls: TLS starts on STARTTLS, not at once.
        password: the password with which clients must log in as `papers`; empty for no login.
        faults: of those that match, the first that is due occurs.
    """

    size: int | None = 50_000_000
    extensions: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    certificate: str = ""
    starttls: bool = False
    password: str = ""
    faults: Sequence[Fault] = ()


@dataclass(frozen=True)
class Taken:
    """A message that was accepted."""

    recipient: str
    message_id: str
    subject: str
    sender: str
    connection: int
    """Counted from 1, by the server's process."""
    at: float
    """Seconds of a monotonic clock."""


class PlannedServer(Server):
    """The server of this process: it fails as planned, and records what it accepts."""

    def __init__(self, file: Path, port: int, plan: Plan) -> None:
        self._taken = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._mails = file.parent / MAILS
        self._lock = threading.Lock()
        self._reached: Counter[str] = Counter()
        self.follow(plan)
        super().__init__(self.options, port)

    def follow(self, plan: Plan) -> None:
        """Replaces the plan."""
        tls = None
        if plan.certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(plan.certificate)
        with self._lock:
            self._faults, self._met = plan.faults, Counter[int]()
            self.options = Options(
                pipelining=False,  # the plan's extensions decide
                size=None if plan.size is None else str(plan.size),
                extensions=tuple(plan.extensions),
                auth="PLAIN" if plan.password else "",
                password=plan.password,
                login=bool(plan.password),
                starttls=plan.starttls,
                tls=tls,
            )

    def reached(self, place: str) -> int:
        """Returns the number of times a place was reached."""
        with self._lock:
            return self._reached[place]

    def note(self, command: str, *, secured: bool) -> None:
        """Does nothing: commands are only counted, by place."""

    def fault(self, place: str, recipient: str) -> smtp_dialogue.Fault:
        """Returns the first fault of the plan that matches and is due."""
        fault = self._due(place, recipient)
        return self._acting(fault) if fault else None

    def finish(self, number: int, recipient: str, message: Received) -> smtp_dialogue.Fault:
        """Records the message, unless the fault that is due prevents it."""
        fault = self._due("dot", recipient)
        if fault is None or fault.takes:
            self._take(number, recipient, message)
        return self._acting(fault) if fault else None

    def _due(self, place: str, recipient: str) -> Fault | None:
        with self._lock:
            self._reached[place] += 1
            self._reached["connection"] += place == "connect"
            for number, one in enumerate(self._faults):
                if one.at == place and fnmatch(recipient, one.to):
                    self._met[number] += 1
                    met = self._met[number] - one.skip
                    if met > 0 and (one.times is None or met <= one.times):
                        return one
        return None

    def _acting(self, fault: Fault) -> smtp_dialogue.Fault:
        def act(dialogue: Dialogue) -> bool:
            if fault.at == "content":
                dialogue.await_more()
            if fault.stall:
                with self._lock:
                    self._reached["stall"] += 1
                time.sleep(fault.stall)
            if fault.say:
                dialogue.say(fault.say.encode() + b"\r\n")
            if fault.drop:
                raise Over
            return not fault.say

        return act

    def _take(self, number: int, recipient: str, message: Received) -> None:
        head = message.raw[: message.raw.find(b"\r\n\r\n")]
        one = Taken(
            recipient=recipient,
            message_id=_header(head, b"Message-ID"),
            subject=_header(head, b"Subject"),
            sender=message.mail.partition("<")[2].partition(">")[0],
            connection=number,
            at=time.monotonic(),
        )
        line = json.dumps(asdict(one)).encode() + b"\n"
        with self._lock:
            if self._mails.exists():
                self._keep(recipient, message)
            assert os.write(self._taken, line) == len(line)

    def _keep(self, recipient: str, message: Received) -> None:
        number = len(list(self._mails.iterdir()))
        part = self._mails / "new"
        part.write_bytes(message.content)
        part.rename(self._mails / f"{number:06}-{recipient}.eml")  # visible only as a whole


def _header(head: bytes, name: bytes) -> str:
    match = re.search(rb"(?im)^" + name + rb":[ \t]*(.*(?:\r\n[ \t].*)*)", head)
    return " ".join(match[1].decode("utf-8", "replace").split()) if match else ""


def _serve(file: Path, port: int) -> None:
    """Reads plans and places to count from standard input, one per line, and follows them."""
    server = PlannedServer(file, port, _plan(sys.stdin.readline()))
    _tell(server.port)
    while line := sys.stdin.readline():
        if line.startswith('"'):
            _tell(server.reached(json.loads(line)))
        else:
            server.follow(_plan(line))
            _tell("planned")
    os._exit(0)  # even with open connections


def _tell(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _plan(line: str) -> Plan:
    fields = json.loads(line)
    return Plan(**{**fields, "faults": [Fault(**fault) for fault in fields["faults"]]})


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
