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
    """Lets terminals that do not know a character show its number instead."""
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
