"""The command line in a process of its own, as users run it, or in this process for speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from newsletter import cli
from tests.support import preloaded

_PATIENCE = 120  # seconds


def _read_at_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that an interpreter reads when it starts."""
    kinds = ("PYTHON", "LC_", "LANG")
    return {name: value for name, value in environment.items() if name.startswith(kinds)}


_AT_THE_START = _read_at_the_start(os.environ)

INTERRUPTIBLE = [
    sys.executable,
    "-u",
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_module('newsletter', run_name='__main__', alter_sys=True)",
]
"""The command line as a terminal starts it: it handles Ctrl-C, which background jobs ignore."""


def newsletter(
    *arguments: str, cwd: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs `newsletter` in the folder `cwd`, with additional environment variables."""
    variables = {**os.environ, **environment}
    if _read_at_the_start(variables) == _AT_THE_START:
        done = preloaded.run(arguments, cwd, variables, stdin, _PATIENCE)
    else:
        done = _newly_started(arguments, cwd, variables, stdin)
    out, err = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def _newly_started(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], stdin: bytes
) -> subprocess.CompletedProcess[bytes]:
    """Runs `newsletter` in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "newsletter", *arguments],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=_PATIENCE,
    )


@dataclass(frozen=True)
class Here:
    """Runs commands in this process, in the current folder, through the program's entry point."""

    capfd: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `newsletter`."""
        self.monkeypatch.setattr(sys, "argv", ["newsletter", *arguments])
        self.monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        self.monkeypatch.setattr(threading, "excepthook", threading.excepthook)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self.capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return subprocess.CompletedProcess(list(arguments), ended.value.code, out, err)


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Returns the JSON objects that the command printed."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_one_line_each(done: subprocess.CompletedProcess[str]) -> None:
    """Asserts that each message is one line, and that there is no traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    assert all(line.strip() for line in done.stderr.splitlines()), done.stderr
