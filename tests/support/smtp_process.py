"""The SMTP server in a process of its own: it counts what it accepts, and fails as planned.

It writes each accepted message to a file before it replies. So the count is right even if the
sender or the server is killed.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import smtp_planned
from tests.support.smtp_planned import MAILS, Fault, Plan, Taken

__all__ = ["MAILS", "Fault", "MailServer", "Taken"]

_TIMEOUT = 60.0
"""Seconds after which waiting fails."""


class MailServer:
    """A running server on loopback.

    Args:
        folder: contains its records.
        faults: its faults.
        port: 0 for any.
        keep: whether whole messages are kept, in `MAILS` of the folder.
        offers: other fields of its `Plan`.
    """

    def __init__(
        self, folder: Path, *faults: Fault, port: int = 0, keep: bool = False, **offers: object
    ) -> None:
        folder.mkdir(exist_ok=True)
        if keep:
            (folder / MAILS).mkdir(exist_ok=True)
        self._file = folder / "taken"
        self._process = subprocess.Popen(
            [sys.executable, "-m", smtp_planned.__name__, str(self._file), str(port)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = 0
        self.plan(*faults, **offers)
        self.port = int(self._said())

    def plan(self, *faults: Fault, **offers: object) -> None:
        """Replaces the plan of the server."""
        plan = Plan(faults=faults, **offers)  # type: ignore[arg-type]
        assert self._process.stdin is not None
        print(json.dumps(asdict(plan)), file=self._process.stdin, flush=True)
        if self.port:
            assert self._said() == "planned"

    def taken(self) -> list[Taken]:
        """Returns the accepted messages, in order."""
        with contextlib.suppress(FileNotFoundError):
            lines = self._file.read_bytes().split(b"\n")[:-1]  # the last may still be written
            return [Taken(**json.loads(line)) for line in lines]
        return []

    def recipients(self) -> Counter[str]:
        """Returns the number of accepted messages by recipient."""
        return Counter(one.recipient for one in self.taken())

    def count(self) -> int:
        """Returns the number of accepted messages."""
        with contextlib.suppress(FileNotFoundError):
            return self._file.read_bytes().count(b"\n")
        return 0

    def reached(self, place: str) -> int:
        """Returns the number of times a place of `Fault.at`, or a `stall`, was reached."""
        assert self._process.stdin is not None
        print(json.dumps(place), file=self._process.stdin, flush=True)
        return int(self._said())

    def wait_until(self, done: Callable[[Self], bool], sender: subprocess.Popen[str]) -> bool:
        """Waits until `done` is true. Returns `False` if the sender terminated first."""
        give_up = time.monotonic() + _TIMEOUT
        while not done(self):
            if sender.poll() is not None:
                return False
            assert time.monotonic() < give_up, "the condition never became true"
            time.sleep(0.002)
        return True

    def kill(self) -> None:
        """Kills it with all its connections."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Stops it, even with open connections."""
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
