"""A command on a pseudo-terminal, as a person uses it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pexpect

NEWSLETTER = (sys.executable, "-m", "newsletter")
_PATIENCE = 30  # seconds


class Talk:
    """A conversation with a command.

    Args:
        folder: where it runs.
        arguments: its arguments.
        before: a command that starts it, such as `unshare`.
        environment: additional environment variables.
    """

    def __init__(
        self, folder: Path, *arguments: str, before: Sequence[str] = (), **environment: str
    ) -> None:
        command = [*before, *NEWSLETTER, *arguments]
        self._child = pexpect.spawn(
            command[0],
            command[1:],
            cwd=str(folder),
            env={**os.environ, **environment},
            timeout=_PATIENCE,
            dimensions=(40, 200),
            encoding="utf-8",
        )
        self._child.delaybeforesend = None
        self.said = ""
        """Everything on the screen so far."""
        self.had_echo = False
        """Whether the terminal showed what is typed when the command ended."""

    def answer(self, label: str, text: str = "") -> str:
        """Waits for a question that starts with `label`, and answers it. Returns what led to it."""
        self._wait(rf"(?:^|\n){re.escape(label)}[^\n]*: $")
        before = str(self._child.before)
        self._child.sendline(text)
        return before

    def interrupt(self) -> None:
        """Waits for the next question, and presses Ctrl-C."""
        self._wait(r"\n[A-Z][^\n]*: $")
        self._child.sendintr()

    def signal(self, label: str, number: int) -> None:
        """Waits for a question that starts with `label`, and sends a signal."""
        self._wait(rf"(?:^|\n){re.escape(label)}[^\n]*: $")
        self._child.kill(number)

    def ended(self) -> int:
        """Waits for the end. Returns the exit status."""
        self._wait(pexpect.EOF)
        self.had_echo = self._child.getecho()
        self._child.close()
        assert "Traceback" not in self.said, self.said
        status = self._child.exitstatus
        assert isinstance(status, int), self.said
        return status

    def _wait(self, pattern: str | type[pexpect.EOF]) -> None:
        try:
            self._child.expect(pattern)
        except (pexpect.TIMEOUT, pexpect.EOF):
            said = self.said + str(self._child.before)
            raise AssertionError(f"waiting for {pattern!r} after:\n{said}") from None
        after = self._child.after
        self.said += str(self._child.before) + (after if isinstance(after, str) else "")
