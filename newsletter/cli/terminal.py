"""Safe terminal output, one line at a time.

Captured text and file names may contain control sequences, the reader of our output may close it
early, and the terminal may support ASCII only. None of that stops the work.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback

import click

from newsletter.cli.options import is_quiet
from newsletter.errors import OutputError, printable
from newsletter.masks import masked


def prepare() -> None:
    """Makes streams escape characters that they cannot encode, and tracebacks safe to print.

    Streams that were closed at startup are redirected to the null device, so that the work is
    done anyway and no opened file gets their descriptor.
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
    sys.excepthook = lambda _, error, __: _print_traceback(error)
    threading.excepthook = lambda failed: _print_traceback(failed.exc_value)


def _print_traceback(error: BaseException | None) -> None:
    if error is not None:
        for line in "".join(traceback.format_exception(error)).splitlines():
            say(masked(line), err=True)


def show_help(error: click.exceptions.NoArgsIsHelpError) -> None:
    """Prints the help of a group of commands, none of which was named, to standard error."""
    for line in error.format_message().splitlines():
        say(line, err=True)


def say(line: str = "", *, err: bool = False) -> None:
    """Prints a line for people, without control sequences. With --quiet, only errors are printed.

    Args:
        line: the line.
        err: whether it is an error, or something else that needs attention.
    """
    if err or not is_quiet():
        write(printable(line), err=err)


def note(line: str) -> None:
    """Prints a remark to standard error, unless --quiet is given."""
    if not is_quiet():
        say(f"note: {line}", err=True)


def write(line: str, *, err: bool = False, end: bool = True) -> None:
    """Prints a line unchanged. Discards all output once the reader has closed the pipe."""
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
    """Returns whether standard output can encode every character."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
