"""What reaches the terminal: one safe line at a time, whoever reads it.

Captured text and file names may hold what acts on a terminal; what reads our output
may stop reading; a terminal may know ASCII only. None of that stops the work.
"""

from __future__ import annotations

import os
import sys

import click

from newsletter.errors import OutputError, printable


def prepare() -> None:
    """Lets terminals that do not know a character show its number instead.

    A stream that whoever started us closed leads nowhere from now on: the work is done all
    the same, and no file that is opened gets its number.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(line: str = "", *, err: bool = False) -> None:
    """Prints a line in which nothing acts on the terminal."""
    write(printable(line), err=err)


def write(line: str, *, err: bool = False, end: bool = True) -> None:
    """Prints a line as it is. Once nobody reads on, nothing is printed any more."""
    try:
        click.echo(line, err=err, nl=end)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())
        os.close(nowhere)
    except OSError as exc:
        raise OutputError(
            f"cannot be written to ({exc.strerror})", where="standard output", hint="make room"
        ) from exc


def knows_unicode() -> bool:
    """Whether standard output takes any character."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
