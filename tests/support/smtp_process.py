"""The SMTP server in a process of its own: it counts what it takes, and fails to a plan.

Whatever it takes is a line in a file before it is answered. So the count is right whichever
process is killed, the sender's or the server's.
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
"""Seconds after which a test that waits for something fails."""


class MailServer:
    """A server that is running, on loopback.

    Args:
        folder: where it counts.
        faults: what goes wrong.
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
        give_up = time.monotonic() + _TIMEOUT
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
