"""A mail server in a process of its own: it counts what it takes, and fails to a plan.

Whatever it takes is a line in a file before it is answered. So the count is right whoever is
killed, the sender or the server itself. It is strict: a command out of order gets 503.

`Newsroom` is a newsletter that sends through it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tests.commands import newsletter, rows_of

if TYPE_CHECKING:  # the server needs nothing of ours, and is there in no time
    from newsletter.app import App

_READ = 1 << 18
_LONGEST_LINE = 4_096
_PATIENCE = 60.0
"""Seconds after which a test that waits for something fails."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at a place.

    Attributes:
        at: `connect`, a verb, `content` (some of it has come) or `dot` (all of it has).
        say: what is said instead of the ordinary reply.
        drop: the connection ends, after what there is to say.
        stall: seconds of silence before.
        take: whether the message counts as taken, where it was `dot`; by default it does when
            it is not refused and the connection stays.
        to: only for recipients like this (`*@slow.example`); from RCPT on.
        skip: so many times nothing goes wrong first.
        times: how often it goes wrong; `None` for ever.
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
        """Whether a message counts as taken in spite of it."""
        if self.take is None:
            return not self.drop and (not self.say or self.say.startswith("2"))
        return self.take


@dataclass(frozen=True)
class Plan:
    """What the server offers, and what goes wrong.

    Attributes:
        size: the largest message, in bytes; `None`: it does not say.
        certificate: a file with a certificate and its key; empty for no TLS.
        starttls: TLS begins when asked for, not at once.
        password: of the user `papers`, who must log in; empty for no login.
        faults: of those that fit, the first that is due.
    """

    size: int | None = 50_000_000
    extensions: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    certificate: str = ""
    starttls: bool = False
    password: str = ""
    faults: Sequence[Fault] = ()


@dataclass(frozen=True)
class Taken:
    """A message that was taken."""

    recipient: str
    message_id: str
    subject: str
    sender: str
    connection: int
    """Counted from 1, by the server's process."""
    at: float
    """Seconds that never go back."""


class MailServer:
    """A server that is running, on loopback.

    Args:
        folder: where it counts.
        faults: what goes wrong.
        port: 0 for any.
        offers: other fields of its `Plan`.
    """

    def __init__(self, folder: Path, *faults: Fault, port: int = 0, **offers: object) -> None:
        folder.mkdir(exist_ok=True)
        self._file = folder / "taken"
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._file), str(port)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = 0
        self.plan(*faults, **offers)
        self.port = int(self._said())

    def plan(self, *faults: Fault, **offers: object) -> None:
        """From now on this goes wrong, and this is offered."""
        plan = Plan(faults=faults, **offers)  # type: ignore[arg-type]
        assert self._process.stdin is not None
        print(json.dumps(asdict(plan)), file=self._process.stdin, flush=True)
        if self.port:
            assert self._said() == "planned"

    def taken(self) -> list[Taken]:
        """What it took, in order."""
        with contextlib.suppress(FileNotFoundError):
            lines = self._file.read_bytes().split(b"\n")[:-1]  # the last may still be written
            return [Taken(**json.loads(line)) for line in lines]
        return []

    def recipients(self) -> Counter[str]:
        """How often it took something for each of them."""
        return Counter(one.recipient for one in self.taken())

    def count(self) -> int:
        """How many it took."""
        with contextlib.suppress(FileNotFoundError):
            return self._file.read_bytes().count(b"\n")
        return 0

    def reached(self, place: str) -> int:
        """How often its process came to a place of `Fault.at`, or to a `stall`."""
        assert self._process.stdin is not None
        print(json.dumps(place), file=self._process.stdin, flush=True)
        return int(self._said())

    def wait_until(self, done: Callable[[Self], bool], sender: subprocess.Popen[str]) -> bool:
        """Waits until it is so; `False` if the sender ended before."""
        give_up = time.monotonic() + _PATIENCE
        while not done(self):
            if sender.poll() is not None:
                return False
            assert time.monotonic() < give_up, "it never came to that"
            time.sleep(0.002)
        return True

    def kill(self) -> None:
        """It dies, with all its connections."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """It ends, whatever it is doing."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _said(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server died"
        return line.strip()


class Newsroom:
    """A newsletter in a folder of its own.

    Args:
        folder: where it is, and is made if it is not.
        port: of the server that it sends through.
        database: where that is, from the folder.
        delivery: its `[delivery]`.
    """

    def __init__(
        self, folder: Path, port: int, *, database: str = "papers.db", **delivery: Any
    ) -> None:
        self.folder = folder
        self.database = folder / database
        self._captures = folder / "captures"
        self._captures.mkdir(parents=True, exist_ok=True)
        self.configure(port, **delivery)

    def configure(
        self,
        port: int,
        *,
        newsletter: Mapping[str, object] | None = None,
        smtp: Mapping[str, object] | None = None,
        sources: bool = True,
        **delivery: object,
    ) -> None:
        """From now on it sends through this server, in this way."""
        sections: dict[str, dict[str, object]] = {
            "newsletter": {
                "sender": "Lamps <lamps@papers.example>",
                "owner": "owner@papers.example",
                **(newsletter or {}),
            },
            "database": {"url": f"sqlite:///{self.database.relative_to(self.folder)}"},
            "delivery": {"transport": "smtp", "sessions": 4, **delivery},
            "transports.smtp": {
                "host": "127.0.0.1",
                "port": port,
                "security": "none",
                **(smtp or {}),
            },
        }
        lines = ["[[sources]]", 'name = "harbour"', 'path = "captures"'] if sources else []
        for name, section in sections.items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in section.items())]
        (self.folder / "config.toml").write_text("\n".join(lines) + "\n")

    def subscribe(self, people: Iterable[str]) -> None:
        """These addresses get it."""
        from newsletter.subscriber_import import Imported
        from newsletter.subscriptions import line_of

        done = Imported()
        with self.opened() as app:
            lines = ((number, line_of(one)) for number, one in enumerate(people, 2))
            assert not list(app.subscriber_import.add(lines, done))
        assert done.added == done.lines

    def add_papers(self, many: int = 3) -> None:
        """Another day's papers lie there: the next edition."""
        day = len(list(self._captures.iterdir())) + 1
        rows = []
        for number in range(many):
            title = f"Lantern number {number} of day {day} seen from the harbour"
            paper = {
                "id": f"2610.{100 * day + number:05}",
                "title": title,
                "summary": "Light. " * 40,
            }
            rows.append({"paper": paper, "title": title})
        path = self._captures / f"2026-10-{day:02}.json"
        path.write_text(json.dumps(rows))
        os.utime(path, (1, 1))  # what was just written is left for later

    def run(self) -> subprocess.CompletedProcess[str]:
        """The whole job once."""
        return self.command("run", "--due-now", "--json")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Any command; it does not fall over."""
        done = newsletter(*arguments, cwd=self.folder)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """The whole job, or another command, begun."""
        words = command or ("run", "--due-now", "--json")
        return subprocess.Popen(
            [sys.executable, "-m", "newsletter", *words],
            env={**os.environ, **(environment or {})},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[App]:
        """The program in this process, which is quicker to look at things with."""
        from newsletter.app import opened
        from newsletter.config.file import load_config

        with opened(load_config(str(self.folder / "config.toml"))) as app:
            yield app

    def deliveries(self, state: str | None = None) -> list[dict[str, Any]]:
        """The rows of `deliveries`."""
        from newsletter.cli.mail_output import delivery_row
        from newsletter.models import DeliveryState
        from newsletter.storage.deliveries import Filter

        with self.opened() as app:
            mailing = app.records
            found = list(mailing.listed(Filter(DeliveryState(state) if state else None)))
            return [delivery_row(row, mailing.message_id(row)) for row in found]

    def states(self) -> dict[str, str]:
        """What became of everybody's mail; of the last, where there were several."""
        return {row["address"]: row["state"] for row in self.deliveries()}

    def people(self, state: str) -> set[str]:
        """The subscribers in a state."""
        from newsletter.models import SubscriberState

        with self.opened() as app:
            return {one.address for one in app.subscriptions.listed(SubscriberState(state))}


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a run says in the end."""
    last = rows_of(done)[-1]
    assert "seconds" in last, done
    return last


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{key}" = {_toml(one)}' for key, one in value.items()) + "}"
    return json.dumps(value)


# What runs in the other process


class Over(Exception):
    """The dialogue ends here."""


@dataclass
class _State:
    """What its connections share."""

    file: int
    plan: Plan
    met: Counter[int] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    tls: ssl.SSLContext | None = None

    def follow(self, plan: Plan) -> None:
        self.plan, self.met, self.tls = plan, Counter(), None
        if plan.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(plan.certificate)

    def fault(self, place: str, recipient: str) -> Fault | None:
        self.reached[place] += 1
        for number, one in enumerate(self.plan.faults):
            if one.at == place and fnmatch(recipient, one.to):
                self.met[number] += 1
                turn = self.met[number] - one.skip
                if turn > 0 and (one.times is None or turn <= one.times):
                    return one
        return None


class _Dialogue:
    """One connection."""

    def __init__(
        self, state: _State, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._state = state
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._buffer = bytearray()
        self._secured = False
        self._known = not state.plan.password
        self._forget()

    async def run(self) -> None:
        """Answers until the client leaves."""
        if self._state.tls and not self._state.plan.starttls:
            await self._secure()
        self._state.reached["connection"] += 1
        self._number = self._state.reached["connection"]
        await self._say("connect", "220 mail.example ESMTP")
        while True:
            line = (await self._until(b"\r\n"))[:-2]
            if len(line) > _LONGEST_LINE or b"\n" in line:
                raise Over
            verb, _, rest = line.decode().partition(" ")
            act = getattr(self, f"_do_{verb.lower()}", None)
            if act is None:
                self._write("500 5.5.2 what?")
            else:
                await act(rest)

    async def _say(self, place: str, ordinary: str) -> bool:
        """The fault that is due, or the ordinary reply; whether it was the latter."""
        fault = self._state.fault(place, self._recipient)
        if fault is None:
            self._write(ordinary)
            return True
        await self._go_wrong(fault)
        if not fault.say:
            self._write(ordinary)
        return not fault.say

    async def _go_wrong(self, fault: Fault) -> None:
        await self._writer.drain()
        self._state.reached["stall"] += bool(fault.stall)
        await asyncio.sleep(fault.stall)
        if fault.say:
            self._write(fault.say)
        if fault.drop:
            raise Over

    def _write(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")

    async def _until(self, end: bytes) -> bytes:
        start = 0
        while (at := self._buffer.find(end, start)) < 0:
            start = max(0, len(self._buffer) - len(end) + 1)
            data = await self._reader.read(_READ)
            if not data:
                raise Over
            self._buffer += data
        found = bytes(self._buffer[: at + len(end)])
        del self._buffer[: at + len(end)]
        return found

    async def _secure(self) -> None:
        assert self._state.tls is not None
        try:
            await self._writer.start_tls(self._state.tls)
        except (OSError, ssl.SSLError) as error:  # the client does not like our certificate
            raise Over from error
        self._secured = True
        self._buffer.clear()

    def _forget(self) -> None:
        self._sender: str | None = None
        self._recipient = ""

    async def _do_ehlo(self, _: str) -> None:
        plan = self._state.plan
        lines = ["mail.example", *plan.extensions]
        lines += [f"SIZE {plan.size}"] * (plan.size is not None)
        lines += ["STARTTLS"] * (plan.starttls and not self._secured)
        lines += ["AUTH PLAIN"] * (bool(plan.password) and self._secured)
        self._forget()
        await self._say(
            "EHLO", "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])
        )

    async def _do_starttls(self, _: str) -> None:
        if self._secured or not self._state.plan.starttls:
            self._write("503 5.5.1 no")
        elif await self._say("STARTTLS", "220 go"):
            await self._secure()

    async def _do_auth(self, rest: str) -> None:
        proof = base64.b64encode(f"\0papers\0{self._state.plan.password}".encode()).decode()
        if not self._secured or rest != f"PLAIN {proof}":
            self._write("535 5.7.8 bad credentials")
        else:
            self._known = await self._say("AUTH", "235 2.7.0 welcome")

    async def _do_mail(self, rest: str) -> None:
        limit = self._state.plan.size
        size = re.search(r" SIZE=(\d+)", rest)
        if self._sender is not None:
            self._write("503 5.5.1 nested MAIL")
        elif not self._known:
            self._write("530 5.7.0 log in first")
        elif limit is not None and size and int(size[1]) > limit:
            self._write("552 5.3.4 too large")
        elif await self._say("MAIL", "250 2.1.0 ok"):
            self._sender = rest.partition("<")[2].partition(">")[0]

    async def _do_rcpt(self, rest: str) -> None:
        if self._sender is None:
            self._write("503 5.5.1 need MAIL")
            return
        self._recipient = rest.partition("<")[2].partition(">")[0]
        if not await self._say("RCPT", "250 2.1.5 ok"):
            self._recipient = ""

    async def _do_data(self, _: str) -> None:
        if self._sender is None or not self._recipient:
            self._write("554 5.5.1 no valid recipients")
        elif await self._say("DATA", "354 go"):
            await self._take()

    async def _take(self) -> None:
        self._buffer[:0] = b"\r\n"
        if fault := self._state.fault("content", self._recipient):
            await self._until(b": ")  # some of it is here
            await self._go_wrong(fault)
        content = await self._until(b"\r\n.\r\n")
        fault = self._state.fault("dot", self._recipient)
        if fault is None or fault.takes:
            self._count(content)
        if fault:
            await self._go_wrong(fault)
        if fault is None or not fault.say:
            self._write("250 2.0.0 taken")
        self._forget()

    def _count(self, content: bytes) -> None:
        head = content[: content.find(b"\r\n\r\n")]
        one = Taken(
            recipient=self._recipient,
            message_id=_header(head, b"Message-ID"),
            subject=_header(head, b"Subject"),
            sender=self._sender or "",
            connection=self._number,
            at=time.monotonic(),
        )
        line = json.dumps(asdict(one)).encode() + b"\n"
        assert os.write(self._state.file, line) == len(line)

    async def _do_rset(self, _: str) -> None:
        if await self._say("RSET", "250 2.0.0 forgotten"):
            self._forget()

    async def _do_quit(self, _: str) -> None:
        await self._say("QUIT", "221 2.0.0 bye")
        raise Over


def _header(head: bytes, name: bytes) -> str:
    match = re.search(rb"(?im)^" + name + rb":[ \t]*(.*(?:\r\n[ \t].*)*)", head)
    return " ".join(match[1].decode("utf-8", "replace").split()) if match else ""


async def _serve(path: str, port: int) -> None:
    state = _State(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), Plan())

    async def dialogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            try:
                with contextlib.suppress(Over):
                    await _Dialogue(state, reader, writer).run()
            finally:
                writer.close()

    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    state.follow(_plan(await orders.readline()))
    server = await asyncio.start_server(dialogue, "127.0.0.1", port)
    _tell(server.sockets[0].getsockname()[1])
    while line := await orders.readline():
        if line.startswith(b'"'):
            _tell(state.reached[json.loads(line)])
        else:
            state.follow(_plan(line))
            _tell("planned")


def _tell(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _plan(line: bytes) -> Plan:
    fields = json.loads(line)
    return Plan(**{**fields, "faults": [Fault(**fault) for fault in fields["faults"]]})


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
